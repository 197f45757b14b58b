"""HTTP: finished snapshots, health, and the usual web configuration file for TLS and passwords."""
