"""What is fetched and kept: relist, reload, evaluation, and the three columns.

Knows Prometheus and Kubernetes by their clients only; writes no HTTP and no PromQL.
"""
