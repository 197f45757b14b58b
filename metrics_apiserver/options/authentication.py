"""Settings of who may ask the server: authentication and authorization, with flags.

Names, kinds and defaults are those of the flags that every aggregated API server has.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics_apiserver.base import checks
from metrics_apiserver.base.settings import SettingsGroup, flag


@dataclass(frozen=True, slots=True)
class AuthenticationSettings(SettingsGroup):
    """Who may be believed. Files replace what the cluster's ConfigMap says, each for its part.

    Attributes:
        skip_lookup: do not read the ConfigMap at all.
    """

    client_ca_file: str = flag(
        "client-ca-file", "", "PEM bundle for client certificates, instead of the cluster's"
    )
    requestheader_ca_file: str = flag(
        "requestheader-client-ca-file",
        "",
        "PEM bundle for the front proxy, instead of the cluster's",
    )
    requestheader_allowed_names: tuple[str, ...] = flag(
        "requestheader-allowed-names", [], "common names the front proxy may have; empty: any"
    )
    requestheader_username_headers: tuple[str, ...] = flag(
        "requestheader-username-headers",
        ["x-remote-user"],
        "headers with the user name",
        check=checks.not_empty("must name at least one header"),
    )
    requestheader_group_headers: tuple[str, ...] = flag(
        "requestheader-group-headers", ["x-remote-group"], "headers with groups"
    )
    requestheader_extra_prefixes: tuple[str, ...] = flag(
        "requestheader-extra-headers-prefix",
        ["x-remote-extra-"],
        "prefixes of headers with extra fields",
    )
    requestheader_uid_headers: tuple[str, ...] = flag(
        "requestheader-uid-headers", [], "headers with the user's UID"
    )
    skip_lookup: bool = flag(
        "authentication-skip-lookup", False, "do not read the cluster's authentication ConfigMap"
    )
    token_ttl_seconds: float = flag(
        "authentication-token-webhook-cache-ttl",
        10.0,
        "how long a token's review is remembered",
        check=checks.not_negative,
    )


@dataclass(frozen=True, slots=True)
class AuthorizationSettings(SettingsGroup):
    """How long decisions are remembered, and what needs none."""

    allowed_ttl_seconds: float = flag(
        "authorization-webhook-cache-authorized-ttl",
        10.0,
        "how long an allowed access review is remembered",
        check=checks.not_negative,
    )
    denied_ttl_seconds: float = flag(
        "authorization-webhook-cache-unauthorized-ttl",
        10.0,
        "how long a denied access review is remembered",
        check=checks.not_negative,
    )
    always_allow_paths: tuple[str, ...] = flag(
        "authorization-always-allow-paths",
        ["/healthz", "/readyz", "/livez"],
        "paths that need no authorization; a trailing * makes a prefix",
    )
