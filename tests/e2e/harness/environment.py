"""A whole environment: control plane, shipped manifests, and the server behind kube-apiserver.

The server has exactly the rights of `manifests/`: its identity is the shipped ServiceAccount, and
the HPA controller's built-in right to read metrics is taken away, so that what it reads it reads
by the shipped binding. Prometheus processes are added by those who need one.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import trustme

from tests import programs
from tests.e2e.harness import manifests, pki, polling, scaling
from tests.e2e.harness.apiclient import Cluster, Headers, Object
from tests.e2e.harness.controlplane import ControlPlane
from tests.e2e.harness.server import Server
from tests.fakes import prometheus as backends
from tests.fakes.prometheus import Backend
from tests.fakes.subprocesses import Supervisor

NAMESPACE = "monitoring"
SERVICE = "custom-metrics-apiserver"
CUSTOM = ("v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io")
EXTERNAL = ("v1beta1.external.metrics.k8s.io",)
RESOURCE = ("v1beta1.metrics.k8s.io",)
ALL_GROUPS = (*CUSTOM, *EXTERNAL, *RESOURCE)

_SERVICE_PATH = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}"


class Environment:
    """Start it, use its parts, close it; `directory` is emptied first and keeps the logs."""

    def __init__(
        self, directory: Path, controller_manager: Mapping[str, object] | None = None
    ) -> None:
        self.directory = directory.resolve()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.processes = Supervisor(self.directory)
        self.control_plane = ControlPlane(self.directory, self.processes, controller_manager)
        self.cluster = self.control_plane.cluster
        self.shipped: list[Object] = []
        self.server = self._make_server(self.directory)
        self._nudges = 0

    def beside(self, name: str, command: Sequence[str]) -> Server:
        """A second server with the same identity, which no APIService leads to."""
        directory = self.directory / name
        directory.mkdir()
        return self._make_server(directory, name, command)

    def _make_server(
        self, directory: Path, name: str = "server", command: Sequence[str] = ()
    ) -> Server:
        authority = trustme.CA(organization_unit_name="serving-ca")
        ca_file = pki.write_authority(authority, directory / "serving-ca.crt")
        serving = pki.issue(authority, directory, f"{SERVICE}.{NAMESPACE}.svc")
        url, cluster_ca = self.control_plane.url, self.control_plane.ca_file
        kubeconfig = pki.write_kubeconfig(
            directory / "server.kubeconfig", url, cluster_ca, token_file=self._token_file
        )
        return Server(
            directory, self.processes, kubeconfig, serving, ca_file, name=name, command=command
        )

    @property
    def _token_file(self) -> Path:
        return self.directory / "server.token"

    def start(self) -> None:
        """Brings the control plane up and applies everything that is shipped."""
        self.control_plane.start()
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply([namespace(NAMESPACE, restricted)])
        rendered = manifests.render()
        self.shipped = list(
            manifests.for_loopback(rendered, self.server.port, self.server.authority)
        )
        self.apply(self.shipped)
        self.control_plane.cut_down_hpa_role()
        self._write_token()

    def _write_token(self) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{SERVICE}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.cluster.request("POST", path, request)
        self._token_file.touch(mode=0o600)
        self._token_file.write_text(answer.body["status"]["token"])

    def apply(self, objects: Iterable[Object]) -> None:
        for one in objects:
            self.cluster.apply(one)

    def prometheus(
        self, targets: Sequence[str], name: str = "prometheus", interval: str = "1s"
    ) -> Backend:
        """Starts a Prometheus over these scrape targets."""
        backend = backends.prometheus(
            self.directory, targets, name=name, interval=interval, processes=self.processes
        )
        backend.start()
        return backend

    def serve(
        self,
        rules: str,
        prometheus: Backend,
        groups: Sequence[str] = ALL_GROUPS,
        flags: Sequence[str] = (),
    ) -> None:
        """Starts the server over a rule file and waits until the aggregator leads to it."""
        self.server.configure(rules, prometheus.url, flags)
        self.server.start()
        self.wait_available(groups)

    def wait_available(self, names: Sequence[str] = ALL_GROUPS, timeout: float = 30.0) -> None:
        """Waits for the APIServices.

        A change of the Service makes kube-apiserver check again at once. In a cluster the
        EndpointSlice of a pod that became ready does this; on loopback there is none.
        """
        for name in names:
            polling.until(
                f"APIService {name} available",
                partial(self._available_or_nudged, name),
                timeout=timeout,
                interval=0.5,
                seen=partial(self._api_service, name),
            )

    def _available_or_nudged(self, name: str) -> bool:
        return self.is_available(name) or self._nudge()

    def _api_service(self, name: str) -> Object:
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{name}"
        body: Object = self.cluster.read(path)
        return body

    def is_available(self, name: str) -> bool:
        """Whether kube-apiserver leads this group version to the server."""
        conditions = self._api_service(name).get("status", {}).get("conditions", [])
        return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)

    def _nudge(self) -> bool:
        self._nudges += 1
        annotations = {"e2e/nudge": str(self._nudges)}
        self.cluster.patch(_SERVICE_PATH, {"metadata": {"annotations": annotations}})
        return False

    def replicas(self, name: str) -> int:
        """`spec.replicas` of a Deployment of the workload."""
        return scaling.replicas(self.cluster, name)

    def hpa_status(self, name: str) -> Object:
        return scaling.hpa_status(self.cluster, name)

    def scaling_active(self, name: str) -> bool:
        """Whether the HPA could read its metric at its last turn."""
        conditions = self.hpa_status(name).get("conditions", [])
        return any(one["type"] == "ScalingActive" and one["status"] == "True" for one in conditions)

    def kubectl(self, *arguments: str) -> str:
        """Standard output of a kubectl command that must succeed, as the administrator."""
        done = self.run_kubectl(*arguments)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def run_kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A kubectl command of the administrator, with a discovery cache of this environment."""
        command = [str(programs.find("kubectl")), *arguments]
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.control_plane.admin_kubeconfig),
            "KUBECACHEDIR": str(self.directory / "kubectl-cache"),
        }
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    @property
    def admin_context(self) -> ssl.SSLContext:
        """Trusts kube-apiserver and shows the administrator's certificate."""
        return pki.client_context(self.control_plane.ca_file, self.control_plane.admin)

    def user(self, name: str, headers: Headers = ()) -> Cluster:
        """kube-apiserver as an ordinary user, known by a client certificate."""
        pair = self.control_plane.client_certificate(name)
        context = pki.client_context(self.control_plane.ca_file, pair)
        return Cluster(self.control_plane.url, context, headers)

    def close(self) -> None:
        self.processes.close()


def namespace(name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels or {}},
    }


def load_objects(path: Path) -> list[Object]:
    """A JSON list of objects, in order of creation."""
    objects: list[Object] = json.loads(path.read_text(encoding="utf-8"))
    return objects
