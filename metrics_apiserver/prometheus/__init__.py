"""The Prometheus HTTP API as this server uses it: instant queries, series, label values and names.

`client` asks, `transport` carries one question under one deadline, `decode` and `elements` read
the answer strictly and in bounded memory, `credentials` says who we are, `failures` words what
went wrong. Nothing here knows Kubernetes or rules.
"""
