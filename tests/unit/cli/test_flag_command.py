"""Flags declared once, as click shows and `base.flags` reads them."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from metrics_apiserver.base.flags import Flag, Parsed
from metrics_apiserver.cli import flag_command
from metrics_apiserver.cli.flag_command import FlagCommand, LazyGroup

TABLE = (
    Flag("output", "string", "text", "how it is printed", "Output", shorthand="o"),
    Flag("wait", "bool", True, "whether to wait", "Waiting"),
    Flag("web.listen-address", "strings", [], "where to listen", "Waiting"),
    Flag("overlap", "duration", 600.0, "how long", "Waiting"),
    Flag("old", "string", "", "has no meaning", "Waiting", ignored=True),
)


def command(seen: list[Parsed]) -> FlagCommand:
    def run(parsed: Parsed) -> int:
        seen.append(parsed)
        return 7

    return FlagCommand("try", TABLE, run, description="Tries.", arguments="FILE...")


def invoke(words: list[str]) -> tuple[Any, Parsed]:
    seen: list[Parsed] = []
    code = command(seen).main(words, standalone_mode=False)
    return code, seen[0]


def test_one_grammar_for_the_whole_program() -> None:
    words = [
        "a",
        "--wait=false",
        "-ojson",
        "--web.listen_address=x,y",
        "--overlap",
        "1m",
        "--",
        "-b",
    ]
    code, parsed = invoke(words)
    assert code == 7
    assert parsed.values == {
        "output": "json",
        "wait": False,
        "web.listen-address": ["x", "y"],
        "overlap": 60.0,
        "old": "",
    }
    assert parsed.positional == ["a", "-b"]


def test_every_wrong_flag_is_named() -> None:
    _, parsed = invoke(["--wait=maybe", "--overlaps=1s"])
    assert [one.render("") for one in parsed.diagnostics] == [
        "--wait: 'maybe' is neither true nor false",
        "--overlaps: unknown flag; did you mean --overlap?",
    ]


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["a", "--unknown", "-h"]])
def test_help_by_group(words: list[str]) -> None:
    ran = CliRunner().invoke(command([]), words)
    assert ran.exit_code == 0
    assert ran.output == (
        "Usage: try [OPTIONS] FILE...\n"
        "\n"
        "  Tries.\n"
        "\n"
        "Output:\n"
        "  -o, --output string  how it is printed (default text)\n"
        "\n"
        "Waiting:\n"
        "  --wait                        whether to wait (default true)\n"
        "  --web.listen-address strings  where to listen\n"
        "  --overlap duration            how long (default 600s)\n"
        "\n"
        "Help:\n"
        "  -h, --help  Show this message and exit.\n"
    )


def test_words_behind_two_dashes_ask_for_nothing() -> None:
    assert invoke(["--", "--help"])[1].positional == ["--help"]


def test_commands_are_imported_when_they_are_named() -> None:
    group = LazyGroup("g", {"version": "version"}, context_settings=flag_command.CONTEXT)
    group.add_command(click.Command("here"))
    context = click.Context(group)
    assert group.list_commands(context) == ["here", "version"]
    found = group.get_command(context, "version")
    assert found is not None
    assert found.name == "version"
    assert group.get_command(context, "absent") is None
    ran = CliRunner().invoke(group, [])
    assert (ran.exit_code, ran.output) == (
        0,
        group.get_help(click.Context(group, info_name="g")) + "\n",
    )


def test_a_word_that_may_be_a_secret_is_not_repeated() -> None:
    group = LazyGroup("program", {"check": "check"})
    with pytest.raises(click.NoSuchCommand) as raised:
        group.main(["hunter2-is-my-password"], standalone_mode=False)
    assert "hunter2" not in raised.value.format_message()
    assert "hun" in raised.value.format_message()


def test_help_of_a_group_whatever_follows(capsys: pytest.CaptureFixture[str]) -> None:
    group = LazyGroup("program", {"check": "check"}, context_settings=flag_command.CONTEXT)
    assert group.main(["-h", "--wrong"], standalone_mode=False) == 0
    assert "Usage: " in capsys.readouterr().out
