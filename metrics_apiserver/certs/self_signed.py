"""The self-signed pair of a server without one: `apiserver.crt`, `apiserver.key` in `--cert-dir`.

Reused while it is valid, names every host and has a third of its lifetime left; replaced otherwise.
Follows server/options/serving.go (MaybeDefaultWithSelfSignedCerts), which never renews.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from pathlib import Path

from metrics_apiserver.base import files
from metrics_apiserver.certs import issue, pair, pair_files

_logger = logging.getLogger(__name__)


def ensure(directory: Path, hosts: Sequence[str], now: float) -> pair_files.PairFiles:
    """Makes sure that a usable pair lies in `directory`; call again to renew.

    Args:
        directory: made with mode 0700 when it is missing.
        hosts: DNS names and addresses beside loopback.
        now: epoch seconds.

    Raises:
        OSError: the pair cannot be written.
    """
    where = pair_files.PairFiles(directory / "apiserver.crt", directory / "apiserver.key")
    why = _why_unusable(where, hosts, now)
    if why:
        _logger.info("making a serving pair in %s: %s", directory, why)
        instant = dt.datetime.fromtimestamp(now, dt.UTC)
        pair_files.write_pair(where, issue.self_signed_serving_pair(hosts, instant))
    return where


def _why_unusable(where: pair_files.PairFiles, hosts: Sequence[str], now: float) -> str:
    """Why the pair that lies there cannot be used; empty when it can."""
    try:
        found = pair.inspect(files.read(where.certificate), files.read(where.key))
    except FileNotFoundError:
        return "there is none"
    except (OSError, ValueError, pair.PairRefused) as error:
        return str(error)
    lacking = found.lacking([*hosts, "localhost"])
    if lacking:
        return f"it does not name {', '.join(lacking)}"
    if (
        not found.is_valid_at(now)
        or found.not_after - now < (found.not_after - found.not_before) / 3
    ):
        return "it has expired or soon will"
    return ""
