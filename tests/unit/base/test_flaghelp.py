"""What --help shows."""

from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.base import flaghelp
from metrics_apiserver.base.flags import Flag

TABLE = (
    Flag("config", "string", "", "rule file", "Rules"),
    Flag("verbose", "bool", False, "say more", "Logging"),
    Flag("secure-port", "int", 443, "port", "Serving"),
    Flag("rate", "float", 1.5, "rate", "Serving"),
    Flag("interval", "duration", 600.0, "interval", "Rules"),
    Flag("names", "strings", ["a"], "names", "Serving"),
    Flag("header", "stringArray", [], "header", "Rules"),
    Flag("v", "int", 0, "verbosity", "Logging"),
    Flag("logtostderr", "bool", False, "nothing", "Ignored", ignored=True),
)


def test_help_shows_groups_defaults_and_last_the_flags_without_a_meaning() -> None:
    text = flaghelp.render_help(TABLE)
    lines = text.splitlines()
    assert lines[0] == "Rules:"
    assert any(line.startswith("  --secure-port int") for line in lines)
    assert "(default 443)" in text
    assert "(default 600s)" in text
    assert "(default a)" in text
    assert any(line.startswith("  --verbose  ") and "default" not in line for line in lines)
    assert lines[-2:] == [
        "Accepted for drop-in use, without a meaning here:",
        "  --logtostderr",
    ]


def test_help_of_flags_that_all_mean_something() -> None:
    assert "Accepted for drop-in use" not in flaghelp.render_help(TABLE[:2])


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("duration", 600.0, "600s"),
        ("duration", 0.5, "0.5s"),
        ("strings", ["a", "b"], "a,b"),
        ("stringArray", [], ""),
        ("bool", True, "true"),
        ("bool", False, "false"),
        ("int", 4, "4"),
        ("string", "x", "x"),
    ],
)
def test_a_value_is_shown_as_it_would_be_written(kind: str, value: Any, text: str) -> None:
    assert flaghelp.format_value(Flag("x", kind, value, "", ""), value) == text


def test_a_terminal_s_lines_are_no_longer_than_it() -> None:
    table = (
        Flag("output", "string", "text", "how it is printed", "Output", shorthand="o"),
        Flag("listen", "strings", [":9445"], "where to listen", "Web", placeholder="HOST:PORT"),
        Flag("wait", "seconds", 3600.0, "how long to wait for what may never come at all", "Web"),
        Flag("node", "string", "", "name of the node", "Web", environment="NODE_NAME"),
    )
    assert flaghelp.render_help(table, 60).splitlines() == [
        "Output:",
        "  -o, --output string      how it is printed (default text)",
        "",
        "Web:",
        "  --listen HOST:PORT       where to listen (default :9445)",
        "  --wait duration          how long to wait for what may",
        "                           never come at all (default 1h)",
        "  --node string            name of the node",
        "                           (default $NODE_NAME)",
    ]
    wide = flaghelp.render_help(table, 120).splitlines()
    assert wide[1].index("how") == flaghelp.render_help(table).splitlines()[1].index("how") == 49
    assert max(map(len, wide)) <= 120


def test_a_flag_too_long_for_its_column_has_a_line_of_its_own() -> None:
    flag = Flag("authorization-webhook-cache-authorized-ttl", "duration", 10.0, "how long", "A")
    assert flaghelp.render_help([flag], 80).splitlines()[1:] == [
        "  --authorization-webhook-cache-authorized-ttl duration",
        "                           how long (default 10s)",
    ]
