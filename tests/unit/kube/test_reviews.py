"""Only a complete and consistent review is an identity or a permission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.reviews import (
    AccessDecision,
    AccessReviewer,
    LabelRequirement,
    NonResourceAttributes,
    ResourceAttributes,
    RetryPolicy,
    TokenReviewer,
)
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import Fault, status

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
QUICK = RetryPolicy(first_wait_seconds=0.01)
BOB = UserInfo("bob", "12", ("g1", "system:authenticated"), (("scopes", ("a",)),))
READ = ResourceAttributes(
    verb="get",
    group="custom.metrics.k8s.io",
    version="v1beta1",
    resource="pods",
    subresource="foo",
    namespace="default",
    name="*",
)


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as server:
        server.users = {
            "good": {
                "username": "bob",
                "uid": "12",
                "groups": ["g1", "system:authenticated"],
                "extra": {"scopes": ["a"]},
                "audiences": ["metrics"],
            },
            "bare": {"username": "alice"},
        }
        yield server


@pytest.fixture
async def client(api: FakeKubeAPI) -> AsyncIterator[KubeClient]:
    async with KubeClient(api.config()) as made:
        yield made


async def test_tokens(api: FakeKubeAPI, client: KubeClient) -> None:
    reviewer = TokenReviewer(client)
    assert await reviewer.review("good") == BOB
    assert await reviewer.review("bare") == UserInfo("alice")
    assert await reviewer.review("bad") is None
    assert api.requests[0].body == {
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "spec": {"token": "good"},
    }


async def test_audiences(api: FakeKubeAPI, client: KubeClient) -> None:
    reviewer = TokenReviewer(client)
    assert await reviewer.review("good", ["metrics", "other"]) == BOB
    assert await reviewer.review("good", ["other"]) is None
    body = {"kind": "TokenReview", "status": {"authenticated": True, "user": {"username": "x"}}}
    api.fail(TOKENS, Fault("raw", body=orjson.dumps(body)))
    assert await reviewer.review("good", ["metrics"]) is None


async def test_a_token_that_is_no_text(api: FakeKubeAPI, client: KubeClient) -> None:
    assert await TokenReviewer(client).review("\udce9") is None
    assert api.requests == []


def _review(**user: Any) -> bytes:
    kind = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
    return orjson.dumps({**kind, "status": {"authenticated": True, "user": user}})


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"kind":"Status","status":"Failure"}',
        b'{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","status":{}}',
        b'{"status":[]}',
        b'{"kind":"TokenReview","status":{"authenticated":"true"}}',
        b'{"kind":"TokenReview","status":{"authenticated":true}}',
        b'{"status":{"authenticated":true,"user":{"username":"x"}}}',
        _review(),
        _review(username=""),
        _review(username=5),
        _review(username="x", uid=5),
        _review(username="x", groups="g"),
        _review(username="x", groups=[1]),
        _review(username="x", extra=[]),
        _review(username="x", extra={"a": "b"}),
        b" " * (1 << 20) + _review(username="x"),
    ],
)
async def test_answers_that_are_no_identity(
    api: FakeKubeAPI, client: KubeClient, body: bytes
) -> None:
    api.fail(TOKENS, Fault("raw", body=body))
    with pytest.raises(errors.Unavailable) as caught:
        await TokenReviewer(client).review("good")
    assert "good" not in f"{caught.value}{caught.value.detail}"
    assert api.count(TOKENS) == 1


async def test_retries(api: FakeKubeAPI, client: KubeClient) -> None:
    for fault in (status(500), status(504), Fault("reset"), status(429)):
        api.fail(TOKENS, fault)
    assert await TokenReviewer(client, QUICK).review("good") == BOB
    assert api.count(TOKENS) == 5


async def test_retries_end(api: FakeKubeAPI, client: KubeClient) -> None:
    api.fail(TOKENS, status(500), times=100)
    with pytest.raises(errors.Unavailable):
        await TokenReviewer(client, QUICK).review("good")
    assert api.count(TOKENS) == 5


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 502, 503])
async def test_other_answers_are_not_repeated(
    api: FakeKubeAPI, client: KubeClient, code: int
) -> None:
    api.fail(TOKENS, status(code))
    with pytest.raises(errors.KubeError) as caught:
        await TokenReviewer(client).review("good")
    assert caught.value.status == code
    assert ("system:auth-delegator" in caught.value.detail) == (code == 403)
    assert api.count(TOKENS) == 1


async def test_the_whole_of_it_has_a_deadline(api: FakeKubeAPI, client: KubeClient) -> None:
    for fault in (status(503, retry_after=60), Fault("hang")):
        api.fail(TOKENS, fault)
        with pytest.raises(errors.KubeError) as caught:
            await TokenReviewer(client, RetryPolicy(timeout_seconds=0.1)).review("good")
        assert caught.value.kind == "timeout"
    assert RetryPolicy().timeout_seconds == 10


async def test_access(api: FakeKubeAPI, client: KubeClient) -> None:
    reviewer = AccessReviewer(client)
    assert await reviewer.review(BOB, READ) == AccessDecision(True)
    assert api.requests[0].body == {
        "kind": "SubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {
            "resourceAttributes": {
                "namespace": "default",
                "verb": "get",
                "group": "custom.metrics.k8s.io",
                "version": "v1beta1",
                "resource": "pods",
                "subresource": "foo",
                "name": "*",
            },
            "user": "bob",
            "groups": ["g1", "system:authenticated"],
            "extra": {"scopes": ["a"]},
            "uid": "12",
        },
    }
    api.authorize = lambda _: {"allowed": False, "reason": "no binding"}
    assert await reviewer.review(BOB, READ) == AccessDecision(False, "no binding")
    api.authorize = lambda _: {"allowed": False, "denied": True}
    assert await reviewer.review(BOB, READ) == AccessDecision(False)


async def test_attributes(api: FakeKubeAPI, client: KubeClient) -> None:
    reviewer = AccessReviewer(client)
    await reviewer.review(UserInfo("x"), NonResourceAttributes("/metrics", "get"))
    spec = api.requests[0].body["spec"]
    assert spec == {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}, "user": "x"}
    listed = ResourceAttributes(
        verb="list",
        group="external.metrics.k8s.io",
        version="v1beta1",
        resource="depth",
        label_requirements=(
            LabelRequirement("queue", "In", ("a",)),
            LabelRequirement("gone", "DoesNotExist"),
        ),
    )
    await reviewer.review(UserInfo("x"), listed)
    assert api.requests[1].body["spec"]["resourceAttributes"]["labelSelector"] == {
        "requirements": [
            {"key": "queue", "operator": "In", "values": ["a"]},
            {"key": "gone", "operator": "DoesNotExist"},
        ]
    }


def _access(**fields: Any) -> bytes:
    return orjson.dumps({"kind": "SubjectAccessReview", "status": fields})


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (b"{}", False),
        (_access(), False),
        (_access(denied=True), False),
        (_access(allowed=True), True),
        (_access(allowed=True, denied=True), None),
        (_access(allowed="true"), None),
        (_access(allowed=1), None),
        (_access(denied=0), None),
        (_access(reason=5), None),
        (b'{"status":{"allowed":true}}', None),
        (b'{"kind":"TokenReview","status":{"allowed":true}}', None),
        (b'{"status":null}', None),
        (b"not json", None),
    ],
)
async def test_answers_of_the_authorizer(
    api: FakeKubeAPI, client: KubeClient, body: bytes, allowed: bool | None
) -> None:
    api.fail(ACCESS, Fault("raw", body=body))
    reviewer = AccessReviewer(client)
    if allowed is None:
        with pytest.raises(errors.AuthorizerFailed, match="could not be checked"):
            await reviewer.review(BOB, READ)
    else:
        assert (await reviewer.review(BOB, READ)).allowed is allowed


async def test_no_decision_is_a_refusal(api: FakeKubeAPI, client: KubeClient) -> None:
    reviewer = AccessReviewer(client)
    with pytest.raises(errors.AuthorizerFailed, match="Unicode"):
        await reviewer.review(UserInfo("\udce9"), READ)
    api.fail(ACCESS, status(403))
    with pytest.raises(errors.AuthorizerFailed) as caught:
        await reviewer.review(BOB, READ)
    assert "system:auth-delegator" in caught.value.detail
    await api.stop()
    with pytest.raises(errors.AuthorizerFailed):
        await reviewer.review(BOB, READ)


async def test_a_failure_that_repeats_the_token_keeps_it_out_of_the_error(
    api: FakeKubeAPI, client: KubeClient
) -> None:
    api.fail(TOKENS, Fault("status", 400, {}, b'{"message":"cannot read SECRET-1"}'))
    with pytest.raises(errors.KubeError) as caught:
        await TokenReviewer(client, QUICK).review("SECRET-1")
    assert caught.value.detail == "cannot read [redacted]"
