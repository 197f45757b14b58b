from __future__ import annotations

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.kube import collection


def test_pages() -> None:
    page = {"metadata": {"resourceVersion": "7", "continue": "t"}, "items": [{"a": 1}]}
    assert collection.read_page("/x", page) == ([{"a": 1}], "7", "t")
    with pytest.raises(errors.KubeError) as caught:
        collection.read_page("/x", {"metadata": {}, "items": []})
    assert "/x is not a list" in caught.value.detail


def test_events() -> None:
    event = collection.read_event(b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"7"}}}')
    assert (event.kind, event.version) == ("ADDED", "7")
    assert event.item == {"metadata": {"resourceVersion": "7"}}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'{"type":[],"object":{}}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":7}}}',
        b'{"type":"OTHER","object":{"metadata":{"resourceVersion":"7"}}}',
    ],
)
def test_what_is_no_event(line: bytes) -> None:
    with pytest.raises(errors.KubeError) as caught:
        collection.read_event(line)
    assert caught.value.kind == "protocol"


def test_error_events() -> None:
    line = b'{"type":"ERROR","object":{"code":410,"message":"too old"}}'
    with pytest.raises(errors.KubeError) as caught:
        collection.read_event(line)
    assert (caught.value.status, caught.value.detail) == (410, "too old")
    with pytest.raises(errors.KubeError) as caught:
        collection.read_event(b'{"type":"ERROR","object":{"code":"x","details":null}}')
    assert (caught.value.status, caught.value.retry_after) == (500, None)
