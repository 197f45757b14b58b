"""A fake kube-apiserver with the objects of self-managed certificates, and what is in them."""

from __future__ import annotations

import base64
import ssl
from tempfile import NamedTemporaryFile
from typing import Any

from metrics_apiserver.certs import ca_bundle, publish
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.publish import Name
from metrics_apiserver.certs.rotation import Published
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.core.model import GroupResource, MappedResource
from tests.fakes import kubediscovery
from tests.fakes.kubeapi import FakeKubeAPI

SECRETS = GroupResource("", "secrets")
API_SERVICES = GroupResource("apiregistration.k8s.io", "apiservices")
SECRET = Name("monitoring", "serving-cert")
SECRET_PATH = "/api/v1/namespaces/monitoring/secrets/serving-cert"
API_SERVICE_PATH = "/apis/apiregistration.k8s.io/v1/apiservices/"
NAMES = ("v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io")
SERVICE = Name("monitoring", "s")
HOSTS = ("s.monitoring.svc", "s.monitoring")

_RESOURCES = (
    *kubediscovery.RESOURCES,
    MappedResource("", "v1", "secrets", "secret", "Secret", True),
    MappedResource(
        "apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", False
    ),
)


def kubeapi(*, names: tuple[str, ...] = NAMES, **spec: Any) -> FakeKubeAPI:
    """With an empty Secret, and APIServices with this in their spec."""
    fake = FakeKubeAPI(resources=_RESOURCES)
    fake.put(SECRETS, SECRET.namespace, SECRET.name, type="Opaque")
    for name in names:
        fake.put(API_SERVICES, "", name, spec={**_spec(name), **spec})
    return fake


def set_secret(fake: FakeKubeAPI, data: dict[str, bytes], **annotations: str) -> None:
    """Replaces the Secret."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    fake.put(SECRETS, SECRET.namespace, SECRET.name, data=encoded)
    item = fake.store.get(SECRETS, SECRET.namespace, SECRET.name)
    assert item is not None
    item["metadata"]["annotations"] = annotations


def set_bundle(fake: FakeKubeAPI, name: str, bundle: bytes) -> None:
    """Replaces the `caBundle` of an APIService."""
    encoded = base64.b64encode(bundle).decode()
    fake.put(API_SERVICES, "", name, spec={**_spec(name), "caBundle": encoded})


def _spec(name: str) -> dict[str, object]:
    service = {"namespace": SERVICE.namespace, "name": SERVICE.name}
    return {"group": name.partition(".")[2], "service": service}


def material(fake: FakeKubeAPI) -> Material:
    """What the Secret holds."""
    item = fake.store.get(SECRETS, SECRET.namespace, SECRET.name)
    assert item is not None
    return publish.read_secret(item)


def serving(fake: FakeKubeAPI) -> bytes:
    """The certificate in the Secret; empty when there is none."""
    pair = material(fake).serving
    return pair.certificate if pair is not None else b""


def published(fake: FakeKubeAPI, name: str = NAMES[0]) -> Published:
    """What an APIService says."""
    item = fake.store.get(API_SERVICES, "", name)
    assert item is not None
    return publish.read_api_service(name, item)


def authorities(fake: FakeKubeAPI, name: str = NAMES[0]) -> frozenset[str]:
    """Fingerprints of what an APIService trusts."""
    return ca_bundle.fingerprints(published(fake, name).bundle)


def is_verified(pair: Pair, bundle: bytes, host: str = HOSTS[0]) -> bool:
    """Whether a TLS client that trusts `bundle` takes a server that shows `pair`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as file:
        file.write(pair.key + b"\n" + pair.certificate)
        file.flush()
        server.load_cert_chain(file.name)
    client = ssl.create_default_context(cadata=bundle.decode()) if bundle else ssl.SSLContext()
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname=host)
    callee = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (caller, callee):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return bool(bundle)


def is_served(fake: FakeKubeAPI, pair: Pair) -> bool:
    """Whether every APIService that verifies trusts a server that shows `pair`."""
    states = [published(fake, name) for name in NAMES]
    return all(one.unverified or is_verified(pair, one.bundle) for one in states)
