"""The ways in, and back: the chart, the predecessor's release taken over, and only another image.

The server that an installed Deployment means is reached over verified TLS and read from by the
HPA's account. What is taken over is changed in place.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests import helm
from tests.e2e.harness import manifests, polling, ways, workload
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.environment import CUSTOM
from tests.e2e.harness.installation import API_SERVICES, Installation
from tests.e2e.harness.ways import NAME, NAMESPACE, RELEASE
from tests.e2e.harness.workload import Loads
from tests.fakes.prometheus import Backend

PREDECESSOR = Path(__file__).parents[1] / "predecessor"
OLD = ways.RELEASE_OF_THE_PREDECESSOR
IMAGE = "metrics-apiserver:0.1.0"
STRATEGIC = "application/strategic-merge-patch+json"


def pods_of(site: Installation, instance: str) -> list[Object]:
    selector = f"labelSelector=app.kubernetes.io%2Finstance%3D{instance}"
    return site.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}").items


def test_the_chart_as_it_is(site: Installation, prometheus: Backend) -> None:
    """Helm installs it; the server makes its certificate, and kube-apiserver verifies it."""
    chosen = ways.values(highAvailability={"enabled": True}, priorityAndFairness={"enabled": True})
    ways.install(site, chosen)
    polling.until("two pods", lambda: len(pods_of(site, RELEASE)) == 2)
    site.serve(NAMESPACE, NAME, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    ways.read_as_hpa(site, NAME)
    # Another upgrade does not touch what the server wrote.
    before = {one: site.api_service(one)["spec"]["caBundle"] for one in CUSTOM}
    ways.install(site, {**chosen, "logLevel": 5})
    assert {one: site.api_service(one)["spec"]["caBundle"] for one in CUSTOM} == before
    secret = site.cluster.read(f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}-serving-cert")
    assert "tls.crt" in secret["data"]
    # kube-apiserver takes no authority beside a certificate that nobody verifies.
    ways.install(site, {**chosen, "tls": {"mode": "unverified"}})
    site.serve(NAMESPACE, NAME, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=False)
    ways.remove(site)


def test_the_chart_with_the_secret_of_the_gpu_documents(
    site: Installation, prometheus: Backend
) -> None:
    authority = ways.make_secret(site, NAMESPACE, NAME)
    secret = {
        "name": "cm-adapter-serving-certs",
        "certificateKey": "serving.crt",
        "privateKeyKey": "serving.key",
    }
    ways.install(site, ways.values(tls={"ca": authority, "secret": secret}))
    site.serve(NAMESPACE, NAME, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    ways.read_as_hpa(site, NAME)
    ways.remove(site)


def test_a_release_of_the_predecessor_is_upgraded_in_place(
    site: Installation, prometheus: Backend
) -> None:
    old = {"prometheus": {"url": prometheus.url.rpartition(":")[0]}, **ways.values()}
    site.helm_upgrade(OLD, PREDECESSOR / "chart", old, NAMESPACE)
    site.serve(NAMESPACE, OLD, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM[:1], verified=False)
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{OLD}"
    uids = (
        site.cluster.read(path)["metadata"]["uid"],
        site.api_service(CUSTOM[0])["metadata"]["uid"],
    )

    quick = ["--cert-overlap=1s", "--cert-interval=250ms"]
    new = {**old, "nameOverride": "prometheus-adapter", "extraArguments": quick}
    site.helm_upgrade(OLD, helm.CHART, new, NAMESPACE)
    # The old pods still answer: nothing is verified until the server says whom to trust.
    assert site.api_service(CUSTOM[0])["spec"]["insecureSkipTLSVerify"] is True
    site.serve(NAMESPACE, OLD, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    ways.read_as_hpa(site, OLD)
    deployment, service = site.cluster.read(path), site.api_service(CUSTOM[0])
    assert (deployment["metadata"]["uid"], service["metadata"]["uid"]) == uids
    assert image_of(deployment) == IMAGE

    # The way back, beside a server that goes on: kube-apiserver takes no APIService that has an
    # authority and is not verified, and the server leaves it so until the overlap is over.
    site.serve(NAMESPACE, OLD, prometheus_url=prometheus.url, cert_overlap="10m")
    site.wait_available(CUSTOM, verified=True)
    unverified = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    site.cluster.patch(f"{API_SERVICES}/{CUSTOM[0]}", unverified)
    site.helm("rollback", OLD, "1", "--namespace", NAMESPACE)
    assert image_of(site.cluster.read(path)).startswith("registry.k8s.io/prometheus-adapter")
    site.serve(NAMESPACE, OLD, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM[:1], verified=False)
    assert site.api_service(CUSTOM[0])["metadata"]["uid"] == uids[1]
    ways.remove(site, OLD)


def image_of(deployment: Object) -> str:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: str = container["image"]
    return found


INSTALLED = {
    "kube-prometheus": ("monitoring", "prometheus-adapter", "v1beta1.metrics.k8s.io"),
    "gpu-documents": ("kube-system", "custom-metrics-apiserver", "v1beta1.custom.metrics.k8s.io"),
}


@pytest.mark.parametrize("place", INSTALLED)
def test_only_the_image_is_changed(site: Installation, prometheus: Backend, place: str) -> None:
    """The predecessor's objects stay as they are, rights included; so the way back is its image."""
    namespace, name, api_service = INSTALLED[place]
    objects = list(yaml.safe_load_all((PREDECESSOR / f"{place}.yaml").read_text()))
    if place == "gpu-documents":
        ways.make_secret(site, namespace, name)
    site.apply(objects)
    before = kept(site, objects)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    old = image_of(site.cluster.read(path))
    set_image(site, path, IMAGE)
    process = site.serve(namespace, name, prometheus_url=prometheus.url)
    site.wait_available([api_service], verified=False)
    group, version = api_service.partition(".")[::2][::-1]
    resources = site.cluster.read(f"/apis/{group}/{version}")
    assert resources["kind"] == "APIResourceList"
    process.end()
    assert image_of(site.cluster.read(path)) == IMAGE
    set_image(site, path, old)
    assert kept(site, objects) == before
    for one in objects:
        site.cluster.delete(one)


