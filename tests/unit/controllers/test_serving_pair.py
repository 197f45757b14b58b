"""Which pair is served: that of flags, of the environment, or one that is made and renewed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.certs import pair, pair_files, self_signed
from metrics_apiserver.controllers import serving_pair
from tests.fakes import pki, process
from tests.fakes.command_line import serve_settings

CA = pki.authority("serving-ca")
YEAR_SECONDS = 365 * 86400.0


def no_clients() -> bytes:
    return b""


def made(directory: Path) -> pair_files.PairFiles:
    pair_paths = directory / "certificates"
    return pair_files.PairFiles(pair_paths / "apiserver.crt", pair_paths / "apiserver.key")


def test_flags_win(tmp_path: Path) -> None:
    settings = serve_settings(tmp_path, *process.write_pair(tmp_path, pki.server(CA, "localhost")))
    soon = pki.server(CA, "localhost", days=pki.Days(end=5))
    (tmp_path / "other").mkdir()
    process.write_pair(tmp_path / "other", soon)
    pair_paths = pair_files.PairFiles(
        tmp_path / "other/serving.crt", tmp_path / "other/serving.key"
    )
    served = serving_pair.make_serving(settings, pair_paths, no_clients)
    assert served.not_after == pytest.approx(_in_days(30), abs=60)
    bundled = serving_pair.make_serving(serve_settings(tmp_path), pair_paths, no_clients)
    assert bundled.not_after == pytest.approx(_in_days(5), abs=60)
    serving_pair.renew(settings, None)
    serving_pair.renew(serve_settings(tmp_path), pair_paths)
    assert not made(tmp_path).key.exists()


def _in_days(days: float) -> float:
    return pki.NOW.timestamp() + days * 86400


def test_a_pair_of_its_own_names_the_address(tmp_path: Path) -> None:
    for address, host in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("::", "::1")):
        serving_pair.make_serving(
            serve_settings(tmp_path, f"--bind-address={address}"), None, no_clients
        )
        pair_paths = made(tmp_path)
        found = pair.inspect(pair_paths.certificate.read_bytes(), pair_paths.key.read_bytes())
        assert found.lacking([host]) == []
        assert "0.0.0.0" not in found.hosts


def test_a_pair_of_its_own_is_renewed_when_it_is_due(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = serve_settings(tmp_path)
    pair_paths = made(tmp_path)
    # Made long ago, as far as its dates say.
    self_signed.ensure(
        pair_paths.key.parent, ("127.0.0.1",), pki.NOW.timestamp() - 0.9 * YEAR_SECONDS
    )
    served = serving_pair.make_serving(settings, None, no_clients)
    fresh = pair_paths.certificate.read_bytes()
    serving_pair.renew(settings, None)
    assert pair_paths.certificate.read_bytes() == fresh
    pair_paths.key.unlink()
    serving_pair.renew(settings, None)
    assert pair_paths.certificate.read_bytes() != fresh
    assert served.reload_once()
    # Where nothing can be written the old pair stays in use.
    pair_paths.key.unlink()
    pair_paths.certificate.unlink()
    pair_paths.key.parent.rmdir()
    pair_paths.key.parent.write_text("a file in its place")
    with caplog.at_level(logging.WARNING):
        serving_pair.renew(settings, None)
    assert "cannot be renewed" in caplog.text
    assert not served.reload_once()


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (["--tls-cert-file=nowhere", "--tls-private-key-file=nowhere"], "--tls-cert-file"),
        (["--cert-dir=/proc/nowhere"], "--cert-dir"),
    ],
)
def test_what_cannot_be_used_is_a_fault_of_its_flag(
    tmp_path: Path, flags: list[str], fault: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        serving_pair.make_serving(serve_settings(tmp_path, *flags), None, no_clients)
    assert [found.path for found in caught.value.diagnostics] == [fault]


def test_a_pair_that_does_not_match(tmp_path: Path) -> None:
    flags = process.write_pair(tmp_path, pki.server(CA, "localhost"))
    (tmp_path / "serving.key").write_bytes(pki.server(CA, "localhost").key_pem)
    with pytest.raises(errors.ConfigError, match="the key is not the certificate's"):
        serving_pair.make_serving(serve_settings(tmp_path, *flags), None, no_clients)
