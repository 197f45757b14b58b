from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.kube.connection import FileOrData


def test_inline_data_never_changes() -> None:
    material = FileOrData("token", data=b"SECRET")
    assert material.read() == b"SECRET"
    assert "SECRET" not in repr(material)


def test_a_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "token"
    material = FileOrData("token", path=path)
    with pytest.raises(FileNotFoundError):
        material.read()
    path.write_bytes(b"one")
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"two")
    fresh.replace(path)
    assert material.read() == b"two"
    assert material.read(lambda asked: str(asked).encode()) == str(path).encode()
