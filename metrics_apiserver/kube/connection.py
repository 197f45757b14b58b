"""How to reach kube-apiserver and as whom, as plain values; config.py fills them in.

Material that may be replaced while we run (tokens, certificates) stays a path here and is read
where it is used, so that a rotation needs no restart. Nothing secret shows in a repr.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from metrics_apiserver.base import files


@dataclass(frozen=True, slots=True)
class FileOrData:
    """Bytes given inline, or in a file that may be replaced while we run.

    Attributes:
        place: where in the kubeconfig, for messages.
        data: inline content; empty when `path` is set.
    """

    place: str
    data: bytes = field(default=b"", repr=False)
    path: Path | None = None

    def read(self, read: Callable[[Path], bytes] = files.read) -> bytes:
        """The content now.

        Args:
            read: reads the file, if it is one.

        Raises:
            OSError: the file cannot be read, or is no file that `base.files` reads.
        """
        return self.data if self.path is None else read(self.path)


@dataclass(frozen=True, slots=True)
class CredentialPlugin:
    """A user whose credentials come from a program or an identity provider."""

    kind: Literal["exec", "auth-provider"]
    settings: Mapping[str, Any] = field(repr=False)
    directory: Path


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """One context, resolved.

    Attributes:
        source: file name, or `in-cluster`, for messages.
        server: URL without a trailing slash; may have a path.
        namespace: the context's or the pod's own namespace; empty when not said.
        tls_server_name: name to verify instead of the host; empty for the host.
        proxy_url: http(s) proxy; empty for none.
    """

    source: str
    server: str
    namespace: str = ""
    ca: FileOrData | None = None
    client_certificate: FileOrData | None = None
    client_key: FileOrData | None = None
    token: FileOrData | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    plugin: CredentialPlugin | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = field(default="", repr=False)
