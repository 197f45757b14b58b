"""Every flag of `metrics-apiserver serve`: the predecessor's and this product's own.

The table is the one source for parsing, --help and docs/configuration.md (a test compares them).
"""

from __future__ import annotations

from typing import Any

from metrics_apiserver.base.flags import Flag

SHORTHANDS = {"v": "v"}


def _group(group: str, *rows: tuple[str, str, Any, str]) -> tuple[Flag, ...]:
    return tuple(Flag(name, kind, default, text, group) for name, kind, default, text in rows)


def _ignored(kind: str, *names: str) -> tuple[Flag, ...]:
    default: Any = {"bool": False, "strings": []}.get(kind, "")
    text = "accepted, without a meaning here"
    return tuple(Flag(name, kind, default, text, "Ignored", ignored=True) for name in names)


RULES = _group(
    "Rules and relist",
    ("config", "string", "", "rule file; required"),
    (
        "metrics-relist-interval",
        "duration",
        600.0,
        "interval at which the available metrics are listed again",
    ),
    (
        "metrics-max-age",
        "duration",
        0.0,
        "how far back a series may have been seen last; 0 means the relist interval",
    ),
    (
        "query-freshness",
        "duration",
        5.0,
        "how long one evaluation may be served; 0 asks Prometheus for every read",
    ),
)

PROMETHEUS = _group(
    "Prometheus",
    (
        "prometheus-url",
        "string",
        "https://localhost",
        "base URL, with a path prefix if there is one",
    ),
    (
        "prometheus-verb",
        "string",
        "auto",
        "GET, POST, or auto: GET for short queries and POST for long ones",
    ),
    ("prometheus-header", "stringArray", [], "header name=value for every request; repeatable"),
    ("prometheus-token-file", "string", "", "file with a bearer token, read again when it changes"),
    ("prometheus-username-file", "string", "", "file with a user name for basic authentication"),
    ("prometheus-password-file", "string", "", "file with the password that goes with it"),
    ("prometheus-ca-file", "string", "", "PEM bundle that verifies Prometheus"),
    ("prometheus-client-tls-cert-file", "string", "", "client certificate, read again on change"),
    ("prometheus-client-tls-key-file", "string", "", "its private key"),
    (
        "prometheus-auth-incluster",
        "bool",
        False,
        "authenticate to Prometheus with the pod's service account",
    ),
    ("prometheus-auth-config", "string", "", "authenticate to Prometheus with this kubeconfig"),
    ("prometheus-timeout", "duration", 10.0, "budget of one query, from connect to the last byte"),
    (
        "prometheus-warnings",
        "string",
        "serve",
        "serve: count and log warnings of partial answers; fail: answer 503 instead",
    ),
    ("prometheus-max-response-bytes", "int", 32 * 1024 * 1024, "decoded bytes of one answer"),
    ("prometheus-max-concurrent-queries", "int", 20, "queries in flight at once"),
)

KUBERNETES = _group(
    "Kubernetes",
    ("lister-kubeconfig", "string", "", "kubeconfig to list objects with; empty: in-cluster"),
    (
        "authentication-kubeconfig",
        "string",
        "",
        "kubeconfig to review tokens and read the authentication ConfigMap with; empty: in-cluster",
    ),
    (
        "authorization-kubeconfig",
        "string",
        "",
        "kubeconfig to review access with; empty: in-cluster",
    ),
    ("discovery-interval", "duration", 600.0, "interval at which the cluster's resources are read"),
)

AUTHENTICATION = _group(
    "Authentication and authorization",
    (
        "client-ca-file",
        "string",
        "",
        "PEM bundle for client certificates, instead of the cluster's",
    ),
    (
        "requestheader-client-ca-file",
        "string",
        "",
        "PEM bundle for the front proxy, instead of the cluster's",
    ),
    (
        "requestheader-allowed-names",
        "strings",
        [],
        "common names the front proxy may have; empty: any",
    ),
    ("requestheader-username-headers", "strings", ["x-remote-user"], "headers with the user name"),
    ("requestheader-group-headers", "strings", ["x-remote-group"], "headers with groups"),
    (
        "requestheader-extra-headers-prefix",
        "strings",
        ["x-remote-extra-"],
        "prefixes of headers with extra fields",
    ),
    ("requestheader-uid-headers", "strings", [], "headers with the user's UID"),
    (
        "authentication-skip-lookup",
        "bool",
        False,
        "do not read the cluster's authentication ConfigMap",
    ),
    (
        "authentication-token-webhook-cache-ttl",
        "duration",
        10.0,
        "how long a token's review is remembered",
    ),
    (
        "authorization-webhook-cache-authorized-ttl",
        "duration",
        10.0,
        "how long an allowed access review is remembered",
    ),
    (
        "authorization-webhook-cache-unauthorized-ttl",
        "duration",
        10.0,
        "how long a denied access review is remembered",
    ),
    (
        "authorization-always-allow-paths",
        "strings",
        ["/healthz", "/readyz", "/livez"],
        "paths that need no authorization; a trailing * makes a prefix",
    ),
)

