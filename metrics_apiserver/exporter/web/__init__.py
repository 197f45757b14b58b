"""HTTP: expositions, health checks, and the web configuration file for TLS and passwords."""
