import itertools

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core.rules import yamlload
from metrics_apiserver.core.rules.yamlload import Mapping, Node, Scalar, Sequence


def load(text: str | bytes) -> Node:
    document = yamlload.load(text.encode() if isinstance(text, str) else text, "f.yaml")
    assert document.diagnostics == ()
    return document.root


def value(text: str) -> Scalar:
    """The value of the first key."""
    root = load(text)
    assert isinstance(root, Mapping)
    node = root.entries[0].value
    assert isinstance(node, Scalar)
    return node


def test_nodes_and_their_lines() -> None:
    root = load("# rules\na: 1\nb:\n- x\n- {c: 'y'}\n")
    assert isinstance(root, Mapping)
    a, b = root.entries
    assert (a.key, a.line, a.value) == ("a", 2, Scalar("1", 2, plain=True))
    assert isinstance(b.value, Sequence)
    assert (b.line, b.value.line) == (3, 4)
    first, second = b.value.items
    assert first == Scalar("x", 4, plain=True)
    assert isinstance(second, Mapping)
    assert second.entries[0].value == Scalar("y", 5)


@pytest.mark.parametrize(
    ("text", "null"),
    [
        ("a:", True),
        ("a: ~", True),
        ("a: null", True),
        ("a: Null", True),
        ("a: NULL", True),
        ("a: nuLL", False),
        ("a: ''", False),
        ("a: 'null'", False),
        ("a: !!str", False),
        ("a: !!str null", False),
        ("a: ! null", False),
        ("a: no", False),
    ],
)
def test_null_is_unquoted(text: str, null: bool) -> None:
    assert value(text).null is null


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "--- null\n", "\ufeff"])
def test_nothing_is_null(text: str) -> None:
    root = load(text)
    assert isinstance(root, Scalar)
    assert root.null


@pytest.mark.parametrize(
    ("text", "offset", "line"),
    [
        ("a: |\n  x\n  yy\n  z\n", 0, 2),
        ("a: |\n  x\n  yy\n  z\n", 3, 3),
        ("a: |\n  x\n  yy\n  z\n", 5, 4),
        ("a: |\n  x\n  y\n", 4, 3),
        ("a: |\n  x\n", -1, 1),
        ("a: >\n  x\n  y\n", 3, 1),
        ("a: xyz\n", 2, 1),
    ],
)
def test_line_at(text: str, offset: int, line: int) -> None:
    assert value(text).line_at(offset) == line


def test_templates_need_no_quotes() -> None:
    query = "ceil(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[3m]))"
    assert value(f"metricsQuery: {query}\n").value == query
    assert value("q: <<.Series>>{<<.LabelMatchers>>}").value == "<<.Series>>{<<.LabelMatchers>>}"


