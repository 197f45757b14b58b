import pytest

from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.rules import fields, yamlload
from metrics_apiserver.core.rules.fields import Report, Section

KNOWN = ("text", "flag", "list", "inner", "onNaN")


def section(text: str) -> Section:
    return fields.section(yamlload.load(text.encode(), "f").root, "", KNOWN, Report())


def reported(given: Section) -> list[tuple[str, int, str]]:
    return [
        (diagnostic.path, diagnostic.line, diagnostic.message) for diagnostic in given.report.errors
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("text: abc", "abc"),
        ("text: 1", "1"),
        ("text: 1.50", "1.50"),
        ("text: yes", "yes"),
        ("text: 2001-01-01", "2001-01-01"),
        ("text: ''", ""),
        ("text: 'null'", "null"),
        ("text: null", ""),
        ("text: ~", ""),
        ("text:", ""),
        ("flag: true", ""),
        ("", ""),
    ],
)
def test_text_is_as_written(text: str, value: str) -> None:
    given = section(text)
    assert given.text("text").value == value
    assert reported(given) == []


def test_text_keeps_its_line_and_style() -> None:
    assert section("\ntext: |\n  a\n").text("text") == yamlload.Scalar("a\n", 2, literal=True)


@pytest.mark.parametrize("text", ["text: [a]", "text: {a: b}"])
def test_text_is_no_collection(text: str) -> None:
    given = section(f"\n{text}")
    assert given.text("text").value == ""
    assert reported(given) == [("text", 2, "must be text, not a list or a mapping")]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("yes", True),
        ("On", True),
        ("y", True),
        ("false", False),
        ("NO", False),
        ("off", False),
        ("n", False),
        ("null", None),
        ("", None),
    ],
)
def test_flags_are_yaml_v2_s_words(written: str, value: bool | None) -> None:
    for default in (True, False):
        given = section(f"flag: {written}")
        assert given.flag("flag", default) is (default if value is None else value)
        assert reported(given) == []


@pytest.mark.parametrize("written", ["'true'", "1", "tRue", "[true]", '"yes"', "!!str yes"])
def test_no_flag(written: str) -> None:
    given = section(f"flag: {written}")
    assert given.flag("flag", default=True) is True
    assert reported(given) == [("flag", 1, "must be true or false")]


def test_choice() -> None:
    options = ("zero", "drop")
    assert section("onNaN: drop").choice("onNaN", options, "zero") == "drop"
    assert section("onNaN: null").choice("onNaN", options, "zero") == "zero"
    assert section("").choice("onNaN", options, "zero") == "zero"
    given = section("onNaN: Drop")
    assert given.choice("onNaN", options, "zero") == "zero"
    assert reported(given) == [("onNaN", 1, "must be one of zero, drop")]
    given = section("onNaN: [drop]")
    assert given.choice("onNaN", options, "zero") == "zero"
    assert reported(given) == [("onNaN", 1, "must be text, not a list or a mapping")]


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("Text", "did you mean text?"),
        ("txt", "did you mean text?"),
        ("onNan", "did you mean onNaN?"),
        ("zzzzzz", "known are text, flag, list, inner, onNaN"),
    ],
)
def test_unknown_keys_are_reported_with_the_nearest(key: str, advice: str) -> None:
    given = section(f"flag: true\n{key}: 1")
    assert reported(given) == [("", 2, f"unknown key {key}: {advice}")]


def test_a_section_in_a_section() -> None:
    given = section("inner:\n  text: [x]\n  more: 1")
    inner = given.section("inner", ("text",))
    inner.text("text")
    assert inner.path == "inner"
    assert reported(given) == [
        ("inner", 3, "unknown key more: known are text"),
        ("inner.text", 2, "must be text, not a list or a mapping"),
    ]


@pytest.mark.parametrize("text", ["inner: null", "inner: {}", ""])
def test_an_absent_section_is_empty(text: str) -> None:
    given = section(text)
    assert given.section("inner", ("text",)).text("text").value == ""
    assert reported(given) == []


@pytest.mark.parametrize("text", ["inner: x", "inner: [x]", "inner: ''"])
def test_no_section(text: str) -> None:
    given = section(text)
    assert not given.section("inner", ("text",)).has("text")
    assert reported(given) == [("inner", 1, "must be a mapping of keys to values")]


def test_items() -> None:
    given = section("list: [a, {b: c}]")
    assert [(path, node.line) for path, node in given.items("list")] == [
        ("list[0]", 1),
        ("list[1]", 1),
    ]
    assert list(section("list: null").items("list")) == []
    assert list(section("").items("list")) == []
    given = section("list: a")
    assert list(given.items("list")) == []
    assert reported(given) == [("list", 1, "must be a list")]


def test_has_means_more_than_null() -> None:
    given = section("text: ''\nflag:\nlist: []")
    assert given.has("text")
    assert given.has("list")
    assert not given.has("flag")
    assert not given.has("inner")


def test_warnings_are_apart_from_errors() -> None:
    given = section("text: a")
    given.add(diagnostics.NO_RULES, "text", "is odd", 1)
    warning = diagnostics.NO_RULES.at("is odd", "text", 1)
    assert given.report == Report(warnings=[warning], warning_count=1)


def test_what_is_reported_is_bounded() -> None:
    given = section("{" + ", ".join(f"key{number}: 1" for number in range(1000)) + "}")
    for _ in range(1000):
        given.add(diagnostics.NO_RULES, "text", "is odd", 1)
    assert len(given.report.errors) == len(given.report.warnings) == 100
    assert given.report.error_count == given.report.warning_count == 1000
    given.report.errors.clear()
    given.add(diagnostics.WRONG_TYPE, "text", "x" * 10_000, 1)
    assert len(given.report.errors[0].message) == 503
