"""How to reach kube-apiserver and as whom, as plain values; config.py fills them in.

Material that may be replaced while we run (tokens, certificates) stays a path here and is read
where it is used, so that a rotation needs no restart. Nothing secret shows in a repr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

MAX_FILE_BYTES = 1 << 20


def read_bounded(path: Path) -> bytes:
    """The whole file; OSError when it cannot be read or is larger than 1 MiB."""
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(f"{path} is larger than 1 MiB")
    return content


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

    def read(self) -> bytes:
        """The content now.

        Raises:
            OSError: the file cannot be read or is larger than 1 MiB.
        """
        if self.path is None:
            return self.data
        return read_bounded(self.path)

    def signature(self) -> tuple[int, int, int] | None:
        """Changes when the file is replaced; None for inline data or a file that is not there."""
        if self.path is None:
            return None
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


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
