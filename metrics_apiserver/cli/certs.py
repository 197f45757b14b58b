"""`certs`: the commands that issue, publish and inspect certificates."""

from __future__ import annotations

from metrics_apiserver.cli.flag_command import CONTEXT, LazyGroup

command = LazyGroup(
    "certs",
    {"issue": "certs_issue", "publish": "certs_publish", "inspect": "certs_inspect"},
    help="Issue, publish and inspect serving certificates.",
    context_settings=CONTEXT,
)
