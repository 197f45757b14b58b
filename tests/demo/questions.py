"""Asks the standalone server by kubectl where it is, else as kubectl would, by its kubeconfig."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class Unanswered(Exception):
    """A question that got no good answer."""


class Asker:
    """Reads paths of one server.

    Args:
        kubeconfig: as the server wrote it.
        port: where it listens on localhost.
    """

    def __init__(self, kubeconfig: Path, port: int) -> None:
        self._kubeconfig = kubeconfig
        self._port = port
        self._kubectl = shutil.which("kubectl")

    def setup(self, variables: Mapping[str, str]) -> list[str]:
        """What one types before the commands of `spelled`; nothing without kubectl."""
        if not self._kubectl:
            return []
        here = Path.cwd()
        inside = self._kubeconfig.is_relative_to(here)
        shown = self._kubeconfig.relative_to(here) if inside else self._kubeconfig
        return [
            f"export KUBECONFIG={shown}",
            *(f"{name}={path}" for name, path in variables.items()),
        ]

    def spelled(self, path: str, variables: Mapping[str, str]) -> str:
        """The command line that asks this, with the variables of `setup` for long paths."""
        if not self._kubectl:
            return f"GET {path}"
        for name, prefix in variables.items():
            if path.startswith(f"{prefix}/"):
                return f'kubectl get --raw "${name}{path.removeprefix(prefix)}"'
        return f"kubectl get --raw {path}"

    def read(self, path: str) -> Any:
        """The JSON answer. Raises Unanswered for anything but 200, OSError without an answer."""
        text = self._by_kubectl(path) if self._kubectl else self._by_itself(path)
        return json.loads(text)

    def _by_kubectl(self, path: str) -> str:
        command = [str(self._kubectl), "--kubeconfig", str(self._kubeconfig), "get", "--raw", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise Unanswered(done.stderr.strip())
        return done.stdout

    def _by_itself(self, path: str) -> str:
        request = urllib.request.Request(f"https://localhost:{self._port}{path}")
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls())
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=30) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise Unanswered(f"{error.code} {error.read().decode(errors='replace')}") from error
        return body.decode()

    def _tls(self) -> ssl.SSLContext:
        document = yaml.safe_load(self._kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            for key in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[key]) + b"\n")
            pair.flush()
            context.load_cert_chain(pair.name)
        return context
