"""The HTTP floor: one parsed request, who asks, whether they may, and the answer's bytes.

`server` owns sockets, `requestinfo` the only parse of a URL, `authn` and `authz` the gate, `status`
the only table from error to HTTP code, `encoding` negotiation, `discovery`, `openapi` and
`health` the documents that need no metric. Nothing here writes PromQL or reads Prometheus.
"""
