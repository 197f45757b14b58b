from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.kube.connection import MAX_FILE_BYTES, FileOrData, read_bounded


def test_inline_data_never_changes() -> None:
    material = FileOrData("token", data=b"SECRET")
    assert material.read() == b"SECRET"
    assert material.signature() is None
    assert "SECRET" not in repr(material)


def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "token"
    material = FileOrData("token", path=path)
    assert material.signature() is None
    with pytest.raises(FileNotFoundError):
        material.read()
    path.write_bytes(b"one")
    first = material.signature()
    assert first is not None
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"two")
    fresh.replace(path)
    assert material.read() == b"two"
    assert material.signature() != first


def test_large_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * MAX_FILE_BYTES)
    assert len(read_bounded(path)) == MAX_FILE_BYTES
    path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(OSError, match="1 MiB"):
        read_bounded(path)