def test_a_closing_separator_is_no_second_document() -> None:
    assert isinstance(load("a: 1\n---\n"), Mapping)
    assert isinstance(load("a: 1\n...\n"), Mapping)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\n---\nb: 1\n", 3, "more than one document"),
        ("a: 1\n---\nb\n", 3, "more than one document"),
        ("a: 1\nb: *x\n", 2, "the alias *x has no anchor before it"),
        ("a: &x {b: *x}\n", 1, "the alias *x stands inside its own value"),
        ("a:\n  <<: 1\n", 2, "a merge key (<<) needs a mapping"),
        ("a:\n  <<: [{b: 1}, c]\n", 2, "a merge key (<<) needs a mapping"),
        ("a: &x " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*x", 2, "deeper than 50"),
        ("? [a]\n: 1\n", 1, "a key must be a word"),
        ("? {a: 1}\n: 1\n", 1, "a key must be a word"),
        ("? " + "a" * 201 + "\n: 1\n", 1, "a key is longer than 200"),
        ("a: !!python/object:os.system x\n", 1, "tag:yaml.org,2002:python/object:os.system"),
        ("a: !custom x\n", 1, "the tag !custom is not allowed"),
        ("a: !!binary aGk=\n", 1, "binary is not allowed"),
        ("a: 1\nb: [\n", 3, "is not YAML: did not find expected node content"),
        ("a: b: c\n", 1, "is not YAML: mapping values are not allowed"),
        ("a: \x01\n", 1, "control character U+0001"),
        ("a: 1\nb: \x00\n", 2, "control character U+0000"),
        ('a: "\\ud800"\n', 1, "is not YAML: found invalid Unicode"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        (b"a: \xed\xa0\x80\n", 1, "is not UTF-8"),
        ("%YAML 2.0\n---\na: 1\n", 1, "is not YAML: found incompatible YAML document"),
        ("[" * 51, 1, "is nested deeper than 50"),
        ("{a: " * 51, 1, "is nested deeper than 50"),
        ("- " * 51, 1, "is nested deeper than 50"),
        ("[" * 100_000, 1, "nest"),
        ("? " * 100_000, 1, "nested deeper than 50"),
        ("#" * (1 << 20) + "#", 0, "is longer than 1048576 bytes"),
    ],
    ids=lambda argument: repr(argument)[:30],
)
def test_refused(text: str | bytes, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    (diagnostic,) = caught.value.diagnostics
    assert message in diagnostic.message
    assert diagnostic.line == line


def test_bounds_are_inclusive() -> None:
    node = load("[" * 50 + "]" * 50)
    for _ in range(49):
        assert isinstance(node, Sequence)
        (node,) = node.items
    assert node == Sequence((), 1)
    load("#" * (1 << 20))


def test_an_alias_bomb_is_refused_at_once() -> None:
    names = [f"n{number}" for number in range(200)]
    for copies in (2, 9):
        bomb = "n0: &n0 [x,x]\n" + "".join(
            f"{name}: &{name} [{','.join([f'*{before}'] * copies)}]\n"
            for before, name in itertools.pairwise(names)
        )
        with pytest.raises(ConfigError, match=r"repeats more than 100000 values by its aliases"):
            load(bomb)


def plain(text: str) -> object:
    """A document as Python values."""

    def value(node: Node) -> object:
        if isinstance(node, Mapping):
            return {entry.key: value(entry.value) for entry in node.entries}
        if isinstance(node, Sequence):
            return [value(item) for item in node.items]
        return node.value

    document = yamlload.load(text.encode(), "f")
    assert document.diagnostics == ()
    return value(document.root)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a: &x 1\nb: *x\nc: [*x, *x]", "a: 1\nb: 1\nc: [1, 1]"),
        ("a: &x {y: &y [1]}\nb: *x\nc: *y", "a: {y: [1]}\nb: {y: [1]}\nc: [1]"),
        ("a: &x 1\nb: &x 2\nc: *x", "a: 1\nb: 2\nc: 2"),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", "a: {b: 1, c: 2}\nd: {b: 1, c: 3}"),
        # As the predecessor's yaml.v2 does, and not as YAML 1.1 says.
        ("a: {c: 3, <<: {b: 1, c: 2}}", "a: {c: 2, b: 1}"),
        ("a: {<<: [{b: 1}, {b: 2, c: 3}]}", "a: {b: 1, c: 3}"),
        ("a: {<<: {b: 1}, <<: {b: 2}}", "a: {b: 2}"),
        (
            "a: {<<: {resources: {template: t, overrides: {p: {resource: pod}}}, name: {as: x}}, "
            "name: {matches: y}, resources: {overrides: {n: {resource: node}}}}",
            "a: {resources: {template: t, overrides: {p: {resource: pod}, n: {resource: node}}}, "
            "name: {as: x, matches: y}}",
        ),
        ("a: {<<: {f: [1]}, f: [2]}", "a: {f: [2]}"),
        ("a: {<<: {name: {as: x}}, name: y}", "a: {name: y}"),
        ("a: {'<<': {b: 1}}", "a: {'<<': {b: 1}}"),
    ],
)
def test_aliases_and_merge_keys(text: str, same: str) -> None:
    assert plain(text) == plain(same)


def test_a_key_that_is_repeated_by_an_alias_or_a_merge_key() -> None:
    (found,) = yamlload.load(b"a: &x 1\nb: *x\nb: *x\n", "f").diagnostics
    assert (found.line, found.message) == (3, "the key b is there already, in line 2")
    merged = b"a:\n  <<: {overrides: {p: {resource: pod}}}\n  overrides: {p: {resource: node}}\n"
    (found,) = yamlload.load(merged, "f").diagnostics
    assert (found.line, found.message) == (3, "the key p is there already, by a merge key (<<)")


def test_a_large_file_without_aliases_is_within_the_budget() -> None:
    load("a: &x [" + "1," * 300_000 + "]\n")


def test_every_repeated_key_is_reported_and_the_first_is_kept() -> None:
    document = yamlload.load(b"a: 1\na: 2\nb:\n  c: 3\n  'c': 3\n  d: 4\n", "f")
    assert [(diagnostic.line, diagnostic.message) for diagnostic in document.diagnostics] == [
        (2, "the key a is there already, in line 1"),
        (5, "the key c is there already, in line 4"),
    ]
    assert isinstance(document.root, Mapping)
    assert document.root.entries[0].value == Scalar("1", 1, plain=True)
    assert len(yamlload.load(b"a: 1\n" * 1000, "f").diagnostics) == 100
