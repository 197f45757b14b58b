from __future__ import annotations

import logging
from pathlib import Path

import pytest

from metrics_apiserver.certs import pair, self_signed
from tests.fakes import pki

NOW = pki.NOW.timestamp()
YEAR = 365 * 86400


def test_made_once_and_reused(tmp_path: Path) -> None:
    where = self_signed.ensure(tmp_path / "certs", ["a.svc"], NOW)
    assert (where.certificate.name, where.key.name) == ("apiserver.crt", "apiserver.key")
    first = where.certificate.read_bytes()
    assert pair.inspect(first, where.key.read_bytes()).lacking(["a.svc", "localhost"]) == []
    self_signed.ensure(tmp_path / "certs", ["a.svc"], NOW)
    assert where.certificate.read_bytes() == first


@pytest.mark.parametrize(
    ("hosts", "seconds", "anew"),
    [
        (["a.svc", "b.svc"], 0, True),
        (["a.svc"], YEAR * 0.6, False),
        (["a.svc"], YEAR * 0.7, True),
        (["a.svc"], YEAR * 2, True),
    ],
)
def test_made_anew(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    hosts: list[str],
    seconds: float,
    anew: bool,
) -> None:
    where = self_signed.ensure(tmp_path, ["a.svc"], NOW)
    first = where.certificate.read_bytes()
    with caplog.at_level(logging.INFO):
        self_signed.ensure(tmp_path, hosts, NOW + seconds)
    assert (where.certificate.read_bytes() != first) is anew
    assert bool(caplog.records) is anew


def test_a_broken_pair_is_replaced(tmp_path: Path) -> None:
    where = self_signed.ensure(tmp_path, [], NOW)
    where.key.write_bytes(b"broken")
    self_signed.ensure(tmp_path, [], NOW)
    pair.inspect(where.certificate.read_bytes(), where.key.read_bytes())
