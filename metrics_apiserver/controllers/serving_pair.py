"""The serving context: the pair of flags, of the environment, or a self-signed one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.certs import pair_files, self_signed, serving
from metrics_apiserver.certs.pair import PairRefused
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.options.settings import ServeSettings, ServingSettings

log = logging.getLogger(__name__)


def make_serving(
    settings: ServeSettings, pair_paths: pair_files.PairFiles | None, client_ca: Callable[[], bytes]
) -> ServingContext:
    """The context to serve with.

    Args:
        settings: what the flags say.
        pair_paths: a pair that the environment brings; flags win.
        client_ca: the authorities whose clients are known.

    Raises:
        errors.ConfigError: the pair or the TLS policy cannot be used.
    """
    options = settings.serving
    policy = serving.Policy(options.min_version, options.cipher_suites)
    try:
        if options.cert_file:
            pair_paths = pair_files.PairFiles(Path(options.cert_file), Path(options.key_file))
        elif pair_paths is None:
            pair_paths = _ensure(options)
        return ServingContext(pair_paths, policy, client_ca, wall_clock)
    except (OSError, ValueError, PairRefused) as error:
        flag = "--tls-cert-file" if options.cert_file else "--cert-dir"
        fault = Diagnostic(f"the serving pair cannot be used: {error}", path=flag)
        raise errors.ConfigError("command line", (fault,)) from error


def renew(settings: ServeSettings, pair_paths: pair_files.PairFiles | None) -> None:
    """Makes a self-signed pair anew when it is due; pairs that come from elsewhere are left alone.

    What cannot be written now is logged: the old pair serves on, and the next call tries again.

    Args:
        settings: what the flags say.
        pair_paths: as `make_serving` was given.
    """
    if settings.serving.cert_file or pair_paths is not None:
        return
    try:
        _ensure(settings.serving)
    except OSError as error:
        log.warning(
            "the self-signed serving pair cannot be renewed",
            extra={"directory": settings.serving.cert_dir, "error": error.strerror or str(error)},
        )


def _ensure(options: ServingSettings) -> pair_files.PairFiles:
    return self_signed.ensure(Path(options.cert_dir), _hosts(options.bind_address), wall_clock())


def _hosts(address: str) -> tuple[str, ...]:
    return () if address in ("0.0.0.0", "::") else (address,)  # noqa: S104 - compared with
