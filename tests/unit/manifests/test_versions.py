"""Everything shipped names the version that the package has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAMED = re.compile(
    r"(?:(?:metrics-apiserver|nvml-exporter):|^\s*(?:newTag|version|appVersion): |image\.tag=)"
    r"(\d+\.\d+\.\d+)\b",
    re.MULTILINE,
)
PLACES = (
    "charts/metrics-apiserver/Chart.yaml",
    "manifests/base/kustomization.yaml",
    "manifests/components/gpu-exporter/kustomization.yaml",
    "manifests/components/gpu-exporter/sidecar.yaml",
    "docs/install.md",
    "README.md",
)


@pytest.mark.parametrize("place", PLACES)
def test_the_version_is_that_of_the_package(place: str) -> None:
    named = NAMED.findall((ROOT / place).read_text())
    assert named, "no version is named here: leave the place out"
    assert set(named) == {VERSION}


def test_no_other_place_names_one() -> None:
    shipped = (*ROOT.glob("charts/**/*"), *ROOT.glob("manifests/**/*"), *ROOT.glob("docs/*.md"))
    found = {
        str(path.relative_to(ROOT))
        for path in shipped
        if path.suffix in (".md", ".yaml") and NAMED.search(path.read_text())
    }
    assert found <= set(PLACES)
