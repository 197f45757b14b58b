"""The delegated-authentication ConfigMap: what is broken keeps what was there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from metrics_apiserver.kube import requestheader
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.kube.requestheader import AuthenticationConfig, AuthenticationSource
from tests.fakes.kubeapi import CONFIGMAPS, FakeKubeAPI
from tests.fakes.kubewire import status
from tests.fakes.waiting import running, until

DATA = {
    "client-ca-file": "CLIENT CA",
    "requestheader-client-ca-file": "PROXY CA",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
}
FULL = AuthenticationConfig(
    client_ca=b"CLIENT CA",
    requestheader_ca=b"PROXY CA",
    allowed_names=("front-proxy-client",),
    username_headers=("X-Remote-User",),
    group_headers=("X-Remote-Group",),
    extra_prefixes=("X-Remote-Extra-",),
    uid_headers=("X-Remote-Uid",),
    generation=1,
)


def _validate(pem: bytes) -> None:
    if not pem.endswith(b"CA"):
        raise ValueError("not a certificate")


def _parse(
    previous: AuthenticationConfig, **changes: str | None
) -> tuple[AuthenticationConfig, tuple[str, ...]]:
    data = {**DATA, **{key.replace("_", "-"): value for key, value in changes.items()}}
    data = {key: value for key, value in data.items() if value is not None}
    return requestheader.parse(data, previous, _validate)


def test_everything_is_read() -> None:
    assert _parse(AuthenticationConfig()) == (FULL, ())
    assert _parse(FULL) == (FULL, ())


def test_a_change_is_a_new_generation() -> None:
    config, problems = _parse(FULL, client_ca_file="OTHER CA", requestheader_uid_headers=None)
    assert (config.client_ca, config.uid_headers, config.generation) == (b"OTHER CA", (), 2)
    assert problems == ()


@pytest.mark.parametrize("key", sorted(set(DATA) - {"requestheader-uid-headers"}))
@pytest.mark.parametrize("value", [None, "", "[", '"text"', "[5]", '[""]', "{}"])
def test_missing_and_malformed_values_keep_the_old(key: str, value: str | None) -> None:
    config, problems = _parse(FULL, **{key: value})
    assert config == FULL
    (problem,) = problems
    assert problem.startswith(key)


@pytest.mark.parametrize("value", ["[", '["a b"]', "5"])
def test_a_malformed_uid_header_keeps_the_old(value: str) -> None:
    assert _parse(FULL, requestheader_uid_headers=value)[0] == FULL


def test_an_empty_list_is_any_name() -> None:
    for text in ("[]", "null"):
        config, problems = _parse(FULL, requestheader_allowed_names=text)
        assert config.allowed_names == ()
        assert config.requestheader_ca == b"PROXY CA"
        assert problems == ()


@pytest.mark.parametrize("value", [None, "", "[", "[5]"])
def test_no_proxy_before_its_names_are_known(value: str | None) -> None:
    config, problems = _parse(AuthenticationConfig(), requestheader_allowed_names=value)
    assert config.requestheader_ca == b""
    assert config.client_ca == b"CLIENT CA"
    assert len(problems) == 1
    assert _parse(config)[0].requestheader_ca == b"PROXY CA"


def test_a_cluster_without_a_front_proxy() -> None:
    data = {"client-ca-file": "CLIENT CA"}
    config, problems = requestheader.parse(data, AuthenticationConfig(), _validate)
    assert config == AuthenticationConfig(client_ca=b"CLIENT CA", generation=1)
    assert problems == ()


def test_values_of_other_types() -> None:
    data: dict[str, object] = dict.fromkeys(DATA, 5)
    config, problems = requestheader.parse(data, FULL, _validate)
    assert config == FULL
    assert len(problems) == len(DATA)
    assert requestheader.parse({}, FULL, _validate)[0] == FULL


@pytest.fixture
async def api() -> AsyncIterator[FakeKubeAPI]:
    async with FakeKubeAPI() as server:
        yield server


@pytest.fixture
async def source(api: FakeKubeAPI) -> AsyncIterator[AuthenticationSource]:
    async with KubeClient(api.config()) as client:
        yield AuthenticationSource(client, _validate)


def _put(api: FakeKubeAPI, **changes: str) -> None:
    data = {**DATA, **{key.replace("_", "-"): value for key, value in changes.items()}}
    api.put(CONFIGMAPS, requestheader.NAMESPACE, requestheader.NAME, data=data)


async def _read(source: AuthenticationSource) -> None:
    """Follows the ConfigMap until it has been read once."""
    async with running(source.run()):
        await until(lambda: source.synced)


async def test_first_read(api: FakeKubeAPI, source: AuthenticationSource) -> None:
    _put(api)
    await _read(source)
    assert source.synced
    assert source.current == FULL


async def test_no_configmap(api: FakeKubeAPI, source: AuthenticationSource) -> None:
    await _read(source)
    assert source.synced
    assert source.current == AuthenticationConfig()
    assert "does not exist" in source.problems[0]


async def test_a_missing_rule_is_named(api: FakeKubeAPI, source: AuthenticationSource) -> None:
    api.fail("/api/v1/namespaces/kube-system", status(403), times=2)
    async with running(source.run()):
        await until(lambda: source.error is not None)
        error = source.error
        assert error is not None
        assert "bind the Role extension-apiserver-authentication-reader" in error.message
        await until(lambda: source.synced)


async def test_a_server_that_is_away(api: FakeKubeAPI, source: AuthenticationSource) -> None:
    assert source.error is None
    await api.stop()
    async with running(source.run()):
        await until(lambda: source.error is not None)
        assert "cannot be reached" in str(source.error)
    assert not source.synced


async def test_it_is_followed(api: FakeKubeAPI) -> None:
    changes: list[AuthenticationConfig] = []
    async with KubeClient(api.config()) as client:
        source = AuthenticationSource(client, _validate, on_change=changes.append)
        _put(api)
        api.put(CONFIGMAPS, requestheader.NAMESPACE, "another", data={"client-ca-file": "EVIL CA"})
        async with running(source.run()):
            await until(lambda: api.watches(CONFIGMAPS))
            assert source.current == FULL
            _put(api, requestheader_client_ca_file="NEW CA")
            await until(lambda: source.current.requestheader_ca == b"NEW CA", 1.0)
            _put(api, requestheader_client_ca_file="broken")
            await until(lambda: source.problems, 1.0)
            assert source.current.requestheader_ca == b"NEW CA"
            api.delete(CONFIGMAPS, requestheader.NAMESPACE, requestheader.NAME)
            await until(lambda: "does not exist" in source.problems[0], 1.0)
            assert source.current.requestheader_ca == b"NEW CA"
            _put(api)
            await until(lambda: not source.problems, 1.0)
    assert [change.requestheader_ca for change in changes] == [b"PROXY CA", b"NEW CA", b"PROXY CA"]
    assert [change.generation for change in changes] == [1, 2, 3]


async def test_it_is_read_anew_when_a_watch_ends(
    api: FakeKubeAPI, source: AuthenticationSource
) -> None:
    _put(api)
    async with running(source.run()):
        await until(lambda: api.watches(CONFIGMAPS))
        lists = len(api.seen("/api/v1/namespaces/kube-system/configmaps", "list"))
        api.store.put(
            CONFIGMAPS,
            requestheader.NAMESPACE,
            requestheader.NAME,
            data={**DATA, "client-ca-file": "UNHEARD CA"},
        )
        api.end_watches()
        await until(lambda: source.current.client_ca == b"UNHEARD CA")
    assert lists == 1
    assert (
        api.seen("/api/v1/namespaces", "list")[1]
        .query["fieldSelector"]
        .endswith("=extension-apiserver-authentication")
    )


async def test_an_event_without_data(api: FakeKubeAPI, source: AuthenticationSource) -> None:
    _put(api)
    await _read(source)
    source.apply("MODIFIED", {"metadata": {"name": requestheader.NAME}, "data": ["x"]})
    source.apply("MODIFIED", {"metadata": None})
    assert source.current == FULL
    assert len(source.problems) == 6
