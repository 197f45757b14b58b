from __future__ import annotations

import re

import pytest

from metrics_apiserver.base import flaghelp, flags
from metrics_apiserver.options import serve

# What `prometheus-adapter --help` of v0.12 lists, with the kinds it gives them, and klog's flags of
# older releases, which manifests in use still pass.
PREDECESSOR = """
audit-log-batch-buffer-size int;audit-log-batch-max-size int;audit-log-batch-max-wait duration;
audit-log-batch-throttle-burst int;audit-log-batch-throttle-enable bool;
audit-log-batch-throttle-qps float;audit-log-compress bool;audit-log-format string;
audit-log-maxage int;audit-log-maxbackup int;audit-log-maxsize int;audit-log-mode string;
audit-log-path string;audit-log-truncate-enabled bool;audit-log-truncate-max-batch-size int;
audit-log-truncate-max-event-size int;audit-log-version string;audit-policy-file string;
audit-webhook-batch-buffer-size int;audit-webhook-batch-max-size int;
audit-webhook-batch-max-wait duration;audit-webhook-batch-throttle-burst int;
audit-webhook-batch-throttle-enable bool;audit-webhook-batch-throttle-qps float;
audit-webhook-config-file string;audit-webhook-initial-backoff duration;audit-webhook-mode string;
audit-webhook-truncate-enabled bool;audit-webhook-truncate-max-batch-size int;
audit-webhook-truncate-max-event-size int;audit-webhook-version string;
authentication-kubeconfig string;authentication-skip-lookup bool;
authentication-token-webhook-cache-ttl duration;authentication-tolerate-lookup-failure bool;
authorization-always-allow-paths strings;authorization-kubeconfig string;
authorization-webhook-cache-authorized-ttl duration;
authorization-webhook-cache-unauthorized-ttl duration;bind-address ip;cert-dir string;
client-burst int;client-ca-file string;client-qps float;config string;contention-profiling bool;
debug-socket-path string;disable-http2 bool;discovery-interval duration;
enable-priority-and-fairness bool;http2-max-streams-per-connection int;lister-kubeconfig string;
log-flush-frequency duration;metrics-max-age duration;metrics-relist-interval duration;
permit-address-sharing bool;permit-port-sharing bool;profiling bool;prometheus-auth-config string;
prometheus-auth-incluster bool;prometheus-ca-file string;prometheus-client-tls-cert-file string;
prometheus-client-tls-key-file string;prometheus-header stringArray;prometheus-token-file string;
prometheus-url string;prometheus-verb verb;requestheader-allowed-names strings;
requestheader-client-ca-file string;requestheader-extra-headers-prefix strings;
requestheader-group-headers strings;requestheader-username-headers strings;secure-port int;
tls-cert-file string;tls-cipher-suites strings;tls-min-version string;tls-private-key-file string;
tls-sni-cert-key string;v int;vmodule string;
logtostderr bool;alsologtostderr bool;add-dir-header bool;one-output bool;skip-headers bool;
skip-log-headers bool;log-dir string;log-file string;log-file-max-size int;log-backtrace-at string;
stderrthreshold int
"""
SAMPLES = {
    "int": "7",
    "float": "1.5",
    "duration": "1m30s",
    "string": "text",
    "strings": "a,b",
    "stringArray": "A=1",
    "ip": "127.0.0.1",
    "verb": "POST",
}


def predecessor_flags() -> list[tuple[str, str]]:
    rows = (row.split() for row in PREDECESSOR.replace("\n", "").split(";"))
    return [(name, kind) for name, kind in rows]


@pytest.mark.parametrize(("name", "kind"), predecessor_flags())
def test_every_flag_of_the_predecessor_is_accepted(name: str, kind: str) -> None:
    words = (
        [f"--{name}=true", f"--{name}=false", f"--{name}"]
        if kind == "bool"
        else [f"--{name}={SAMPLES[kind]}", f"--{name}", SAMPLES[kind]]
    )
    parsed = flags.parse(serve.TABLE, words)
    assert set(parsed.given) == {name}
    assert parsed.positional == []


def test_names_are_unique() -> None:
    names = [flag.name for flag in serve.TABLE]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("flag", serve.TABLE, ids=lambda flag: flag.name)
def test_a_flag_is_well_formed(flag: flags.Flag) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", flag.name)
    assert flag.help
    assert flag.group
    shown = flaghelp.format_value(flag, flag.default)
    if flag.kind == "stringArray":
        assert flag.default == []
    else:
        read = flags.parse(serve.TABLE, [f"--{flag.name}={shown}"])
        assert read.values[flag.name] == flag.default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics-relist-interval", 600.0),
        ("metrics-max-age", 0.0),
        ("prometheus-url", "https://localhost"),
        ("secure-port", 443),
        ("bind-address", "0.0.0.0"),
        ("cert-dir", "apiserver.local.config/certificates"),
        ("authentication-token-webhook-cache-ttl", 10.0),
        ("authorization-webhook-cache-authorized-ttl", 10.0),
        ("authorization-webhook-cache-unauthorized-ttl", 10.0),
        ("authorization-always-allow-paths", ["/healthz", "/readyz", "/livez"]),
        ("requestheader-username-headers", ["x-remote-user"]),
        ("requestheader-group-headers", ["x-remote-group"]),
        ("requestheader-extra-headers-prefix", ["x-remote-extra-"]),
        ("requestheader-allowed-names", []),
        ("v", 0),
    ],
)
def test_defaults_are_the_predecessor_s(name: str, value: object) -> None:
    [flag] = [flag for flag in serve.TABLE if flag.name == name]
    assert flag.default == value
