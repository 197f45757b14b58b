"""Everything asked of kube-apiserver: configuration, transport, discovery, caches and reviews.

Knows Kubernetes and nothing of metrics, Prometheus or rules. What leaves this room are the nouns
of `core.model` and the errors of `core.errors`.
"""
