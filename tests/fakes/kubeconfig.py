"""A kubeconfig of one cluster and one user, as kubectl and client-go read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def document(server: str, user: Mapping[str, Any], **cluster: Any) -> bytes:
    """The file.

    Args:
        server: URL of kube-apiserver.
        user: the credentials.
        cluster: further keys of the cluster, with underscores for dashes.
    """
    more = {name.replace("_", "-"): value for name, value in cluster.items()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server, **more}}],
            "users": [{"name": "u", "user": dict(user)}],
        },
        indent=1,
    ).encode()
