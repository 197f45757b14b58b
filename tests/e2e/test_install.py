"""The three ways in, on a control plane of their own: chart, kustomize, another image.

A real kube-apiserver takes every object; pods are admitted where Pod Security enforces
`restricted`; the server that an installed Deployment means is reached over verified TLS and read
from by the HPA's account. An upgrade from the predecessor's chart changes objects in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests import helm
from tests.e2e.harness import binaries, manifests, pki, polling
from tests.e2e.harness.apiclient import Object
from tests.e2e.harness.installation import API_SERVICES, Installation
from tests.e2e.harness.prometheus import Prometheus
from tests.e2e.harness.world import CUSTOM
from tests.fakes.cluster_exporter import Exporter, series

HERE = Path(__file__).parent
SAMPLES = sorted((binaries.ROOT / "tests/unit/chart/values").glob("*.yaml"))
MANIFESTS = binaries.ROOT / "manifests/components"
COMPONENTS = sorted(
    str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.glob("*/kustomization.yaml")
) + sorted(
    str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.glob("*/*/kustomization.yaml")
)
HPA = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
CHART_NAMESPACE = "metrics"
RELEASE = "prometheus-adapter"
# Pods of the predecessor's host network, and of values files that ask for it, are not restricted.
UNRESTRICTED = "kube-system"
FOREIGN_KINDS = {
    "cert-manager.io": ("Certificate", "Issuer"),
    "monitoring.coreos.com": ("PodMonitor", "PrometheusRule", "ServiceMonitor"),
}
RULE = {
    "seriesQuery": 'depth{namespace!="",service!=""}',
    "resources": {
        "overrides": {"namespace": {"resource": "namespace"}, "service": {"resource": "service"}}
    },
    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
}


def foreign(group: str, kind: str) -> Object:
    """A definition of somebody else's kind that lets every field pass."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    ]
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def is_served(site: Installation, group: str, kinds: int) -> bool:
    answer = site.cluster.get(f"/apis/{group}/v1")
    return answer.status == 200 and len(answer.body["resources"]) >= kinds


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    """The control plane, with the kinds that shipped objects may be of."""
    try:
        helm.find()
    except helm.Missing as missing:
        pytest.skip(str(missing))
    site = Installation(binaries.ROOT / ".cache/e2e-install")
    try:
        site.start()
        for namespace in (CHART_NAMESPACE, "monitoring"):
            site.namespace(namespace)
        for group, kinds in FOREIGN_KINDS.items():
            for kind in kinds:
                site.cluster.apply(foreign(group, kind))
            served = partial(is_served, site, group, len(kinds))
            polling.until(f"{group} is served", served)
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def prometheus(site: Installation) -> Iterator[Prometheus]:
    def exposition() -> str:
        names = (RELEASE, "fresh-metrics-apiserver")
        return "".join(
            series("depth", 7, namespace=CHART_NAMESPACE, service=name) for name in names
        )

    with Exporter(exposition) as exporter:
        prometheus = Prometheus(site.directory, site.processes, "prometheus")
        prometheus.start([exporter.target])
        yield prometheus


def assert_taken(site: Installation, objects: list[Object]) -> None:
    """Every object passes validation and admission without a warning.

    The exporter's DaemonSet mounts a folder of the host: its pods cannot be restricted.
    """
    for one in objects:
        answer = site.try_out(one)
        what = f"{one['kind']} {one['metadata']['name']}"
        assert answer.status in {200, 201}, f"{what}: {answer.body}"
        restricted = one["metadata"].get("namespace") != UNRESTRICTED and (
            one["kind"] != "DaemonSet"
        )
        warning = answer.headers.get("Warning", "")
        # A sample's key is none: no key stands in a repository.
        assert not restricted or warning == "" or "PEM data in key" in warning, f"{what}: {warning}"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_kube_apiserver_takes_every_object_of_the_chart(site: Installation, path: Path) -> None:
    assert_taken(site, helm.render(files=[path], namespace=CHART_NAMESPACE))


