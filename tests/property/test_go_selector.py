"""Selectors: the same verdict, words, canonical text, matches and LabelSelector as apimachinery."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metrics_apiserver.base.errors import BadRequest, InvalidSelector
from metrics_apiserver.core import selector
from tests.fakes.oracle import Oracle, is_settled

pytestmark = pytest.mark.timeout(600)

WORDS = ["a", "b", "in", "notin", "app.kubernetes.io/name", "x_1", "5", "-5", "+7", "0", "A-b"]
ODD = ["é", "\x00", "/", "_", "a" * 64, "x/y/z", "/a", "B/a", "9" * 20, '"', "\u00a0", "&", "-"]
SIGNS = ["=", "==", "!=", "!", "(", ")", ",", "<", ">", " ", "\t", "\n"]
LABELS = [
    {},
    {"a": "b"},
    {"a": "", "b": "a"},
    {"a": "5", "x_1": "A-b"},
    {"in": "notin", "b": "x_1", "notin": "7"},
    {"a": "-5", "app.kubernetes.io/name": "a"},
]

loose = st.lists(st.sampled_from(WORDS + SIGNS + ODD), max_size=14).map("".join)
values = st.lists(st.sampled_from([*WORDS, ""]), min_size=1, max_size=4).map(",".join)
requirement = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(WORDS).map("!{}".format),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(WORDS),
        st.sampled_from(["", " "]),
        st.sampled_from(["=", "==", "!=", ">", "<"]),
        st.sampled_from([*WORDS, ""]),
    ),
    st.builds(
        "{} {} ({})".format, st.sampled_from(WORDS), st.sampled_from(["in", "notin"]), values
    ),
)
well_formed = st.lists(requirement, max_size=4).map(",".join)


@given(text=st.one_of(loose, well_formed, st.text(max_size=12).filter(is_settled)))
@example("a=b=c")
@example("a in ()")
@example("a in (,)")
@example("a in (b")
@example("!a=b")
@example("a,,b")
@example("a>1,b<x")
@example("a\x00=b")
@example("a=b\x00")
@example(" \x00 a")
@example("a>é")
@example("a in (é,ü)")
@example("a" * 64 + "-")
@example("é" * 64 + "=b")
@example("a=" + "b" * 64)
@example("x" * 254 + "/a")
def test_every_text_is_read_as_apimachinery_reads_it(oracle: Oracle, text: str) -> None:
    answer = oracle.ask("selector", text=text, labels=LABELS)
    if "error" in answer:
        with pytest.raises(InvalidSelector) as caught:
            selector.parse(text)
        assert caught.value.message == answer["error"]
        return
    parsed = selector.parse(text)
    assert str(parsed) == answer["text"]
    assert [parsed.matches(labels) for labels in LABELS] == answer["matches"]
    assert selector.parse(str(parsed)) == parsed
    if "object" in answer:
        assert (selector.to_label_selector(parsed) or {}) == answer["object"]
    else:
        only_ours = any(r.operator is selector.Operator.NOT_EQUALS for r in parsed.requirements)
        compares = {selector.Operator.GREATER_THAN, selector.Operator.LESS_THAN}
        if compares.intersection(r.operator for r in parsed.requirements):
            with pytest.raises(BadRequest):
                selector.to_label_selector(parsed)
        else:
            assert only_ours
