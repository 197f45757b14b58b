from __future__ import annotations

from typing import Any

import pytest

from metrics_apiserver.base import durations, flags
from metrics_apiserver.base.flags import Flag, Parsed

TABLE = (
    Flag("config", "string", "", "rule file", "Rules"),
    Flag("verbose", "bool", False, "say more", "Logging"),
    Flag("secure-port", "int", 443, "port", "Serving"),
    Flag("rate", "float", 1.5, "rate", "Serving"),
    Flag("interval", "duration", 600.0, "interval", "Rules"),
    Flag("names", "strings", ["a"], "names", "Serving"),
    Flag("header", "stringArray", [], "header", "Rules"),
    Flag("v", "int", 0, "verbosity", "Logging", shorthand="v"),
    Flag("logtostderr", "bool", False, "nothing", "Ignored", ignored=True),
)


def parse(*words: str) -> Parsed:
    return flags.parse(TABLE, words)


def reported(*words: str) -> list[tuple[str, str]]:
    return [(one.path, one.message) for one in parse(*words).diagnostics]


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--config=x"], "config", "x"),
        (["--config", "x"], "config", "x"),
        (["--config="], "config", ""),
        (["--config", "--verbose"], "config", "--verbose"),
        (["--config=a=b"], "config", "a=b"),
        (["--config=a", "--config=b"], "config", "b"),
        (["-config=x"], "config", "x"),
        (["-config", "x"], "config", "x"),
        (["--secure_port=6443"], "secure-port", 6443),
        (["--secure-port=+6443"], "secure-port", 6443),
        (["--secure-port=-1"], "secure-port", -1),
        (["--verbose"], "verbose", True),
        (["--verbose=true"], "verbose", True),
        (["--verbose=T"], "verbose", True),
        (["--verbose=1"], "verbose", True),
        (["--verbose=false"], "verbose", False),
        (["--verbose=F"], "verbose", False),
        (["--verbose=0"], "verbose", False),
        (["-logtostderr"], "logtostderr", True),
        (["-logtostderr=false"], "logtostderr", False),
        (["-v", "4"], "v", 4),
        (["-v=4"], "v", 4),
        (["-v4"], "v", 4),
        (["--v=10"], "v", 10),
        (["--v", "10"], "v", 10),
        (["--rate=2"], "rate", 2.0),
        (["--rate=.5"], "rate", 0.5),
        (["--rate=-1e3"], "rate", -1000.0),
        (["--interval=1m"], "interval", 60.0),
        (["--names=b,c"], "names", ["b", "c"]),
        (["--names=b", "--names=c,d"], "names", ["b", "c", "d"]),
        (["--names="], "names", []),
        (["--names", "b"], "names", ["b"]),
        (["--header=A=1,2"], "header", ["A=1,2"]),
        (["--header=A=1", "--header=B=2"], "header", ["A=1", "B=2"]),
        ([], "names", ["a"]),
        ([], "secure-port", 443),
    ],
)
def test_a_flag_is_read_as_pflag_reads_it(words: list[str], name: str, value: Any) -> None:
    assert parse(*words).values[name] == value


def test_what_was_given_keeps_its_order() -> None:
    parsed = parse("--v=1", "--config=x", "--v=2")
    assert parsed.given == ["v", "config", "v"]
    assert parsed.positional == []


def test_what_is_no_flag_is_positional() -> None:
    assert parse("one", "--verbose", "two", "-").positional == ["one", "two", "-"]
    assert parse("--verbose", "false").positional == ["false"]


def test_two_dashes_end_the_flags() -> None:
    parsed = parse("--v=1", "--", "--config=x", "-v")
    assert parsed.positional == ["--config=x", "-v"]
    assert parsed.values["config"] == ""


def test_defaults_are_not_shared_between_parses() -> None:
    parse("--header=A=1").values["header"].append("B=2")
    parse().values["names"].append("z")
    assert parse().values["header"] == []
    assert parse().values["names"] == ["a"]


def test_every_diagnostic_is_reported_at_once() -> None:
    assert reported("--secure-port=x", "--konfig=y", "--verbose=maybe", "--zzz", "--rate=1_0") == [
        ("--secure-port", "'x' is no whole number"),
        ("--konfig", "unknown flag; did you mean --config?"),
        ("--verbose", "'maybe' is neither true nor false"),
        ("--zzz", "unknown flag; see --help"),
        ("--rate", "'1_0' is no number"),
    ]