SERVING = _group(
    "Serving",
    ("bind-address", "string", "0.0.0.0", "address to listen on"),  # noqa: S104 - as a pod must
    ("secure-port", "int", 443, "port to serve HTTPS on"),
    ("tls-cert-file", "string", "", "serving certificate, read again when it changes"),
    ("tls-private-key-file", "string", "", "its private key"),
    (
        "cert-dir",
        "string",
        "apiserver.local.config/certificates",
        "where a self-made pair is kept when no pair is given",
    ),
    ("tls-min-version", "string", "VersionTLS12", "VersionTLS12 or VersionTLS13"),
    ("tls-cipher-suites", "strings", [], "suites by their Go names; empty: the AEAD ones"),
    ("shutdown-drain", "duration", 5.0, "after SIGTERM, how long new requests are still answered"),
    ("max-requests-inflight", "int", 400, "reads answered at once; above, 429"),
    ("max-connections", "int", 1024, "connections open at once"),
)

CERTIFICATES = _group(
    "Certificates",
    (
        "cert-secret",
        "string",
        "",
        "NAMESPACE/NAME of a Secret in which the server keeps a pair and an authority of its own",
    ),
    ("cert-service", "string", "", "NAME.NAMESPACE of the Service that the certificate names"),
    (
        "cert-apiservices",
        "strings",
        [],
        "APIServices whose caBundle the server keeps, such as v1beta1.custom.metrics.k8s.io",
    ),
    ("cert-cluster-domain", "string", "cluster.local", "DNS domain of the cluster; may be empty"),
    (
        "cert-key-algorithm",
        "string",
        "ECDSA-P256",
        "ECDSA-P256, ECDSA-P384, RSA-2048, RSA-3072 or RSA-4096",
    ),
    (
        "cert-lifetime",
        "duration",
        365 * 86400.0,
        "how long a certificate is valid; it is renewed when a third is left",
    ),
    (
        "cert-ca-lifetime",
        "duration",
        3650 * 86400.0,
        "how long an authority is valid; it is replaced when a third is left",
    ),
    (
        "cert-overlap",
        "duration",
        600.0,
        "how long an old and a new authority are trusted side by side before each next step",
    ),
    ("cert-interval", "duration", 30.0, "interval at which Secret and APIServices are looked at"),
)

STANDALONE = _group(
    "Standalone",
    (
        "standalone",
        "bool",
        False,
        "no kube-apiserver: loopback only, own CA, objects are what the series name",
    ),
    ("write-kubeconfig", "string", "", "with --standalone, write a kubeconfig for kubectl here"),
)

LOGGING = _group(
    "Logging",
    ("v", "int", 0, "verbosity: 0 notable events, 4 each upstream failure, 6 each query"),
    ("logging-format", "string", "text", "text or json"),
)

IGNORED = (
    *_ignored(
        "string",
        *(
            f"audit-{sink}-{name}"
            for sink in ("log", "webhook")
            for name in [
                "batch-buffer-size",
                "batch-max-size",
                "batch-max-wait",
                "batch-throttle-burst",
                "batch-throttle-qps",
                "mode",
                "truncate-max-batch-size",
                "truncate-max-event-size",
                "version",
            ]
        ),
        *["audit-log-format", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"],
        *["audit-log-path", "audit-policy-file", "audit-webhook-config-file"],
        "audit-webhook-initial-backoff",
        *["client-qps", "client-burst", "debug-socket-path", "http2-max-streams-per-connection"],
        *["log-flush-frequency", "vmodule", "log-dir", "log-file", "log-file-max-size"],
        *["log-backtrace-at", "stderrthreshold", "tls-sni-cert-key"],
    ),
    *_ignored(
        "bool",
        *["audit-log-batch-throttle-enable", "audit-log-compress", "audit-log-truncate-enabled"],
        *["audit-webhook-batch-throttle-enable", "audit-webhook-truncate-enabled"],
        *["authentication-tolerate-lookup-failure", "contention-profiling", "disable-http2"],
        *["enable-priority-and-fairness", "permit-address-sharing", "permit-port-sharing"],
        *["profiling", "logtostderr", "alsologtostderr", "add-dir-header", "one-output"],
        *["skip-headers", "skip-log-headers"],
    ),
)

TABLE: tuple[Flag, ...] = (
    *RULES,
    *PROMETHEUS,
    *KUBERNETES,
    *AUTHENTICATION,
    *SERVING,
    *CERTIFICATES,
    *STANDALONE,
    *LOGGING,
    *IGNORED,
)
