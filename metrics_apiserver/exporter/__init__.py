"""The NVML exporter: GPU use per pod that an HPA can divide by its target.

It stands alone: it imports nothing else of the package and nothing else imports it, so that it can
be shipped in an image of its own. One thread owns NVML, HTTP serves finished snapshots, and what
cannot be known is absent instead of zero.
"""
