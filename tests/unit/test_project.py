"""The project's metadata: one address, one version, and the files that contributors expect."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from metrics_apiserver import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY: str = PROJECT["urls"]["Repository"]
COMMUNITY = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    ".github/CODEOWNERS",
    ".github/PULL_REQUEST_TEMPLATE.md",
    ".github/ISSUE_TEMPLATE/config.yml",
)
PLACES = ("charts", "config", "docs", "manifests", ".github")
ADDRESS = re.compile(r"https://(?:raw\.githubusercontent|github)\.com/metrics-apiserver/[\w./#-]*")
FILE = re.compile(r"(?:/blob/main|/main)/(?P<path>[\w./-]+)")


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that may name the repository's address."""
    found = [ROOT / name for name in (*COMMUNITY, "Dockerfile", "pyproject.toml")]
    for place in PLACES:
        found += [path for path in (ROOT / place).rglob("*") if path.is_file()]
    for path in found:
        yield path, path.read_text()


def addresses() -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(ROOT)), address)
        for path, text in texts()
        for address in ADDRESS.findall(text)
    }


@pytest.mark.parametrize("name", COMMUNITY)
def test_a_file_that_contributors_expect_is_there(name: str) -> None:
    assert (ROOT / name).read_text().strip()


def test_every_address_is_that_of_the_project() -> None:
    raw = REPOSITORY.replace("https://github.com/", "https://raw.githubusercontent.com/")
    assert addresses()
    others = [one for one in addresses() if not one[1].startswith((REPOSITORY, raw))]
    assert others == []


def test_every_file_that_an_address_names_is_there() -> None:
    named = {(place, match["path"]) for place, one in addresses() if (match := FILE.search(one))}
    assert [one for one in sorted(named) if not (ROOT / one[1]).exists()] == []


def test_the_issue_templates_parse() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_version_is_the_same_everywhere() -> None:
    chart = yaml.safe_load((ROOT / "charts/metrics-apiserver/Chart.yaml").read_text())
    versions = {PROJECT["version"], chart["version"], chart["appVersion"]}
    assert versions == {__version__}
