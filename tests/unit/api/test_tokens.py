"""Rows A12 to A15: what a bearer header means and how often the cluster is asked."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest

from metrics_apiserver.api import tokens
from metrics_apiserver.api.tokens import TokenAuthenticator
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import UserInfo
from tests.fakes.servers import until


class Reviewer:
    """Knows tokens by name, counts, and can be held or broken."""

    def __init__(self) -> None:
        self.users: dict[str, UserInfo] = {"good": UserInfo("bob")}
        self.asked: list[tuple[int, tuple[str, ...]]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.broken = False

    async def review(self, token: str, audiences: Sequence[str] = ()) -> UserInfo | None:
        self.asked.append((len(token), tuple(audiences)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.hold.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if self.broken:
            raise errors.Unavailable("no answer")
        return self.users.get(token)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("", ""),
        ("Bearer T", "T"),
        ("bearer T", "T"),
        ("BEARER T", "T"),
        (" Bearer T ", "T"),
        ("Bearer  T", ""),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer T more", "T"),
        ("Basic dXNlcjpwYXNz", ""),
        ("Bearertoken T", ""),
        ("T", ""),
    ],
)
def test_the_header_as_go_reads_it(header: str, token: str) -> None:
    assert tokens.bearer_token(header) == token


async def test_both_answers_are_remembered_for_their_time() -> None:
    reviewer, clock = Reviewer(), Clock()
    subject = TokenAuthenticator(reviewer, clock=clock)
    for _ in range(3):
        assert await subject.authenticate("good") == UserInfo("bob")
        assert await subject.authenticate("bad") is None
    assert len(reviewer.asked) == 2
    del reviewer.users["good"]
    clock.now += 9.9
    assert await subject.authenticate("good") == UserInfo("bob")
    clock.now += 0.2
    assert await subject.authenticate("good") is None


async def test_failures_are_not_remembered() -> None:
    reviewer = Reviewer()
    subject = TokenAuthenticator(reviewer)
    reviewer.broken = True
    with pytest.raises(errors.Unavailable):
        await subject.authenticate("good")
    reviewer.broken = False
    assert await subject.authenticate("good") == UserInfo("bob")


async def test_nothing_is_remembered_when_told_so() -> None:
    reviewer = Reviewer()
    subject = TokenAuthenticator(reviewer, ttl_seconds=0)
    await subject.authenticate("good")
    await subject.authenticate("good")
    assert len(reviewer.asked) == 2


async def test_a_thousand_equal_tokens_make_one_review() -> None:
    reviewer = Reviewer()
    reviewer.hold.clear()
    subject = TokenAuthenticator(reviewer)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(subject.authenticate("good"))
        others = [group.create_task(subject.authenticate("good")) for _ in range(999)]
        await until(lambda: reviewer.asked)
        first.cancel()
        await asyncio.sleep(0)
        reviewer.hold.set()
    assert first.cancelled()
    assert {other.result() for other in others} == {UserInfo("bob")}
    assert len(reviewer.asked) == 1


async def test_at_most_twenty_reviews_run_at_once() -> None:
    reviewer = Reviewer()
    subject = TokenAuthenticator(reviewer)
    async with asyncio.TaskGroup() as group:
        for i in range(500):
            group.create_task(subject.authenticate(f"random-{i}"))
    assert reviewer.most_at_once == 20
    assert len(reviewer.asked) == 500


async def test_audiences_are_asked_for_and_part_of_the_question() -> None:
    reviewer = Reviewer()
    subject = TokenAuthenticator(reviewer, audiences=("metrics", "x"))
    await subject.authenticate("good")
    assert reviewer.asked == [(4, ("metrics", "x"))]


async def test_a_question_is_not_ambiguous() -> None:
    one = TokenAuthenticator(Reviewer(), audiences=("bc",))
    other = TokenAuthenticator(Reviewer(), audiences=("c",))
    other._secret = one._secret
    assert one._key("a") != other._key("ab")
    assert one._key("a") == one._key("a")


async def test_a_token_no_cluster_issues_is_not_sent() -> None:
    reviewer = Reviewer()
    subject = TokenAuthenticator(reviewer)
    assert await subject.authenticate("x" * 100_000) is None
    assert not reviewer.asked
    assert await subject.authenticate("bytes\udce9") is None


async def test_no_token_stays_in_memory() -> None:
    subject = TokenAuthenticator(Reviewer())
    secret = "-".join(["canary", "token", "4711"])
    await subject.authenticate(secret)
    del secret
    gc.collect()
    found = [text for text in gc.get_objects() if isinstance(text, str) and "canary-tok" in text]
    assert not found
    assert "canary-tok" not in repr(subject._cache._entries)