def test_the_manifests_take_the_gpu_documents_objects_over(
    site: Installation, prometheus: Backend, loads: Loads
) -> None:
    """In the namespace that they are in, object by object; and away again, to what was before."""
    namespace, name, api_service = INSTALLED["gpu-documents"]
    old = list(yaml.safe_load_all((PREDECESSOR / "gpu-documents.yaml").read_text()))
    ways.make_secret(site, namespace, name)
    site.apply(old)
    site.serve(namespace, name, prometheus_url=prometheus.url)
    site.wait_available([api_service], verified=False)
    uids = [one["metadata"]["uid"] for one in kept(site, old)]

    folder = site.directory / "overlays/taken-over"
    new = manifests.render(manifests.overlay(folder, ["certificates"], namespace=namespace))
    site.apply(new)
    site.serve(namespace, name, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    assert [one["metadata"]["uid"] for one in kept(site, old)] == uids
    pods = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/pods/*"
    client = site.as_user(ways.HPA)
    path = f"{pods}/duty_cycle_current?labelSelector=app%3Dgpu"
    polling.until("the HPA reads GPUs", lambda: client.get(path).values())

    site.end_server()
    for one in new:
        site.cluster.delete(one)
    site.apply(old)
    site.serve(namespace, name, prometheus_url=prometheus.url)
    site.wait_available([api_service], verified=False)
    site.end_server()
    for one in old:
        site.cluster.delete(one)


def set_image(site: Installation, path: str, image: str) -> None:
    """As `kubectl set image` does."""
    (container,) = site.cluster.read(path)["spec"]["template"]["spec"]["containers"]
    containers = [{"name": container["name"], "image": image}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    answer = site.cluster.request("PATCH", path, change, content_type=STRATEGIC)
    assert answer.status == 200, answer


def kept(site: Installation, objects: list[Object]) -> list[Object]:
    """What stands in the cluster of the objects, but for their status and bookkeeping."""
    found = []
    for one in objects:
        there = site.cluster.read(site.cluster.path_of(one))
        metadata = {key: there["metadata"][key] for key in ("name", "uid")}
        inside = {key: value for key, value in there.items() if key not in ("metadata", "status")}
        found.append({**inside, "metadata": metadata})
    return found
