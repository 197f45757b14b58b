"""What every program here stands on, as Kubernetes' component-base: it imports nothing of ours.

Errors, flags, logs, caches, clocks and durations; one implementation of each, for the server, the
commands and the exporter alike.
"""
