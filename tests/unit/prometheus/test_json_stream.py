"""Cutting an answer into elements never changes what is read, wherever the bytes are split."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.prometheus.json_stream import JsonArrayStream

AWKWARD = st.text(st.sampled_from('"\\},{[]:a\u2028é')) | st.just('"},{"') | st.just("},{" * 9)
ELEMENTS = st.lists(st.dictionaries(AWKWARD, AWKWARD, min_size=1, max_size=3), max_size=12)


def split(document: bytes, *, slice_bytes: int, chunk: int) -> tuple[list[Any], Any, bool]:
    stream = JsonArrayStream(slice_bytes)
    early: list[Any] = []
    for start in range(0, len(document), chunk):
        early += stream.feed(document[start : start + chunk])
    return early, stream.finish(), stream.taken


def put_together(early: list[Any], rest: list[Any], taken: bool) -> list[Any]:
    if not taken:
        return rest
    assert rest[0] == 0
    return early + rest[1:]


@given(ELEMENTS, st.integers(1, 64), st.integers(1, 64))
def test_elements_come_out_as_they_went_in(
    elements: list[dict[str, str]], slice_bytes: int, chunk: int
) -> None:
    document = orjson.dumps({"status": "success", "data": elements, "warnings": ["},{"]})
    early, rest, taken = split(document, slice_bytes=slice_bytes, chunk=chunk)
    assert put_together(early, rest["data"], taken) == elements
    assert rest["status"] == "success"
    assert rest["warnings"] == ["},{"]


@given(ELEMENTS, st.integers(1, 64))
def test_the_array_may_lie_deeper(elements: list[dict[str, str]], slice_bytes: int) -> None:
    document = orjson.dumps({"data": {"resultType": "vector", "result": elements}})
    early, rest, taken = split(document, slice_bytes=slice_bytes, chunk=16)
    assert put_together(early, rest["data"]["result"], taken) == elements


def test_a_short_answer_is_parsed_as_a_whole() -> None:
    document = b'{"data":[{"a":"b"},{"c":"d"}]}'
    assert split(document, slice_bytes=1000, chunk=5) == (
        [],
        {"data": [{"a": "b"}, {"c": "d"}]},
        False,
    )


def test_a_long_one_is_given_early() -> None:
    elements = [{"n": str(i), "x": "y" * 20} for i in range(100)]
    document = orjson.dumps({"data": elements})
    early, rest, taken = split(document, slice_bytes=200, chunk=64)
    assert taken
    assert len(early) > 90
    assert put_together(early, rest["data"], taken) == elements


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'{"data": [{"a": "b"}, {"a": "c"}, {"a": "d"}]}', id="spaces"),
        pytest.param(b'{"data":[["a"],["b"],["c"],["d"],["e"],["f"]]}', id="no objects"),
        pytest.param(b'{"data":[{"a":[{"b":1},{"b":2},{"b":3},{"b":4}]}]}', id="nested"),
        pytest.param(b'{"warnings":["[{a},{b},{c}"],"data":[{"a":"b"}]}', id="in a string"),
    ],
)
def test_what_cannot_be_cut_is_kept_whole(document: bytes) -> None:
    early, rest, taken = split(document, slice_bytes=10, chunk=50)
    assert (early, taken) == ([], False)
    assert rest == orjson.loads(document)


def test_elements_of_another_array_leave_the_expected_one_without_the_mark() -> None:
    document = b'{"infos":[{"a":1},{"a":2},{"a":3}],"data":[{"b":1}]}'
    early, rest, taken = split(document, slice_bytes=20, chunk=8)
    assert taken
    assert early[0] == {"a": 1}
    assert rest["data"] == [{"b": 1}]


@pytest.mark.parametrize("cut", [1, 2, 10, 40, 60])
def test_an_answer_that_breaks_off_is_no_json(cut: int) -> None:
    document = orjson.dumps({"data": [{"n": str(i)} for i in range(20)]})
    stream = JsonArrayStream(50)
    stream.feed(document[:-cut])
    with pytest.raises(orjson.JSONDecodeError):
        stream.finish()


@pytest.mark.parametrize("garbage", [b'{"n":"1"}}', b'{"n":1,,}', b'{"n":"\xff"}', b"]", b'"'])
def test_garbage_between_elements_is_no_json(garbage: bytes) -> None:
    good = b",".join(b'{"n":"%d"}' % i for i in range(20))
    document = b'{"data":[' + good + b"," + garbage + b"," + good + b"]}"
    with pytest.raises(orjson.JSONDecodeError):
        split(document, slice_bytes=32, chunk=16)
