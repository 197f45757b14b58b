"""A real etcd, kube-apiserver and kube-controller-manager on loopback.

No kubelet, scheduler or node: `tests/fakes/cluster_kubelet` plays them. Every write of a scale
subresource is put into an audit log, the ground truth of what the HPA decided. The HPA turns every
second and takes a pod's CPU for real after five, so that a loop takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import trustme

from tests import programs
from tests.e2e.harness import pki, polling
from tests.e2e.harness.apiclient import Cluster
from tests.fakes.subprocesses import Supervisor, free_port

HPA_SYNC_SECONDS = 1.0
_HPA_ROLE = (
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:horizontal-pod-autoscaler"
)

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Request",
            "verbs": ["update", "patch"],
            "resources": [{"group": "apps", "resources": ["deployments/scale"]}],
        },
        {"level": "None"},
    ],
}


class ControlPlane:
    """The three processes, their certificates and the administrator's client.

    Args:
        directory: for certificates, data and logs.
        processes: takes the three.
        controller_manager: flags of kube-controller-manager beside or instead of the usual ones.
    """

    def __init__(
        self,
        directory: Path,
        processes: Supervisor,
        controller_manager: Mapping[str, object] | None = None,
    ) -> None:
        self._controller_manager = controller_manager or {}
        self.directory = directory
        self.processes = processes
        self.url = f"https://127.0.0.1:{free_port()}"
        self.audit_log = directory / "audit.log"
        self.client_authority = trustme.CA(organization_unit_name="client-ca")
        self.front_proxy_authority = trustme.CA(organization_unit_name="front-proxy-ca")
        self.ca_file = pki.write_authority(self.client_authority, directory / "ca.crt")
        self.front_proxy_ca_file = pki.write_authority(
            self.front_proxy_authority, directory / "front-proxy-ca.crt"
        )
        self.front_proxy = pki.issue(self.front_proxy_authority, directory, "front-proxy-client")
        self.admin = self.client_certificate("admin", group="system:masters")
        self.admin_kubeconfig = pki.write_kubeconfig(
            directory / "admin.kubeconfig", self.url, self.ca_file, pair=self.admin
        )
        self.cluster = Cluster(self.url, pki.client_context(self.ca_file, self.admin))

    def client_certificate(self, user: str, *, group: str = "") -> pki.Pair:
        """A client certificate that kube-apiserver takes for this user."""
        return pki.issue(self.client_authority, self.directory, user, user=user, group=group)

    def start(self) -> None:
        """Starts all three; returns when kube-apiserver is ready."""
        etcd_url = f"http://127.0.0.1:{free_port()}"
        self._add_etcd(etcd_url)
        self._add_apiserver(etcd_url)
        self._add_controller_manager()
        for name in ("etcd", "kube-apiserver"):
            self.processes[name].start()
        self.wait_ready()
        self.processes["kube-controller-manager"].start()

    def wait_ready(self) -> None:
        apiserver = self.processes["kube-apiserver"]

        def ready() -> bool:
            if (code := apiserver.exit_code()) is not None:
                raise AssertionError(f"kube-apiserver ended with {code}:\n{apiserver.tail()}")
            return self.cluster.get("/readyz", timeout=5.0).status == 200

        polling.until("kube-apiserver ready", ready, timeout=60.0, seen=apiserver.tail)

    def cut_down_hpa_role(self) -> None:
        """Takes the HPA controller's own right to read metrics: what is installed must give it."""
        role = self.cluster.read(_HPA_ROLE)
        metrics = {"custom.metrics.k8s.io", "external.metrics.k8s.io"}
        rules = [rule for rule in role["rules"] if not metrics & set(rule["apiGroups"])]
        kept = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
        self.cluster.patch(_HPA_ROLE, {"metadata": {"annotations": kept}, "rules": rules})

    def _add_etcd(self, url: str) -> None:
        data = self.directory / "etcd"
        listen = ["--listen-client-urls", url, "--advertise-client-urls", url]
        peers = ["--listen-peer-urls", f"http://127.0.0.1:{free_port()}"]
        command = [str(programs.find("etcd")), "--data-dir", str(data), *listen, *peers]
        self.processes.add("etcd", [*command, "--unsafe-no-fsync"])

    def _add_apiserver(self, etcd_url: str) -> None:
        serving = pki.issue(self.client_authority, self.directory, "kube-apiserver")
        signer = pki.issue(self.client_authority, self.directory, "service-account")
        policy = self.directory / "audit-policy.yaml"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        flags = {
            "etcd-servers": etcd_url,
            "bind-address": "127.0.0.1",
            "secure-port": self.url.rpartition(":")[2],
            "tls-cert-file": serving.certificate,
            "tls-private-key-file": serving.key,
            "client-ca-file": self.ca_file,
            "authorization-mode": "RBAC",
            "service-account-key-file": signer.key,
            "service-account-signing-key-file": signer.key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-cluster-ip-range": "10.0.0.0/24",
            "requestheader-client-ca-file": self.front_proxy_ca_file,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": self.front_proxy.certificate,
            "proxy-client-key-file": self.front_proxy.key,
            "endpoint-reconciler-type": "none",
            "disable-admission-plugins": "ServiceAccount",
            "audit-policy-file": policy,
            "audit-log-path": self.audit_log,
        }
        self.processes.add("kube-apiserver", _command("kube-apiserver", flags))

    def _add_controller_manager(self) -> None:
        pair = self.client_certificate("system:kube-controller-manager")
        path = self.directory / "controller-manager.kubeconfig"
        kubeconfig = pki.write_kubeconfig(path, self.url, self.ca_file, pair=pair)
        without_nodes = (
            "*,-node-ipam-controller,-node-lifecycle-controller,-cloud-node-lifecycle-controller,"
            "-service-lb-controller,-node-route-controller"
        )
        flags = {
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": free_port(),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self.directory / "service-account.key",
            "root-ca-file": self.ca_file,
            "leader-elect": "false",
            "controllers": without_nodes,
            "horizontal-pod-autoscaler-sync-period": f"{HPA_SYNC_SECONDS:g}s",
            "horizontal-pod-autoscaler-initial-readiness-delay": "1s",
            "horizontal-pod-autoscaler-cpu-initialization-period": "5s",
            "kube-api-qps": 200,
            "kube-api-burst": 400,
            **self._controller_manager,
        }
        self.processes.add("kube-controller-manager", _command("kube-controller-manager", flags))


def _command(name: str, flags: dict[str, object]) -> list[str]:
    return [str(programs.find(name)), *(f"--{flag}={value}" for flag, value in flags.items())]
