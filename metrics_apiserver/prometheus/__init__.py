"""The Prometheus HTTP API as this server uses it: instant queries, series, label values and names.

`client` makes the calls, `transport` sends one request under one deadline, `decode` and
`json_stream` read the response strictly and in bounded memory, `credentials` identifies this
server, `failures` words the errors. Nothing here knows Kubernetes or rules.
"""
