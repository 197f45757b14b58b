"""What the tests of installations share: a release of the chart, its values, reading as the HPA."""

from __future__ import annotations

from typing import Any

import trustme
import yaml

from tests import builds, helm
from tests.e2e.harness import pki, polling
from tests.e2e.harness.installation import Installation

HPA = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
NAMESPACE = "metrics"
RELEASE = "fresh"
NAME = "fresh-metrics-apiserver"
RELEASE_OF_THE_PREDECESSOR = "prometheus-adapter"
_DEPTH = {
    "seriesQuery": 'depth{namespace!="",service!=""}',
    "resources": {
        "overrides": {"namespace": {"resource": "namespace"}, "service": {"resource": "service"}}
    },
    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
}


def values(**more: Any) -> dict[str, Any]:
    """A values file whose only rule is the one for `depth`, and more."""
    return {"rules": {"default": False, "custom": [_DEPTH]}, **more}


def values_of_every_kind(**more: Any) -> dict[str, Any]:
    """A values file with rules for custom, external and resource metrics, and more."""
    file = yaml.safe_load((builds.ROOT / "tests/e2e/rules.yaml").read_text())
    rules = {"custom": file["rules"], "external": file["externalRules"]}
    return {"rules": {"default": False, **rules, "resource": file["resourceRules"]}, **more}


def install(site: Installation, chosen: dict[str, Any]) -> None:
    site.helm_upgrade(RELEASE, helm.CHART, chosen, NAMESPACE)


def remove(site: Installation, release: str = RELEASE) -> None:
    """Ends the server, where one runs, and takes its objects away."""
    site.end_server()
    site.helm("uninstall", release, "--namespace", NAMESPACE)


def read_as_hpa(site: Installation, service: str) -> None:
    """The HPA's account reads the metric of a Service through kube-apiserver."""
    path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/services/{service}/depth"
    client = site.as_user(HPA)
    polling.until(
        f"the HPA reads depth of {service}",
        lambda: client.get(path).values() == {service: "7"},
        seen=lambda: client.get(path),
    )


def make_secret(site: Installation, namespace: str, service: str) -> str:
    """The Secret as the GPU documents' script makes it; gives its authority, PEM."""
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
