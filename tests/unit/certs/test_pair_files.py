"""Row D3: a key is 0600 from its creation on, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_apiserver.certs import issue, pair_files


@pytest.fixture
def _no_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_no_umask")
def test_a_pair_is_written_with_its_modes(tmp_path: Path) -> None:
    where = pair_files.PairFiles(tmp_path / "d" / "a.crt", tmp_path / "d" / "a.key")
    pair_files.write_pair(where, issue.Pair(b"cert", b"key"))
    assert (where.certificate.read_bytes(), where.key.read_bytes()) == (b"cert", b"key")
    assert (mode(where.certificate), mode(where.key)) == (0o644, 0o600)
    assert mode(tmp_path / "d") == 0o700
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["a.crt", "a.key"]


def test_write_replaces_whole_and_follows_no_link(tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "x", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"old")
    target.symlink_to(elsewhere)
    pair_files.write(target, b"new", pair_files.KEY_MODE)
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert elsewhere.read_bytes() == b"old"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        pair_files.write(target, b"new", pair_files.KEY_MODE)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_exposure_is_told(tmp_path: Path) -> None:
    key = tmp_path / "k"
    pair_files.write(key, b"", 0o600)
    assert pair_files.exposure(key) == ""
    key.chmod(0o640)
    assert "0640" in pair_files.exposure(key)
