"""The serving context: the pair of flags, of the surroundings, or a self-made one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.app.backends import wall_clock
from metrics_apiserver.certs import files, selfmade, serving
from metrics_apiserver.certs.pair import PairRefused
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.core import errors
from metrics_apiserver.settings import ServeSettings


def make_serving(
    settings: ServeSettings, where: files.PairFiles | None, client_ca: Callable[[], bytes]
) -> ServingContext:
    """The context to serve with.

    Args:
        settings: what the flags say.
        where: a pair that the surroundings bring; flags win.
        client_ca: the authorities whose clients are known.

    Raises:
        errors.ConfigError: the pair or the TLS policy cannot be used.
    """
    told = settings.serving
    policy = serving.Policy(told.min_version, told.cipher_suites)
    try:
        if told.cert_file:
            where = files.PairFiles(Path(told.cert_file), Path(told.key_file))
        elif where is None:
            where = selfmade.ensure(Path(told.cert_dir), _hosts(told.bind_address), wall_clock())
        return ServingContext(where, policy, client_ca, wall_clock)
    except (OSError, ValueError, PairRefused) as error:
        flag = "--tls-cert-file" if told.cert_file else "--cert-dir"
        fault = errors.Fault(f"the serving pair cannot be used: {error}", path=flag)
        raise errors.ConfigError("command line", (fault,)) from error


def _hosts(address: str) -> tuple[str, ...]:
    return () if address in ("0.0.0.0", "::") else (address,)  # noqa: S104 - compared with
