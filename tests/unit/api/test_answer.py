from __future__ import annotations

import re
import uuid

import pytest
from multidict import CIMultiDict

from metrics_apiserver.api import answer
from metrics_apiserver.api.answer import Answer
from metrics_apiserver.api.encoding import Encoded


@pytest.mark.parametrize("given", ["abc", "0b8bb7e9-5f1c-4a1e-8a43-3d2d2a0d5d3c", "x" * 64])
def test_the_callers_audit_identifier_is_kept(given: str) -> None:
    assert answer.common_headers(CIMultiDict({"audit-id": given}))["Audit-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "é", "a\x00b", "a\udce9"])
def test_what_is_none_is_replaced(given: str) -> None:
    made = [answer.common_headers({"Audit-ID": given})["Audit-Id"] for _ in range(50)]
    assert len(set(made)) == 50
    for text in made:
        assert str(uuid.UUID(text)) == text
        assert uuid.UUID(text).version == 4
        assert uuid.UUID(text).variant == uuid.RFC_4122


def test_every_answer_forbids_caching_and_has_a_date() -> None:
    headers = answer.common_headers({})
    assert headers["Cache-Control"] == "no-cache, private"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["Date"])


def test_keep_alive_is_as_told() -> None:
    assert Answer(Encoded(b""), keep_alive=True).keep_alive
    assert not Answer(Encoded(b"", status=404), keep_alive=False).keep_alive


async def test_nothing_is_written_before_the_head() -> None:
    written: list[bool] = []
    subject = Answer(Encoded(b"x"), keep_alive=True, written=lambda: written.append(True))
    await subject.write_eof()
    assert not written
