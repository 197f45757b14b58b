"""The server's own part of `--cert-secret`: where its pair lies, and what the probes hear of it.

Until the Secret's pair is there the server shows a throw-away one and is not ready. The pair lies
in a directory of the process's own, mode 0700, that goes with it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import pair_files, self_signed
from metrics_apiserver.certs.issue import KeyAlgorithm, Pair
from metrics_apiserver.certs.publish import Name
from metrics_apiserver.certs.source import Source
from metrics_apiserver.controllers.certificates import Keeper, Pace
from metrics_apiserver.controllers.published import PublishedObjects
from metrics_apiserver.kube import wire
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.options.certificates import CertificateSettings

PART = "certificates"


def make_source(told: CertificateSettings) -> Source:
    """What makes pairs as the flags say."""
    return Source(
        told.hosts,
        KeyAlgorithm(told.key_algorithm),
        dt.timedelta(seconds=told.lifetime_seconds),
        dt.timedelta(seconds=told.authority_lifetime_seconds),
    )


def make_objects(client: wire.Requests, told: CertificateSettings) -> PublishedObjects:
    """The objects that the flags name."""
    secret = Name(told.secret_namespace, told.secret_name)
    service = Name(told.service_namespace, told.service_name)
    return PublishedObjects(client, secret, told.api_services, service, wall_clock)


class SelfManaged:
    """Keeps the server's pair.

    Args:
        told: what the flags say.
        client: to kube-apiserver.
        telemetry: takes what is counted.
        on_pair: told after a new pair was written.

    Attributes:
        where: the pair that is served.
        keeper: its `run` is the loop.

    Raises:
        errors.ConfigError: there is no place for the pair.
    """

    def __init__(
        self,
        told: CertificateSettings,
        client: KubeClient,
        telemetry: Telemetry,
        on_pair: Callable[[], None],
    ) -> None:
        self._on_pair = on_pair
        try:
            self._directory = TemporaryDirectory(prefix="metrics-apiserver-")
            self.where = self_signed.ensure(Path(self._directory.name), told.hosts, wall_clock())
        except OSError as error:
            fault = Diagnostic(
                f"no place for the pair: {error.strerror or error}", path="--cert-secret"
            )
            raise errors.ConfigError("command line", (fault,)) from error
        self.keeper = Keeper(
            make_objects(client, told),
            make_source(told),
            Pace(told.overlap_seconds, told.interval_seconds),
            telemetry,
            take=self._write,
        )

    def _write(self, pair: Pair) -> None:
        pair_files.write_pair(self.where, pair)
        self._on_pair()

    def check(self) -> str | None:
        """Why the server cannot be trusted yet; None once it could be."""
        if self.keeper.ready:
            return None
        reason = "the pair of the Secret is not served yet, or not trusted"
        return f"{reason}: {self.keeper.problem}" if self.keeper.problem else reason

    def troubles(self) -> dict[str, str]:
        """What is wrong now."""
        return {PART: self.keeper.problem} if self.keeper.problem else {}

    async def close(self) -> None:
        """Removes the pair."""
        await asyncio.to_thread(self._directory.cleanup)
