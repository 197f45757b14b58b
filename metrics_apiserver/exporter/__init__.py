"""The NVML exporter: GPU usage per pod, in metrics that an HPA can divide by its target.

It imports only `base` and nothing else of the package, so that it can be shipped in an image of its
own. One thread owns NVML, HTTP serves finished expositions, and unknown values are absent instead
of zero.
"""
