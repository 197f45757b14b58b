"""Rows A1 to A5, A7, A9 to A12: the chain of authenticators, without sockets."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography import x509
from multidict import CIMultiDict, CIMultiDictProxy

from metrics_apiserver.api import authn
from metrics_apiserver.api.authn import ANONYMOUS, Authenticator
from metrics_apiserver.base import errors
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from tests.fakes import pki

PROXY_CA = pki.authority("front-proxy-ca")
CLIENT_CA = pki.authority("client-ca")
CONFIG = AuthenticationConfig(
    client_ca=CLIENT_CA.pem,
    requestheader_ca=PROXY_CA.pem,
    allowed_names=("front-proxy-client",),
    username_headers=("X-Remote-User",),
    group_headers=("X-Remote-Group",),
    extra_prefixes=("X-Remote-Extra-",),
    generation=1,
)
PROXY = pki.client(PROXY_CA, "front-proxy-client")
MASTERS = [("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]
BEARER = ("Authorization", "Bearer good")


class Tokens:
    """Knows one token, fails on another."""

    async def authenticate(self, token: str) -> UserInfo | None:
        if token == "failing":
            raise errors.Unavailable("no answer", detail="connection refused")
        return UserInfo("bob", groups=("dev",)) if token == "good" else None


class Environment:
    """An authenticator whose configuration and clock can be changed."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.now = pki.NOW.timestamp()
        self.monotonic = 0.0
        self.methods: list[str] = []
        self.subject = Authenticator(
            lambda: self.config,
            Tokens(),
            wall_clock=lambda: self.now,
            observe=self.methods.append,
            clock=lambda: self.monotonic,
        )

    async def ask(self, *headers: tuple[str, str], peer: pki.Certified | None = None) -> UserInfo:
        shown = PeerChain.of((peer.der,)) if peer else None
        return await self.subject.authenticate(shown, CIMultiDictProxy(CIMultiDict(headers)))


@pytest.fixture
def environment() -> Environment:
    return Environment()


def named(user: UserInfo) -> tuple[str, tuple[str, ...]]:
    return user.name, user.groups


async def test_nothing_presented_is_anonymous(environment: Environment) -> None:
    assert await environment.ask() == ANONYMOUS
    assert await environment.ask(("Authorization", "Basic dXNlcjpwYXNz")) == ANONYMOUS
    assert await environment.ask(("Authorization", "Bearer  good")) == ANONYMOUS


async def test_headers_without_a_certificate_are_plain_input(environment: Environment) -> None:
    assert await environment.ask(*MASTERS) == ANONYMOUS
    user = await environment.ask(*MASTERS, BEARER)
    assert named(user) == ("bob", ("dev", "system:authenticated"))


async def test_the_front_proxy_speaks_for_others(environment: Environment) -> None:
    user = await environment.ask(*MASTERS, peer=PROXY)
    assert named(user) == ("admin", ("system:masters", "system:authenticated"))
    user = await environment.ask(("x-remote-user", "eve"), BEARER, peer=PROXY)
    assert named(user) == ("eve", ("system:authenticated",))


async def test_a_client_certificate_is_its_own_user_whatever_it_is_called(
    environment: Environment,
) -> None:
    spoof = pki.client(CLIENT_CA, "front-proxy-client", ["dev"])
    user = await environment.ask(*MASTERS, peer=spoof)
    assert named(user) == ("front-proxy-client", ("dev", "system:authenticated"))
    fingerprint = hashlib.sha256(spoof.der).hexdigest()
    key = "authentication.kubernetes.io/credential-id"
    assert user.extra == ((key, (f"X509SHA256={fingerprint}",)),)


@pytest.mark.parametrize(
    "common_name", ["evil", "front", "", "front-proxy-client2", "Front-Proxy-Client"]
)
async def test_another_name_of_the_right_authority(
    environment: Environment, common_name: str
) -> None:
    other = pki.client(PROXY_CA, common_name)
    with pytest.raises(errors.Unauthorized):
        await environment.ask(*MASTERS, peer=other)
    user = await environment.ask(*MASTERS, BEARER, peer=other)
    assert user.name == "bob"


async def test_an_empty_list_allows_any_name(environment: Environment) -> None:
    environment.config = replace(CONFIG, allowed_names=())
    assert (await environment.ask(*MASTERS, peer=pki.client(PROXY_CA, "evil"))).name == "admin"


@pytest.mark.parametrize(
    "peer",
    [
        pki.client(pki.authority("front-proxy-ca"), "front-proxy-client"),
        pki.certify("front-proxy-client", None, [pki.usage(pki.CLIENT)]),
        pki.client(PROXY_CA, "front-proxy-client", days=pki.Days(-9, -1)),
        pki.client(PROXY_CA, "front-proxy-client", days=pki.Days(1, 9)),
        pki.server(PROXY_CA, "front-proxy-client"),
    ],
    ids=["forged issuer", "self-signed", "expired", "early", "for servers"],
)
async def test_certificates_that_do_not_hold(environment: Environment, peer: pki.Certified) -> None:
    with pytest.raises(errors.Unauthorized) as caught:
        await environment.ask(*MASTERS, peer=peer)
    assert caught.value.message == "Unauthorized"
    assert (await environment.ask(*MASTERS, BEARER, peer=peer)).name == "bob"


