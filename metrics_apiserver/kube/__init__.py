"""The client of kube-apiserver: configuration, transport, discovery, watch caches and reviews.

It knows nothing of metrics, Prometheus or rules. Results are the types of `core.model`; errors are
those of `base.errors`.
"""
