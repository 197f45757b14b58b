"""A test that lacks a program is skipped with the reason, or fails in continuous integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import builds, programs


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("CI", raising=False)


def install(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return program


def test_a_missing_program_is_named_with_its_cure() -> None:
    with pytest.raises(builds.Missing, match="prometheus` gets it"):
        programs.find("prometheus")


def test_it_skips_the_test() -> None:
    with pytest.raises(pytest.skip.Exception, match="etcd is not here"):
        programs.require("etcd")


@pytest.mark.parametrize("value", ["true", "1"])
def test_it_fails_the_test_in_continuous_integration(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="etcd is not here"):
        programs.require("etcd")


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_ci_may_be_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    assert not programs.is_ci()


def test_programs_on_path_are_found(tmp_path: Path) -> None:
    cc, etcd = install(tmp_path, "cc"), install(tmp_path, "etcd")
    assert programs.find("cc") == cc
    assert programs.require("cc", "etcd") == etcd


def test_a_control_plane_may_be_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    server = install(tmp_path, "kube-apiserver")
    assert programs.find("kube-apiserver") == server


@pytest.mark.parametrize(("version", "taken"), [("v3.19.0+g3d8990f", True), ("v4.1.4", False)])
def test_only_helm_3_is_taken_from_path(tmp_path: Path, version: str, taken: bool) -> None:
    helm = install(tmp_path, "helm", f"#!/bin/sh\necho {version}\n")
    found = programs._present("helm")
    assert (found == helm) is taken
