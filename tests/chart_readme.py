"""The chart's README.md, out of Chart.yaml, values.yaml and the schema of the values.

`python -m tests.chart_readme` writes it; tests/unit/chart/test_readme.py compares. A comment above
a key of values.yaml is its description, and `# === TITLE ===` begins a section. A mapping gets one
row where the schema allows null for it or leaves its keys open, otherwise a row for each key.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/metrics-apiserver"
README = CHART / "README.md"
_COLUMNS = "| Key | Default | Description |\n| --- | --- | --- |\n"
_SECTION = re.compile(r"# === (?P<title>.+) ===$")
_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.-]+):")


@dataclass(frozen=True)
class Value:
    """A key of values.yaml: its path, its section, the comment above it and its default."""

    path: tuple[str, ...]
    section: str
    description: str
    default: Any

    @property
    def name(self) -> str:
        return ".".join(self.path)


def values() -> Iterator[Value]:
    """Every key in the order of the file, mappings before their own keys."""
    text = (CHART / "values.yaml").read_text()
    defaults = yaml.safe_load(text)
    section, comment, path = "", list[str](), list[str]()
    for line in text.splitlines():
        if title := _SECTION.match(line):
            section, comment = title["title"], []
        elif line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif key := _KEY.match(line):
            path = [*path[: len(key["indent"]) // 2], key["key"]]
            yield Value(tuple(path), section, " ".join(comment), _at(defaults, path))
            comment = []
        else:
            comment = []


def _at(document: Any, path: list[str]) -> Any:
    for key in path:
        document = document[key]
    return document


def is_whole(path: tuple[str, ...]) -> bool:
    """Whether the schema takes this key as one value, rather than as a mapping of known keys."""
    node = json.loads((CHART / "values.schema.json").read_text())
    for key in path:
        node = node.get("properties", {}).get(key, {})
    return node.get("type") != "object" or "properties" not in node


def rows() -> Iterator[Value]:
    """The keys that the README lists: what is below a whole value belongs to it."""
    for value in values():
        if not any(is_whole(value.path[:depth]) for depth in range(1, len(value.path))):
            yield value


def render() -> str:
    """The README."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    parts = [_head(chart)]
    section = ""
    for value in rows():
        if value.section != section:
            section = value.section
            parts.append(
                f"\n### {section}\n\n| Key | Default | Description |\n| --- | --- | --- |\n"
            )
        parts.append(_row(value))
    return "".join(parts)


def _row(value: Value) -> str:
    whole = is_whole(value.path)
    default = f"`{json.dumps(value.default, ensure_ascii=False)}`" if whole else ""
    cells = (f"`{value.name}`", default, value.description)
    if not whole and not value.description:
        return ""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def _head(chart: dict[str, Any]) -> str:
    home = chart["home"]
    return f"""\
<!-- Generated from Chart.yaml and values.yaml: run `python -m tests.chart_readme`. -->

# {chart["name"]}

{chart["description"]}

Chart {chart["version"]}, application {chart["appVersion"]}, Kubernetes
`{chart["kubeVersion"].removesuffix("-0")}`.

## Install

Build the image and push it to your registry first, as
[Install]({home}/blob/main/docs/install.md#the-image) says. Then, from a clone of the repository:

```bash
helm upgrade --install metrics charts/{chart["name"]} --namespace monitoring --create-namespace \\
  --set image.repository=REGISTRY/metrics-apiserver \\
  --set prometheus.url=http://prometheus-k8s.monitoring.svc --set prometheus.port=9090
```

Check that kube-apiserver reaches the server, and what the HPAs see:

```bash
kubectl get apiservice | grep metrics.k8s.io
kubectl describe hpa --all-namespaces
```

To take over from a release of prometheus-adapter, see
[Install]({home}/blob/main/docs/install.md#from-a-release-of-prometheus-adapter). A value of a
wrong type is refused, with its place. An unknown key does nothing, as with other charts; the notes
after an installation name it, and what was probably meant. In rules, and below `rulePacks`,
`gpuExporter`, `apiServices`, `highAvailability` and `priorityAndFairness`, unknown keys are refused
too.

## Uninstall

```bash
helm uninstall metrics --namespace monitoring
```

## Values
"""


if __name__ == "__main__":
    README.write_text(render())
    sys.stdout.write(f"{README.relative_to(ROOT)}\n")
