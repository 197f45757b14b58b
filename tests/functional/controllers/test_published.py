"""The Secret and the APIServices, read and written over a real connection."""

from __future__ import annotations

import datetime as dt

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.certs.rotation import Published
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.controllers.published import Conflict, PublishedObjects
from metrics_apiserver.kube.client import KubeClient
from tests.fakes import certificates
from tests.fakes.certificates import API_SERVICE_PATH, NAMES, SECRET, SECRET_PATH, SERVICE
from tests.fakes.kubeapi import FakeKubeAPI
from tests.fakes.kubewire import Fault, status

MATERIAL = Material(authorities=b"CA", authority_key=b"CAK")


@pytest.fixture
def objects(client: KubeClient) -> PublishedObjects:
    return PublishedObjects(client, SECRET, NAMES, SERVICE, lambda: 0.0)


async def test_the_secret_is_read_last(kubeapi: FakeKubeAPI, objects: PublishedObjects) -> None:
    await objects.read()
    *first, last = [seen.path for seen in kubeapi.requests]
    assert sorted(first) == [f"{API_SERVICE_PATH}{name}" for name in NAMES]
    assert last == SECRET_PATH
    assert {seen.verb for seen in kubeapi.requests} == {"get"}


async def test_a_read(kubeapi: FakeKubeAPI, objects: PublishedObjects) -> None:
    certificates.set_bundle(kubeapi, NAMES[0], b"CA")
    certificates.set_secret(kubeapi, {"ca.crt": b"CA"})
    state = await objects.read()
    assert state.view.published == (Published(NAMES[0], b"CA"), Published(NAMES[1]))
    assert state.view.material == Material(authorities=b"CA")
    assert state.left_alone == ()


async def test_the_instant_is_kube_apiserver_s(objects: PublishedObjects) -> None:
    """Our own clock says 1970."""
    state = await objects.read()
    assert state.view.now.year > 2020
    assert state.view.now.tzinfo is not None


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Tue, 01 Jan 2030 00:00:00 GMT", dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
        ("Tue, 01 Jan 2030 01:00:00 +0100", dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
        ("Tue, 01 Jan 2030 00:00:00 -0000", dt.datetime(2030, 1, 1, tzinfo=dt.UTC)),
        ("yesterday", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
    ],
)
async def test_dates(
    kubeapi: FakeKubeAPI, objects: PublishedObjects, date: str, expected: dt.datetime
) -> None:
    kubeapi.fail(SECRET_PATH, Fault("raw", 200, {"Date": date}, b"{}"))
    assert (await objects.read()).view.now == expected


async def test_an_api_service_may_be_missing(kubeapi: FakeKubeAPI, client: KubeClient) -> None:
    names = ("v1.absent", *NAMES)
    state = await PublishedObjects(client, SECRET, names, SERVICE, lambda: 0.0).read()
    assert state.left_alone == ("APIService v1.absent does not exist",)
    assert len(state.view.published) == 2


@pytest.mark.parametrize(
    "place", [None, {}, {"namespace": "keda", "name": "s"}, {"namespace": "monitoring"}]
)
async def test_an_api_service_that_leads_elsewhere_is_left_alone(
    kubeapi: FakeKubeAPI, objects: PublishedObjects, place: dict[str, str] | None
) -> None:
    """Writing our authority there would cut another server off."""
    kubeapi.put(certificates.API_SERVICES, "", NAMES[1], spec={"service": place})
    state = await objects.read()
    assert state.left_alone == (f"APIService {NAMES[1]} does not lead to Service monitoring/s",)
    assert [one.name for one in state.view.published] == [NAMES[0]]


async def test_a_missing_secret_says_what_to_do(
    kubeapi: FakeKubeAPI, objects: PublishedObjects
) -> None:
    kubeapi.delete(certificates.SECRETS, SECRET.namespace, SECRET.name)
    with pytest.raises(errors.KubeError, match="create it, empty"):
        await objects.read()


async def test_cert_manager_s_secret_is_left_alone(
    kubeapi: FakeKubeAPI, objects: PublishedObjects
) -> None:
    certificates.set_secret(kubeapi, {}, **{"cert-manager.io/certificate-name": "x"})
    with pytest.raises(errors.KubeError, match="another controller"):
        await objects.read()


@pytest.mark.parametrize("path", [SECRET_PATH, f"{API_SERVICE_PATH}{NAMES[0]}"])
@pytest.mark.parametrize(("code", "match"), [(403, "grant get and update"), (500, "with 500")])
async def test_a_partial_read_is_none(
    kubeapi: FakeKubeAPI, objects: PublishedObjects, path: str, code: int, match: str
) -> None:
    kubeapi.fail(path, status(code))
    with pytest.raises(errors.KubeError, match=match):
        await objects.read()


async def test_writes(kubeapi: FakeKubeAPI, objects: PublishedObjects) -> None:
    state = await objects.read()
    await objects.write_secret(state, MATERIAL)
    await objects.write_api_service(state, NAMES[1], b"CA")
    assert certificates.material(kubeapi) == MATERIAL
    assert certificates.published(kubeapi, NAMES[1]).bundle == b"CA"
    assert certificates.published(kubeapi, NAMES[0]).bundle == b""
    item = kubeapi.store.get(certificates.API_SERVICES, "", NAMES[1])
    assert item is not None
    assert item["spec"]["group"] == "custom.metrics.k8s.io"


async def test_a_write_that_was_overtaken_is_a_conflict(
    kubeapi: FakeKubeAPI, objects: PublishedObjects
) -> None:
    state = await objects.read()
    certificates.set_secret(kubeapi, {"ca.crt": b"theirs"})
    certificates.set_bundle(kubeapi, NAMES[0], b"theirs")
    with pytest.raises(Conflict):
        await objects.write_secret(state, MATERIAL)
    with pytest.raises(Conflict):
        await objects.write_api_service(state, NAMES[0], b"CA")
    assert certificates.material(kubeapi).authorities == b"theirs"
    assert certificates.published(kubeapi).bundle == b"theirs"


async def test_a_write_may_be_refused(kubeapi: FakeKubeAPI, objects: PublishedObjects) -> None:
    state = await objects.read()
    kubeapi.fail(SECRET_PATH, status(403), verb="update")
    with pytest.raises(errors.KubeError, match="serving-cert may not be written: grant"):
        await objects.write_secret(state, MATERIAL)
    kubeapi.fail(SECRET_PATH, status(422), verb="update")
    with pytest.raises(errors.KubeError, match="with 422"):
        await objects.write_secret(state, MATERIAL)
