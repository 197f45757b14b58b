"""Settings of authentication and authorization; test_settings reads each of their flags."""

from __future__ import annotations

from metrics_apiserver.base import settings
from metrics_apiserver.options.authentication import AuthenticationSettings, AuthorizationSettings


def test_what_holds_without_flags() -> None:
    assert AuthenticationSettings().requestheader_username_headers == ("x-remote-user",)
    assert AuthenticationSettings().requestheader_allowed_names == (), "any name"
    assert AuthorizationSettings().always_allow_paths == ("/healthz", "/readyz", "/livez")


def test_decisions_are_not_remembered_for_less_than_no_time() -> None:
    tables = (settings.table(AuthenticationSettings), settings.table(AuthorizationSettings))
    lengths = [flag for table in tables for flag in table if flag.kind == "duration"]
    assert len(lengths) == 3
    assert all(flag.validate(-1.0) == ["must not be negative"] for flag in lengths)
    assert all(flag.validate(0.0) == [] for flag in lengths)
