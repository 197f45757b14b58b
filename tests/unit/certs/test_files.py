"""Row D3: a key is 0600 from its creation on, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_apiserver.certs import files, issue


@pytest.fixture
def _no_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_no_umask")
def test_a_pair_is_written_with_its_modes(tmp_path: Path) -> None:
    where = files.PairFiles(tmp_path / "d" / "a.crt", tmp_path / "d" / "a.key")
    files.write_pair(where, issue.Pair(b"cert", b"key"))
    assert (where.certificate.read_bytes(), where.key.read_bytes()) == (b"cert", b"key")
    assert (mode(where.certificate), mode(where.key)) == (0o644, 0o600)
    assert mode(tmp_path / "d") == 0o700
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["a.crt", "a.key"]


def test_write_replaces_whole_and_follows_no_link(tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "x", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"old")
    target.symlink_to(elsewhere)
    files.write(target, b"new", files.KEY_MODE)
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert elsewhere.read_bytes() == b"old"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write(target, b"new", files.KEY_MODE)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_reading_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="larger"):
        files.read(tmp_path / "big")
    (tmp_path / "fits").write_bytes(b"x" * 1024 * 1024)
    assert len(files.read(tmp_path / "fits")) == 1024 * 1024


def test_exposure_is_told(tmp_path: Path) -> None:
    key = tmp_path / "k"
    files.write(key, b"", 0o600)
    assert files.exposure(key) == ""
    key.chmod(0o640)
    assert "0640" in files.exposure(key)
