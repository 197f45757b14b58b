"""A Kubernetes metrics API server: custom, external and resource metrics from Prometheus.

The floors, and who may import whom, are written down as import-linter contracts in
pyproject.toml; docs/architecture.md walks through them.
"""

__version__ = "0.1.0"
