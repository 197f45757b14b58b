"""Rows B2 to B5: what is asked, what is remembered, and that doubt is refusal."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from metrics_apiserver.api import authz, requestinfo, status
from metrics_apiserver.api.authz import AllowedPaths, Attributes, Authorizer, DecisionTTL
from metrics_apiserver.base import errors
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube.reviews import (
    AccessDecision,
    LabelRequirement,
    NonResourceAttributes,
    ResourceAttributes,
)
from tests.fakes.servers import until

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
BOB = UserInfo("bob", groups=("g1", "system:authenticated"))
POD = f"{CUSTOM}/namespaces/default/pods/*/foo"

HEALTH_PATHS = ("/healthz", "/readyz", "/livez")


class Reviewer:
    """Allows what is on its list, counts, and can be held or broken."""

    def __init__(self) -> None:
        self.allowed = True
        self.reason = ""
        self.asked: list[tuple[UserInfo, Attributes]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.broken = False

    async def review(self, user: UserInfo, attributes: Attributes) -> AccessDecision:
        self.asked.append((user, attributes))
        await self.hold.wait()
        if self.broken:
            raise errors.AuthorizerFailed("the permission could not be checked")
        return AccessDecision(self.allowed, self.reason)


class Environment:
    def __init__(self, ttl: DecisionTTL = authz.DEFAULT_TTL) -> None:
        self.reviewer = Reviewer()
        self.now = 0.0
        self.subject = Authorizer(self.reviewer, AllowedPaths(HEALTH_PATHS), ttl, lambda: self.now)

    async def ask(self, target: str = POD, user: UserInfo = BOB, method: str = "GET") -> None:
        await self.subject.authorize(user, requestinfo.parse(method, target))


@pytest.fixture
def environment() -> Environment:
    return Environment()


async def test_masters_need_no_review(environment: Environment) -> None:
    environment.reviewer.allowed = False
    await environment.ask(user=UserInfo("x", groups=("a", "system:masters")))
    assert not environment.reviewer.asked
    with pytest.raises(errors.Forbidden):
        await environment.ask(user=UserInfo("system:masters"))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/readyz?verbose"])
async def test_health_is_for_everybody(environment: Environment, path: str) -> None:
    environment.reviewer.allowed = False
    for method in ("GET", "POST"):
        await environment.ask(path, method=method)
    assert not environment.reviewer.asked


@pytest.mark.parametrize(
    "path",
    [
        "/readyz/",
        "/readyz/ping",
        "/healthz/x",
        "/metrics",
        "/openapi/v2",
        "/version",
        "/debug/x",
        "/",
    ],
)
async def test_nothing_beside_it_is(environment: Environment, path: str) -> None:
    environment.reviewer.allowed = False
    with pytest.raises(errors.Forbidden):
        await environment.ask(path)
    assert environment.reviewer.asked == [(BOB, NonResourceAttributes(path, "get"))]


async def test_a_path_that_is_read_two_ways_is_never_asked_about(environment: Environment) -> None:
    for path in ("/healthz/../apis", "/livez%2f.."):
        with pytest.raises(errors.BadRequest):
            await environment.ask(path)
    assert not environment.reviewer.asked


def test_allowed_paths() -> None:
    paths = AllowedPaths(("/healthz", "metrics", "/debug/*", "/"))
    for path in ("/healthz", "/metrics", "/debug/", "/debug/x/y", "/"):
        assert paths.cover(path)
    for path in ("/healthz/", "/healthzz", "/debug", "/x", "//"):
        assert not paths.cover(path)
    assert AllowedPaths(("*",)).cover("/anything")
    assert not AllowedPaths(()).cover("/")
    with pytest.raises(ValueError, match="trailing"):
        AllowedPaths(("/a*b",))


async def test_an_allowed_prefix_is_no_resource(environment: Environment) -> None:
    subject = Authorizer(environment.reviewer, AllowedPaths(("/apis/*",)))
    environment.reviewer.allowed = False
    await subject.authorize(BOB, requestinfo.parse("GET", CUSTOM))
    with pytest.raises(errors.Forbidden):
        await subject.authorize(BOB, requestinfo.parse("GET", POD))


CUSTOM_GROUP = ("custom.metrics.k8s.io", "v1beta1")
EXTERNAL_GROUP = ("external.metrics.k8s.io", "v1beta1")


@pytest.mark.parametrize(
    ("method", "target", "attributes"),
    [
        (
            "GET",
            POD,
            ResourceAttributes("get", *CUSTOM_GROUP, "pods", "foo", "default", "*"),
        ),
        (
            "GET",
            f"{CUSTOM}/namespaces/a/metrics/m?labelSelector=a%3Db",
            ResourceAttributes("get", *CUSTOM_GROUP, "metrics", "", "a", "m"),
        ),
        (
            "GET",
            f"{CUSTOM}/nodes/n/m",
            ResourceAttributes("get", *CUSTOM_GROUP, "nodes", "m", "", "n"),
        ),
        (
            "DELETE",
            f"{EXTERNAL}/namespaces/a/q",
            ResourceAttributes("deletecollection", *EXTERNAL_GROUP, "q", "", "a"),
        ),
        (
            "GET",
            f"{EXTERNAL}/namespaces/a/q?watch=1",
            ResourceAttributes("watch", *EXTERNAL_GROUP, "q", "", "a"),
        ),
        (
            "GET",
            f"{EXTERNAL}/namespaces/a/q?fieldSelector=metadata.name%3Dx",
            ResourceAttributes("list", *EXTERNAL_GROUP, "q", "", "a", "x"),
        ),
        (
            "GET",
            f"{EXTERNAL}/namespaces/a/q?labelSelector=a%3Db,c!%3Dd,e+in+(g,f),h+notin+(i),j,!k,l%3E5",
            ResourceAttributes(
                "list",
                *EXTERNAL_GROUP,
                "q",
                "",
                "a",
                "",
                (
                    LabelRequirement("a", "In", ("b",)),
                    LabelRequirement("c", "NotIn", ("d",)),
                    LabelRequirement("e", "In", ("f", "g")),
                    LabelRequirement("h", "NotIn", ("i",)),
                    LabelRequirement("j", "Exists"),
                    LabelRequirement("k", "DoesNotExist"),
                ),
            ),
        ),
        (
            "GET",
            f"{EXTERNAL}/namespaces/a/q?labelSelector=a%3D(",
            ResourceAttributes("list", *EXTERNAL_GROUP, "q", "", "a"),
        ),
        (
            "GET",
            f"{EXTERNAL}/watch/namespaces/a/q?labelSelector=a%3Db",
            ResourceAttributes("watch", *EXTERNAL_GROUP, "q", "", "a"),
        ),
    ],
)
def test_what_is_asked(method: str, target: str, attributes: ResourceAttributes) -> None:
    assert authz.attributes_of(requestinfo.parse(method, target)) == attributes


async def test_both_decisions_are_remembered_for_their_time() -> None:
    environment = Environment(DecisionTTL(allowed_seconds=10, denied_seconds=5))
    await environment.ask()
    await environment.ask()
    environment.reviewer.allowed = False
    environment.now = 9.9
    await environment.ask()
    environment.now = 10.1
    for _ in range(2):
        with pytest.raises(errors.Forbidden):
            await environment.ask()
    assert len(environment.reviewer.asked) == 2
    environment.reviewer.allowed = True
    environment.now = 15.2
    await environment.ask()
    assert len(environment.reviewer.asked) == 3


@pytest.mark.parametrize(
    ("user", "target"),
    [
        (replace(BOB, name="eve"), POD),
        (replace(BOB, uid="1"), POD),
        (replace(BOB, groups=("g1",)), POD),
        (replace(BOB, extra=(("scopes", ("a",)),)), POD),
        (BOB, POD.replace("foo", "bar")),
        (BOB, POD.replace("*", "x")),
        (BOB, POD.replace("default", "other")),
        (BOB, POD.replace("v1beta1", "v1beta2")),
        (BOB, f"{CUSTOM}/nodes/*/foo"),
        (BOB, "/metrics"),
    ],
)
async def test_another_question_is_another_review(
    environment: Environment, user: UserInfo, target: str
) -> None:
    await environment.ask()
    await environment.ask(target, user)
    await environment.ask(target, user)
    assert len(environment.reviewer.asked) == 2


async def test_selectors_are_part_of_the_question_on_lists_only(environment: Environment) -> None:
    queue = f"{EXTERNAL}/namespaces/a/q"
    for target in (queue, f"{queue}?labelSelector=a%3Db", f"{queue}?labelSelector=a%3Dc"):
        await environment.ask(target)
        await environment.ask(target)
    assert len(environment.reviewer.asked) == 3
    await environment.ask(f"{POD}?labelSelector=a%3Db")
    await environment.ask(f"{POD}?labelSelector=a%3Dc&metricLabelSelector=x")
    assert len(environment.reviewer.asked) == 4


@pytest.mark.parametrize(("size", "asked"), [(9_000, 1), (10_001, 2)])
async def test_what_a_caller_made_large_is_not_remembered(
    environment: Environment, size: int, asked: int
) -> None:
    for _ in range(2):
        await environment.ask(f"{CUSTOM}/nodes/{'x' * size}/foo")
    assert len(environment.reviewer.asked) == asked


async def test_the_ttl_is_bounded(environment: Environment) -> None:
    for i in range(9_000):
        await environment.ask(f"{CUSTOM}/nodes/{i}/foo")
    assert len(environment.subject._cache) == 8192


async def test_what_could_not_be_decided_is_refused_and_not_remembered(
    environment: Environment,
) -> None:
    environment.reviewer.broken = True
    for _ in range(2):
        with pytest.raises(errors.AuthorizerFailed) as caught:
            await environment.ask()
        assert status.render(caught.value).status == 500
    assert len(environment.reviewer.asked) == 2
    environment.reviewer.broken = False
    await environment.ask()


async def test_equal_questions_at_once_share_a_review(environment: Environment) -> None:
    environment.reviewer.hold.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(environment.ask())
        others = [group.create_task(environment.ask()) for _ in range(200)]
        await until(lambda: environment.reviewer.asked)
        first.cancel()
        await asyncio.sleep(0)
        environment.reviewer.hold.set()
    assert first.cancelled()
    assert all(other.done() and not other.cancelled() for other in others)
    assert len(environment.reviewer.asked) == 1


async def test_without_a_cluster_all_else_is_forbidden() -> None:
    subject = Authorizer(None, AllowedPaths(HEALTH_PATHS))
    await subject.authorize(BOB, requestinfo.parse("GET", "/readyz"))
    await subject.authorize(
        UserInfo("x", groups=("system:masters",)), requestinfo.parse("GET", POD)
    )
    with pytest.raises(errors.Forbidden):
        await subject.authorize(BOB, requestinfo.parse("GET", POD))


@pytest.mark.parametrize(
    ("target", "reason", "message", "details"),
    [
        (
            POD,
            "",
            'pods.custom.metrics.k8s.io "*" is forbidden: User "mallory" cannot get resource '
            '"pods/foo" in API group "custom.metrics.k8s.io" in the namespace "default"',
            ("*", "custom.metrics.k8s.io", "pods"),
        ),
        (
            f"{EXTERNAL}/namespaces/a/queue_depth",
            "RBAC: no",
            'queue_depth.external.metrics.k8s.io is forbidden: User "mallory" cannot list resource '
            '"queue_depth" in API group "external.metrics.k8s.io" in the namespace "a": RBAC: no',
            ("", "external.metrics.k8s.io", "queue_depth"),
        ),
        (
            f"{CUSTOM}/nodes/n1/foo",
            "",
            'nodes.custom.metrics.k8s.io "n1" is forbidden: User "mallory" cannot get resource '
            '"nodes/foo" in API group "custom.metrics.k8s.io" at the cluster scope',
            ("n1", "custom.metrics.k8s.io", "nodes"),
        ),
        (
            "/metrics",
            "",
            'forbidden: User "mallory" cannot get path "/metrics"',
            ("", "", ""),
        ),
        (
            "/a&b%3Cc%3E",
            "",
            'forbidden: User "mallory" cannot get path "/a&amp;b&lt;c&gt;"',
            ("", "", ""),
        ),
        (
            "/api/v1/pods",
            "",
            'pods is forbidden: User "mallory" cannot list resource "pods" in API group "" '
            "at the cluster scope",
            ("", "", "pods"),
        ),
    ],
)
async def test_403_is_worded_as_kube_apiserver_words_it(
    environment: Environment, target: str, reason: str, message: str, details: tuple[str, str, str]
) -> None:
    environment.reviewer.allowed = False
    environment.reviewer.reason = reason
    with pytest.raises(errors.Forbidden) as caught:
        await environment.ask(target, UserInfo("mallory"))
    assert caught.value.message == message
    assert (caught.value.name, caught.value.group, caught.value.kind) == details
