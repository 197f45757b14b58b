"""A Helm post-renderer: leads the Services to a port of this machine, as there is no pod network.

Run as a program with the port; manifests from standard input to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

Object = dict[str, Any]


def led_to(objects: Iterable[Object], port: int) -> Iterator[Object]:
    """The objects with Services of type ExternalName, and APIServices at their port."""
    for one in objects:
        if one["kind"] == "Service":
            ports = [{"name": "https", "port": port, "protocol": "TCP"}]
            spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
            yield {**one, "spec": spec}
        elif one["kind"] == "APIService":
            service = {**one["spec"]["service"], "port": port}
            yield {**one, "spec": {**one["spec"], "service": service}}
        else:
            yield one


if __name__ == "__main__":
    documents = filter(None, yaml.safe_load_all(sys.stdin))
    yaml.safe_dump_all(led_to(documents, int(sys.argv[1])), sys.stdout)