async def test_front_proxy_without_a_user(environment: Environment) -> None:
    with pytest.raises(errors.Unauthorized):
        await environment.ask(peer=PROXY)
    with pytest.raises(errors.Unauthorized):
        await environment.ask(
            ("X-Remote-User", ""), ("X-Remote-Group", "system:masters"), peer=PROXY
        )
    with pytest.raises(errors.Unauthorized):
        await environment.ask(("X_Remote_User", "admin"), peer=PROXY)


async def test_without_authorities_certificates_say_nothing(environment: Environment) -> None:
    environment.config = AuthenticationConfig()
    assert await environment.ask(*MASTERS, peer=PROXY) == ANONYMOUS
    environment.config = replace(CONFIG, requestheader_ca=b"")
    with pytest.raises(errors.Unauthorized):
        await environment.ask(*MASTERS, peer=PROXY)
    environment.config = replace(CONFIG, client_ca=b"")
    assert await environment.ask(peer=PROXY) == ANONYMOUS


async def test_a_client_certificate_without_a_name_is_nobody(environment: Environment) -> None:
    environment.config = replace(CONFIG, requestheader_ca=b"")
    assert await environment.ask(peer=pki.client(CLIENT_CA, "")) == ANONYMOUS


async def test_certificate_uids(environment: Environment) -> None:
    environment.config = replace(CONFIG, requestheader_ca=b"")
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.57683.2")

    def certificate(*uids: str) -> pki.Certified:
        attributes = [x509.NameAttribute(oid, uid) for uid in uids]
        subject = x509.Name([*pki.name("bob"), *attributes])
        return pki.certify(subject, CLIENT_CA, [pki.usage(pki.CLIENT)])

    assert (await environment.ask(peer=certificate("17"))).uid == "17"
    with pytest.raises(errors.Unauthorized):
        await environment.ask(peer=certificate("17", "18"))


@pytest.mark.parametrize("peer", [PROXY, pki.client(CLIENT_CA, "bob")])
async def test_expiry_and_withdrawal_count_at_once_on_a_live_connection(
    environment: Environment, peer: pki.Certified
) -> None:
    await environment.ask(*MASTERS, peer=peer)
    day = 86400
    environment.now += 31 * day
    with pytest.raises(errors.Unauthorized):
        await environment.ask(*MASTERS, peer=peer)
    environment.now -= 31 * day
    environment.monotonic += 11
    await environment.ask(*MASTERS, peer=peer)
    environment.now -= 2 * day
    with pytest.raises(errors.Unauthorized):
        await environment.ask(*MASTERS, peer=peer)
    environment.now += 2 * day
    environment.monotonic += 11
    await environment.ask(*MASTERS, peer=peer)
    other = pki.authority("another").pem
    environment.config = replace(CONFIG, client_ca=other, requestheader_ca=other, generation=2)
    with pytest.raises(errors.Unauthorized):
        await environment.ask(*MASTERS, peer=peer)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("X-Remote-User", "a"), ("X-Remote-User", "b")], UserInfo("a")),
        (
            [("X-Remote-User", "a"), ("X-Remote-Group", "x,y"), ("x-remote-group", "z")],
            UserInfo("a", groups=("x,y", "z")),
        ),
        ([("X-Remote-User", "a"), ("X-Remote-Group", "")], UserInfo("a")),
        (
            [("X-Remote-User", "a"), ("X-Remote-Extra-Foo%2fBar", "v%20")],
            UserInfo("a", extra=(("foo/bar", ("v%20",)),)),
        ),
        (
            [
                ("X-Remote-User", "a"),
                ("X-Remote-Extra-Scopes", "1"),
                ("x-remote-extra-scopes", "2"),
                ("X-REMOTE-EXTRA-A", ""),
            ],
            UserInfo("a", extra=(("a", ("",)), ("scopes", ("1", "2")))),
        ),
        (
            [("X-Remote-User", "a"), ("X-Remote-Extra-Bad%zz", "v"), ("X-Remote-Extra-%C0", "w")],
            UserInfo("a", extra=(("%c0", ("w",)), ("bad%zz", ("v",)))),
        ),
        (
            [("X-Remote-User", "a"), ("X-Remote-Extra-" + "k%2d" * 100, "v")],
            UserInfo("a", extra=(("k-" * 100, ("v",)),)),
        ),
        ([("X-Remote-User", "é"), ("X-Remote-Uid", "17")], UserInfo("é")),
    ],
)
def test_headers_of_the_front_proxy(headers: list[tuple[str, str]], expected: UserInfo) -> None:
    assert authn.user_from_headers(CIMultiDict(headers), CONFIG) == expected