@pytest.mark.parametrize("component", [*COMPONENTS, "all of them"])
def test_kube_apiserver_takes_every_object_of_the_manifests(
    site: Installation, component: str
) -> None:
    outer, _, inner = component.partition("/")
    chosen = COMPONENTS if component == "all of them" else [outer, *([component] if inner else [])]
    overlay = site.directory / "overlays" / component.replace(" ", "-")
    overlay.mkdir(parents=True)
    up = "../" * len(overlay.relative_to(binaries.ROOT).parts)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{up}manifests/base"],
        "components": [f"{up}manifests/components/{name}" for name in chosen],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    assert_taken(site, manifests.render(overlay))


def test_kube_apiserver_takes_every_example(site: Installation) -> None:
    for path in sorted((binaries.ROOT / "config/examples").glob("*.yaml")):
        for one in yaml.safe_load_all(path.read_text()):
            assert_taken(site, [{**one, "metadata": {**one["metadata"], "namespace": "default"}}])


def pods_of(site: Installation, namespace: str, instance: str) -> list[Object]:
    selector = f"labelSelector=app.kubernetes.io%2Finstance%3D{instance}"
    return site.cluster.get(f"/api/v1/namespaces/{namespace}/pods?{selector}").items


def read_as_hpa(site: Installation, service: str) -> None:
    """The HPA's account reads the metric of a Service through kube-apiserver."""
    path = (
        f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{CHART_NAMESPACE}/services/{service}/depth"
    )
    client = site.as_user(HPA)
    polling.until(
        f"the HPA reads depth of {service}",
        lambda: client.get(path).values() == {service: "7"},
        seen=lambda: client.get(path),
    )


def values(**more: Any) -> dict[str, Any]:
    return {"rules": {"default": False, "custom": [RULE]}, **more}


