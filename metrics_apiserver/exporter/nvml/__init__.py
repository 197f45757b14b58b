"""NVML through pynvml; the rest of the exporter sees plain values and `library.NVMLError`."""
