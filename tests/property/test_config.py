"""No text makes the reader of rule files raise anything but ConfigError."""

import contextlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.core.rules import config, yamlload

ROOT = Path(__file__).parents[2]
GOOD = [
    path.read_bytes()
    for path in (*(ROOT / "config").glob("*.yaml"), ROOT / "tests/conformance/config-broad.yaml")
]
WORDS = st.sampled_from(
    [
        "rules", "externalRules", "resourceRules", "seriesQuery", "seriesFilters", "is", "isNot",
        "resources", "template", "overrides", "namespaced", "name", "matches", "as", "metricsQuery",
        "onNaN", "onDuplicate", "cpu", "memory", "window", "group", "resource",
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(
        ["<<.Resource>>", "<<.Series>>{<<.LabelMatchers>>}", "up", "(a)(b)", "$1", "<<", ">>", "5m"]
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


def read(text: bytes) -> None:
    with contextlib.suppress(ConfigError):
        config.parse(text, "f")


@given(st.binary(max_size=200))
def test_any_bytes(text: bytes) -> None:
    read(text)


@given(st.text(alphabet="ab:-[]{}?&*!|>%@`\"'\\#\n \t<,1~", max_size=60))
def test_any_yaml_like_text(text: str) -> None:
    read(text.encode())


@given(st.dictionaries(WORDS, TREES, max_size=4))
def test_any_tree_of_known_words(tree: object) -> None:
    read(_flow(tree).encode("utf-8", "surrogatepass"))


def _flow(value: object) -> str:
    """YAML in flow style; text is quoted as JSON does, which YAML reads."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "null" if value is None else str(value).lower()


@settings(max_examples=200)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), st.binary(max_size=6)), max_size=4),
)
def test_damaged_files(text: bytes, damage: list[tuple[float, int, bytes]]) -> None:
    for place, length, inserted in damage:
        start = int(place * len(text))
        text = text[:start] + inserted + text[start + length :]
    read(text)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_single_quoted_text_is_kept(text: str) -> None:
    """Whatever YAML can hold at all comes back as it was, but for line breaks."""
    if any(char in text for char in "\r\n\x85\u2028\u2029"):
        return
    try:
        document = yamlload.load(f"a: {_flow(text)}".encode(), "f")
    except ConfigError:
        assert any(not char.isprintable() for char in text)
        return
    assert isinstance(document.root, yamlload.Mapping)
    value = document.root.entries[0].value
    assert isinstance(value, yamlload.Scalar)
    assert value.value == text
