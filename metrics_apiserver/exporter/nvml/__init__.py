"""NVML as pynvml binds it; the rest of the exporter sees plain values and `library.NVMLError`."""