@pytest.mark.parametrize("word", ["--config", "-v", "--header", "-config"])
def test_a_value_that_is_missing_is_reported(word: str) -> None:
    assert reported(word) == [(f"--{word.lstrip('-')}", "needs a value")]


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("--confg=x", "config"),
        ("--secureport=1", "secure-port"),
        ("--log-to-stderr", "logtostderr"),
        ("--intervall=1s", "interval"),
    ],
)
def test_an_unknown_flag_names_the_nearest(word: str, near: str) -> None:
    [(_, message)] = reported(word)
    assert message == f"unknown flag; did you mean --{near}?"


def test_no_value_of_an_unknown_flag_is_repeated() -> None:
    assert "s3cret" not in str(reported("--heder=Authorization=s3cret", "-heder=s3cret"))


@pytest.mark.parametrize(
    "text", ["", " 1", "1_0", "0x10", "1.0", "\u0661", "1e3", "one", "--1", "9" * 20]
)
def test_whole_numbers_are_ascii_digits(text: str) -> None:
    assert reported(f"--secure-port={text}") == [("--secure-port", f"{text!r} is no whole number")]


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1e999", "1_0", " 1", "\u0661", "1e", ".", "0x1p4"]
)
def test_numbers_are_finite_decimals(text: str) -> None:
    assert reported(f"--rate={text}") == [("--rate", f"{text!r} is no number")]


@pytest.mark.parametrize("text", ["", "TRUe", "yes", "on", "2", " true"])
def test_booleans_are_those_of_go(text: str) -> None:
    assert reported(f"--verbose={text}") == [("--verbose", f"{text!r} is neither true nor false")]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("1s", 1.0),
        ("1m30s", 90.0),
        ("1h0m0s", 3600.0),
        ("500ms", 0.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1.5h", 5400.0),
        ("2us", 2e-6),
        ("2\u00b5s", 2e-6),
        ("2\u03bcs", 2e-6),
        ("3ns", 3e-9),
        ("-1m", -60.0),
        ("+1m", 60.0),
        ("1s1s", 2.0),
    ],
)
def test_durations_are_those_of_go(text: str, seconds: float) -> None:
    assert durations.parse_go(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "s", ".", "1 s", "1d", "1s ", " 1s", "1sx", "x1s", "1m-1s", "--1s", "+-1s"),
        *("\u0661s", "2562048h", "9" * 400 + "s"),
    ],
)
def test_what_go_refuses_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        durations.parse_go(text)
    assert reported(f"--interval={text}")[0][0] == "--interval"


def test_a_flag_may_declare_its_shorthand_and_the_variable_of_its_default() -> None:
    table = (
        Flag("output", "string", "text", "output", shorthand="o"),
        Flag("node", "string", "", "node", environment="NODE_NAME"),
        Flag("age", "int", 1, "age", environment="AGE"),
    )
    assert flags.parse(table, ["-o", "yaml"]).values == {"output": "yaml", "node": "", "age": 1}
    found = flags.parse(table, ["--age=3"], {"NODE_NAME": "n", "AGE": "2"})
    assert found.values == {"output": "text", "node": "n", "age": 3}
    [diagnostic] = flags.parse(table, [], {"AGE": "x"}).diagnostics
    assert (diagnostic.path, diagnostic.message) == ("--age", "$AGE: 'x' is no whole number")


def test_what_cannot_be_read_stands_in_the_outcome() -> None:
    found = flags.parse(TABLE, ["--rate=x", "--verbose", "--zzz"])
    assert [one.path for one in found.diagnostics] == ["--rate", "--zzz"]
    assert found.values["verbose"]
    assert found.given == ["rate", "verbose", "zzz"]


def test_a_flag_checks_its_values() -> None:
    verb = Flag("verb", "string", "auto", "", choices=("auto", "GET", "POST"))
    assert verb.validate("GET") == []
    assert verb.validate("PUT") == ["must be auto, GET or POST, not 'PUT'"]
    groups = Flag("groups", "strings", [], "", choices=("a", "b"))
    assert groups.validate(["a", "b"]) == []
    assert groups.validate(["a", "c", "d"]) == [
        "'c' is not one of a, b",
        "'d' is not one of a, b",
    ]
    port = Flag("port", "int", 1, "", check=lambda port: [] if port > 0 else ["must be positive"])
    assert (port.validate(1), port.validate(0)) == ([], ["must be positive"])
    assert Flag("any", "int", 1, "").validate(-1) == []
