"""What --help tells of each flag."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.options import parser

ACTIONS = {
    action.option_strings[-1]: action
    for action in parser({"NODE_NAME": "n", "POD_NAME": "p", "POD_NAMESPACE": "s"})._actions
}


@pytest.mark.parametrize("name", sorted(ACTIONS.keys() - {"--help", "--version"}))
def test_a_flag_says_what_it_is_for_and_what_holds_without_it(name: str) -> None:
    action = ACTIONS[name]
    text = action.help or ""
    assert len(text.partition("(default")[0]) > 10, "a default alone explains nothing"
    if name not in ("--attribution", "--shared-fallback"):  # theirs are among their choices
        has_default = action.default not in (None, False, "", [], frozenset())
        assert ("(default: " in text) >= has_default


def test_the_downward_api_fills_names() -> None:
    assert [ACTIONS[name].default for name in ("--node-name", "--pod-name", "--pod-namespace")] == [
        "n",
        "p",
        "s",
    ]