def test_the_chart_as_it_is(site: Installation, prometheus: Prometheus) -> None:
    """Helm installs it; the server makes its certificate, and kube-apiserver verifies it."""
    release, name = "fresh", "fresh-metrics-apiserver"
    chosen = values(highAvailability={"enabled": True}, priorityAndFairness={"enabled": True})
    site.helm_upgrade(release, helm.CHART, chosen, CHART_NAMESPACE)
    polling.until("two pods", lambda: len(pods_of(site, CHART_NAMESPACE, release)) == 2)
    site.serve(CHART_NAMESPACE, name, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    read_as_hpa(site, name)
    # Another upgrade leaves alone what the server wrote.
    before = {one: site.api_service(one)["spec"]["caBundle"] for one in CUSTOM}
    site.helm_upgrade(release, helm.CHART, {**chosen, "logLevel": 5}, CHART_NAMESPACE)
    assert {one: site.api_service(one)["spec"]["caBundle"] for one in CUSTOM} == before
    secret = site.cluster.read(f"/api/v1/namespaces/{CHART_NAMESPACE}/secrets/{name}-serving-cert")
    assert "tls.crt" in secret["data"]
    remove(site, release)


def test_the_chart_with_the_secret_of_the_gpu_documents(
    site: Installation, prometheus: Prometheus
) -> None:
    release, name = "fresh", "fresh-metrics-apiserver"
    authority = make_secret(site, CHART_NAMESPACE, name)
    secret = {
        "name": "cm-adapter-serving-certs",
        "certificateKey": "serving.crt",
        "privateKeyKey": "serving.key",
    }
    tls = {"ca": authority, "secret": secret}
    site.helm_upgrade(release, helm.CHART, values(tls=tls), CHART_NAMESPACE)
    site.serve(CHART_NAMESPACE, name, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    read_as_hpa(site, name)
    remove(site, release)


def make_secret(site: Installation, namespace: str, service: str) -> str:
    """The Secret as the documents' script makes it; gives its authority, PEM."""
    authority = trustme.CA()
    pair = pki.issue(authority, site.directory, f"{service}.{namespace}.svc")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cm-adapter-serving-certs", "namespace": namespace},
        "stringData": {
            "serving.crt": pair.certificate.read_text(),
            "serving.key": pair.key.read_text(),
        },
    }
    site.cluster.apply(secret)
    return authority.cert_pem.bytes().decode()


def remove(site: Installation, release: str) -> None:
    site.processes["server"].end()
    site.helm("uninstall", release, "--namespace", CHART_NAMESPACE)


def test_a_release_of_the_predecessor_is_upgraded_in_place(
    site: Installation, prometheus: Prometheus
) -> None:
    old = {"prometheus": {"url": prometheus.url.rpartition(":")[0]}, **values()}
    site.helm_upgrade(RELEASE, HERE / "predecessor/chart", old, CHART_NAMESPACE)
    site.serve(CHART_NAMESPACE, RELEASE, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM[:1], verified=False)
    path = f"/apis/apps/v1/namespaces/{CHART_NAMESPACE}/deployments/{RELEASE}"
    uids = (
        site.cluster.read(path)["metadata"]["uid"],
        site.api_service(CUSTOM[0])["metadata"]["uid"],
    )

    quick = ["--cert-overlap=1s", "--cert-interval=250ms"]
    new = {**old, "nameOverride": "prometheus-adapter", "extraArguments": quick}
    site.helm_upgrade(RELEASE, helm.CHART, new, CHART_NAMESPACE)
    # The old pods still answer: nothing is verified until the server says whom to trust.
    assert site.api_service(CUSTOM[0])["spec"]["insecureSkipTLSVerify"] is True
    site.serve(CHART_NAMESPACE, RELEASE, prometheus_url=prometheus.url)
    site.wait_available(CUSTOM, verified=True)
    read_as_hpa(site, RELEASE)
    deployment, service = site.cluster.read(path), site.api_service(CUSTOM[0])
    assert (deployment["metadata"]["uid"], service["metadata"]["uid"]) == uids
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "metrics-apiserver:0.1.0"

    # The way back: kube-apiserver takes no APIService that both trusts a CA and verifies nothing.
    # The server would verify again, after an overlap that is short here.
    site.processes["server"].end()
    unverified = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    site.cluster.patch(f"{API_SERVICES}/{CUSTOM[0]}", unverified)
    site.helm("rollback", RELEASE, "1", "--namespace", CHART_NAMESPACE)
    assert site.api_service(CUSTOM[0])["spec"]["insecureSkipTLSVerify"] is True
    (container,) = site.cluster.read(path)["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("registry.k8s.io/prometheus-adapter")
    remove(site, RELEASE)


PREDECESSORS = {
    "kube-prometheus": ("monitoring", "prometheus-adapter", "v1beta1.metrics.k8s.io"),
    "gpu-documents": ("kube-system", "custom-metrics-apiserver", "v1beta1.custom.metrics.k8s.io"),
}


@pytest.mark.parametrize("place", PREDECESSORS)
def test_only_the_image_is_changed(site: Installation, prometheus: Prometheus, place: str) -> None:
    """The predecessor's objects stay as they are, rights included; the server is found."""
    namespace, name, api_service = PREDECESSORS[place]
    text = (HERE / f"predecessor/{place}.yaml").read_text()
    objects = list(yaml.safe_load_all(text))
    if place == "gpu-documents":
        make_secret(site, namespace, name)
    site.apply(objects)
    process = site.serve(namespace, name, prometheus_url=prometheus.url)
    site.wait_available([api_service], verified=False)
    group, version = api_service.partition(".")[::2][::-1]
    resources = site.cluster.read(f"/apis/{group}/{version}")
    assert resources["kind"] == "APIResourceList"
    process.end()
    for one in objects:
        site.cluster.delete(one)
