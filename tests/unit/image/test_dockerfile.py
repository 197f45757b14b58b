"""The Dockerfile installs only what is pinned by hash, runs unprivileged and labels its images."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCKS = ("requirements.lock", "requirements-gpu.lock", "requirements-build.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Version by package of a lock file."""
    found = PIN.finditer((ROOT / lock).read_text())
    return {canonicalize_name(match["name"]): match["version"] for match in found}


def test_every_base_is_the_one_pinned_argument() -> None:
    bases = re.findall(r"^FROM (\S+)(?: AS (\S+))?", DOCKERFILE, re.MULTILINE)
    stages = {stage for _, stage in bases}
    assert {base for base, _ in bases} - stages == {"${PYTHON_IMAGE}"}
    (default,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-[a-z]+", default)


def test_every_installation_is_by_hash_or_from_what_was_built_here() -> None:
    installs = re.findall(r"pip .*\binstall\b.*", DOCKERFILE)
    assert installs
    for command in installs:
        by_hash = "--require-hashes --no-deps --only-binary=:all:" in command
        assert by_hash or "--no-deps --no-index /wheels/" in command, command


@pytest.mark.parametrize("stage", ["server", "nvml-exporter"])
def test_what_runs_is_not_root(stage: str) -> None:
    text = DOCKERFILE.partition(f"AS {stage}\n")[2].partition("\nFROM ")[0]
    assert "USER" not in text
    assert DOCKERFILE.partition(" AS base\n")[2].partition("\nFROM ")[0].count("USER 10001:10001")


def test_the_server_is_the_default_and_answers_to_adapter() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("base AS server\n")
    assert " /adapter\n" in last
    assert last.rstrip().endswith('ENTRYPOINT ["/opt/metrics-apiserver/bin/metrics-apiserver"]')


def labels(stage: str) -> dict[str, str]:
    """The OCI labels of one target, those of its base included, without their common prefix."""
    texts = [
        DOCKERFILE.partition(f" AS {name}\n")[2].partition("\nFROM ")[0] for name in ("base", stage)
    ]
    pair = re.compile(r'org\.opencontainers\.image\.(\w+)="([^"]*)"')
    return {key: value for text in texts for key, value in pair.findall(text)}


@pytest.mark.parametrize(
    ("stage", "page"), [("server", "index.md"), ("nvml-exporter", "gpu-exporter.md")]
)
def test_each_image_says_what_it_is_and_where_it_comes_from(stage: str, page: str) -> None:
    project, found = PROJECT["project"], labels(stage)
    assert found["version"] == project["version"]
    assert found["licenses"] == project["license"]
    assert found["vendor"] == found["authors"] == project["authors"][0]["name"]
    assert found["source"] == found["url"] == project["urls"]["Repository"]
    assert found["documentation"] == f"{project['urls']['Repository']}/blob/main/docs/{page}"
    assert (ROOT / "docs" / page).is_file()
    assert found["title"] == {"server": "metrics-apiserver"}.get(stage, stage)
    assert found["description"]


def test_the_image_of_the_server_is_described_as_the_package_is() -> None:
    assert labels("server")["description"] == PROJECT["project"]["description"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_by_hash_and_names_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert PIN.match(block), block
        assert "--hash=sha256:" in block, block


def test_locks_satisfy_the_project() -> None:
    runtime = PROJECT["project"]["dependencies"]
    gpu = PROJECT["project"]["optional-dependencies"]["gpu"]
    build = PROJECT["build-system"]["requires"]
    for lock, wanted in zip(LOCKS, (runtime, [*runtime, *gpu], build), strict=True):
        found = pins(lock)
        for requirement in map(Requirement, wanted):
            version = found.get(canonicalize_name(requirement.name))
            assert version is not None, f"{lock} lacks {requirement.name}: run `make lock`"
            assert requirement.specifier.contains(version), f"{lock}: {requirement}"


def test_the_images_hold_nothing_that_no_module_imports() -> None:
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "metrics_apiserver").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names(node)
    }
    packages = importlib.metadata.packages_distributions()
    used = {canonicalize_name(one) for name in imported for one in packages.get(name, ())}
    gpu = PROJECT["project"]["optional-dependencies"]["gpu"]
    asked = {
        canonicalize_name(Requirement(one).name)
        for one in [*PROJECT["project"]["dependencies"], *gpu]
    }
    assert asked <= used


def names(node: ast.AST) -> list[str]:
    """What an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def test_both_images_have_the_same_versions() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-gpu.lock").items()


def test_hadolint_finds_nothing() -> None:
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if found is None:
        pytest.skip("hadolint is not installed (the group `lint` has it)")
    done = subprocess.run(
        [found, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
