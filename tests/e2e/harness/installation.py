"""A control plane of its own to install into, and the server that an installed Deployment means.

The process gets the arguments, the files and the token of the ServiceAccount that a pod of the
Deployment would have; only what a machine without pods lacks is given in its stead: kubeconfigs, a
loopback address and the port that the Services lead to. The HPA controller reads metrics by the
installed binding alone.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests import builds, programs
from tests.e2e.harness import manifests, pki, polling, postrender
from tests.e2e.harness.apiclient import APPLY, Answer, ApiClient, Object
from tests.e2e.harness.controlplane import ControlPlane
from tests.e2e.harness.server import subject_command
from tests.fakes.subprocesses import Process, Supervisor, free_port

API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")
}


class Installation:
    """Start it, install, serve, close it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.processes = Supervisor(self.directory)
        self.control_plane = ControlPlane(self.directory, self.processes)
        self.cluster = self.control_plane.cluster
        self.port = free_port()
        self._nudges = 0

    def start(self) -> None:
        self.control_plane.start()
        self.control_plane.cut_down_hpa_role()

    def close(self) -> None:
        self.processes.close()

    def namespace(self, name: str) -> None:
        """A namespace that enforces the Pod Security Standard `restricted`."""
        metadata = {"name": name, "labels": RESTRICTED}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def try_out(self, target: Object) -> Answer:
        """A server-side apply that changes nothing, unknown fields refused."""
        query = "?dryRun=All&fieldManager=e2e&force=true&fieldValidation=Strict"
        path = self.cluster.path_of(target) + query
        return self.cluster.request("PATCH", path, target, content_type=APPLY)

    def apply(self, objects: Iterable[Object]) -> None:
        """Applies objects, with their Services led to the port."""
        for one in postrender.led_to(objects, self.port):
            self.cluster.apply(one)

    @property
    def post_renderer(self) -> list[str]:
        """Options of Helm that lead Services to the port."""
        words = ["-m", postrender.__name__, str(self.port)]
        return [
            f"--post-renderer={sys.executable}",
            *(f"--post-renderer-args={word}" for word in words),
        ]

    def helm_upgrade(
        self, release: str, chart: Path, values: Mapping[str, Any], namespace: str
    ) -> None:
        """`helm upgrade --install` of a chart with its values."""
        file = self.directory / f"{release}-values.json"
        file.write_text(json.dumps(values))
        options = ["--namespace", namespace, "--values", str(file), *self.post_renderer]
        self.helm("upgrade", "--install", release, str(chart), *options)

    def helm(self, *arguments: str) -> None:
        """A Helm command of the administrator that must succeed."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.control_plane.admin_kubeconfig),
            "HELM_CACHE_HOME": str(self.directory / "helm"),
            "PYTHONPATH": str(builds.ROOT),
        }
        done = subprocess.run(
            [str(programs.find("helm")), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"helm {' '.join(arguments)}: {done.stderr}")

    def serve(self, namespace: str, deployment: str, **instead: str) -> Process:
        """Runs the server of a Deployment in the cluster; another that runs is ended."""
        flags = self.arguments(namespace, deployment, **instead)
        place = [f"--secure-port={self.port}", "--bind-address=127.0.0.1"]
        environment = {**os.environ, "PYTHONPATH": str(builds.ROOT)}
        process = self.processes.add("server", [*subject_command(), *flags, *place], environment)
        process.start()
        polling.until("the server is alive", partial(self._is_alive, process), seen=process.tail)
        return process

    def arguments(self, namespace: str, deployment: str, **instead: str) -> list[str]:
        """The flags of the server in a Deployment of the cluster, but for the port.

        Args:
            namespace: of the Deployment.
            deployment: its name.
            instead: values of flags in the place of the Deployment's, dashes as underscores.
        """
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"
        pod = self.cluster.read(path)["spec"]["template"]["spec"]
        files = self._files(namespace, pod)
        account = self._kubeconfig(namespace, pod["serviceAccountName"])
        overrides = {name.replace("_", "-"): value for name, value in instead.items()}
        overrides["metrics-relist-interval"] = "2s"
        arguments = []
        for argument in manifests.arguments(pod["containers"][0], namespace):
            flag, equals, value = argument.partition("=")
            if flag == "--secure-port":
                continue
            value = overrides.get(flag.removeprefix("--"), value)
            # The longest place first, and once: the folder outside may lie below the same name.
            for inside in sorted(files, key=len, reverse=True):
                if value == inside or value.startswith(f"{inside}/"):
                    value = f"{files[inside]}{value.removeprefix(inside)}"
                    break
            arguments.append(f"{flag}{equals}{value}")
        roles = ("lister", "authentication", "authorization")
        arguments += [f"--{role}-kubeconfig={account}" for role in roles]
        return [*arguments, "--shutdown-drain=0s"]

    def end_server(self) -> None:
        """Ends the server, where one was started."""
        if "server" in self.processes:
            self.processes["server"].end()

    def _is_alive(self, process: Process) -> bool:
        """Not ready: a server that keeps its certificate is so only once it is trusted."""
        if (code := process.exit_code()) is not None:
            raise AssertionError(f"the server ended with {code}:\n{process.tail()}")
        context = ssl._create_unverified_context()
        return ApiClient(f"https://localhost:{self.port}", context).get("/livez").status == 200

    def _files(self, namespace: str, pod: Object) -> dict[str, Path]:
        """The volumes of a pod as folders, by their place in the container."""
        folders: dict[str, Path] = {}
        mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
        for volume in pod["volumes"]:
            folder = self.directory / "volumes" / volume["name"]
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            folders[mounts[volume["name"]].rstrip("/")] = folder
            if name := volume.get("configMap", {}).get("name"):
                data = self.cluster.read(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
                for key, text in data["data"].items():
                    (folder / key).write_text(text)
            if name := volume.get("secret", {}).get("secretName"):
                data = self.cluster.read(f"/api/v1/namespaces/{namespace}/secrets/{name}")
                for key, text in data["data"].items():
                    (folder / key).touch(mode=0o600)
                    (folder / key).write_bytes(base64.b64decode(text))
        return folders

    def _kubeconfig(self, namespace: str, account: str) -> Path:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.cluster.request("POST", path, request)
        token = self.directory / f"{namespace}-{account}.token"
        token.touch(mode=0o600)
        token.write_text(answer.body["status"]["token"])
        plane = self.control_plane
        file = self.directory / f"{namespace}-{account}.kubeconfig"
        return pki.write_kubeconfig(file, plane.url, plane.ca_file, token_file=token)

    def api_service(self, name: str) -> Object:
        found: Object = self.cluster.read(f"{API_SERVICES}/{name}")
        return found

    def is_available(self, name: str) -> bool:
        conditions = self.api_service(name).get("status", {}).get("conditions", [])
        return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)

    def wait_available(self, names: Iterable[str], *, verified: bool) -> None:
        """Waits until kube-apiserver leads the group versions to the server.

        Args:
            names: of APIServices.
            verified: whether it must verify the certificate.
        """
        for name in names:
            polling.until(
                f"APIService {name} available, verified: {verified}",
                partial(self._settled, name, verified),
                interval=0.3,
                seen=partial(self._seen, name),
            )

    def _settled(self, name: str, verified: bool) -> bool:
        spec = self.api_service(name)["spec"]
        trusts = bool(spec.get("caBundle")) and "insecureSkipTLSVerify" not in spec
        if trusts == verified and self.is_available(name):
            return True
        self._nudge(spec["service"])
        return False

    def _seen(self, name: str) -> tuple[Object, str]:
        return self.api_service(name), self.processes.tails()

    def _nudge(self, service: Object) -> None:
        """Changes the Service, so that kube-apiserver checks again, as it does for a ready pod."""
        self._nudges += 1
        path = f"/api/v1/namespaces/{service['namespace']}/services/{service['name']}"
        annotations = {"e2e/nudge": str(self._nudges)}
        self.cluster.patch(path, {"metadata": {"annotations": annotations}})

    def as_user(self, name: str) -> ApiClient:
        """kube-apiserver as it serves an ordinary user."""
        context = pki.client_context(self.control_plane.ca_file, self.control_plane.admin)
        headers = [("Impersonate-User", name), ("Impersonate-Group", "system:authenticated")]
        return ApiClient(self.control_plane.url, context, headers)