def test_uid_counts_only_where_its_header_is_configured() -> None:
    headers = CIMultiDict([("X-Remote-User", "a"), ("X-Remote-Uid", "17")])
    config = replace(CONFIG, uid_headers=("X-Remote-Uid",))
    user = authn.user_from_headers(headers, config)
    assert user == UserInfo("a", uid="17")


def test_configured_header_names_are_tried_in_order() -> None:
    config = replace(
        CONFIG,
        username_headers=("X-Other", "X-Remote-User"),
        group_headers=("X-Remote-Group", "X-More"),
        extra_prefixes=("X-E-", "X-F-"),
    )
    headers = CIMultiDict(
        [
            ("X-Remote-User", "a"),
            ("X-More", "2"),
            ("X-Remote-Group", "1"),
            ("X-F-k", "2"),
            ("X-E-K", "1"),
        ]
    )
    user = authn.user_from_headers(headers, config)
    assert user == UserInfo("a", groups=("1", "2"), extra=(("k", ("1", "2")),))


@pytest.mark.parametrize(
    "bad",
    [
        ("X-Remote-User", "a\udce9"),
        ("X-Remote-Group", "a\udce9"),
        ("X-Remote-Extra-Scopes", "a\udce9"),
    ],
)
async def test_bytes_that_are_not_utf_8_are_nobody(
    environment: Environment, bad: tuple[str, str]
) -> None:
    with pytest.raises(errors.Unauthorized):
        await environment.ask(bad, ("X-Remote-User", "a"), peer=PROXY)


async def test_thousands_of_groups(environment: Environment) -> None:
    groups = [("X-Remote-Group", f"group-{i}") for i in range(4000)]
    user = await environment.ask(("X-Remote-User", "a"), *groups, peer=PROXY)
    assert len(user.groups) == 4001


@pytest.mark.parametrize("header", ["Impersonate-User", "impersonate-group", "IMPERSONATE-EXTRA-X"])
async def test_impersonation_is_refused_not_ignored(environment: Environment, header: str) -> None:
    with pytest.raises(errors.Forbidden):
        await environment.ask((header, "admin"), peer=pki.client(CLIENT_CA, "bob"))
    with pytest.raises(errors.Forbidden):
        await environment.ask((header, "admin"), BEARER)
    with pytest.raises(errors.Forbidden):
        await environment.ask((header, "admin"))


@pytest.mark.parametrize("token", ["bad", "failing"])
async def test_a_bad_token_is_401_never_anonymous(environment: Environment, token: str) -> None:
    with pytest.raises(errors.Unauthorized) as caught:
        await environment.ask(("Authorization", f"Bearer {token}"))
    assert token not in caught.value.message


async def test_the_first_of_two_authorization_lines_counts(environment: Environment) -> None:
    with pytest.raises(errors.Unauthorized):
        await environment.ask(("Authorization", "Bearer bad"), BEARER)
    assert (await environment.ask(BEARER, ("Authorization", "Bearer bad"))).name == "bob"


async def test_without_a_cluster_every_token_is_refused() -> None:
    subject = Authenticator(lambda: CONFIG, None, wall_clock=lambda: 0.0)
    with pytest.raises(errors.Unauthorized):
        await subject.authenticate(None, CIMultiDict([BEARER]))


async def test_anonymous_callers_can_be_turned_away() -> None:
    subject = Authenticator(lambda: CONFIG, None, wall_clock=lambda: 0.0, anonymous=False)
    with pytest.raises(errors.Unauthorized):
        await subject.authenticate(None, CIMultiDict())


@pytest.mark.parametrize(
    ("name", "groups", "expected"),
    [
        ("a", [], ("system:authenticated",)),
        ("a", ["system:authenticated", "b"], ("system:authenticated", "b")),
        ("a", ["system:unauthenticated"], ("system:unauthenticated",)),
        ("system:anonymous", ["b"], ("b",)),
    ],
)
async def test_the_authenticated_group(
    environment: Environment, name: str, groups: list[str], expected: tuple[str, ...]
) -> None:
    lines = [("X-Remote-Group", group) for group in groups]
    user = await environment.ask(("X-Remote-User", name), *lines, peer=PROXY)
    assert user.groups == expected


async def test_each_request_is_counted_by_how_its_caller_was_known(
    environment: Environment,
) -> None:
    bob = pki.client(CLIENT_CA, "bob")
    await environment.ask(*MASTERS, peer=PROXY)
    await environment.ask(*MASTERS, peer=bob)
    await environment.ask(BEARER)
    await environment.ask()
    with pytest.raises(errors.Unauthorized):
        await environment.ask(("Authorization", "Bearer bad"))
    assert tuple(environment.methods) == authn.METHODS
