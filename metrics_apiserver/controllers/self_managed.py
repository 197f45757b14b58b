"""The server's own part of `--cert-secret`: where its pair lies, and what the probes report of it.

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
from metrics_apiserver.certs.source import PairSource
from metrics_apiserver.controllers.certificates import CertificateController, RotationTiming
from metrics_apiserver.controllers.published import PublishedObjects
from metrics_apiserver.kube import wire
from metrics_apiserver.kube.client import KubeClient
from metrics_apiserver.options.certificates import CertificateSettings

PART = "certificates"


def make_source(settings: CertificateSettings) -> PairSource:
    """What makes pairs as the flags say."""
    return PairSource(
        settings.hosts,
        KeyAlgorithm(settings.key_algorithm),
        dt.timedelta(seconds=settings.lifetime_seconds),
        dt.timedelta(seconds=settings.authority_lifetime_seconds),
    )


def make_objects(client: wire.Requests, settings: CertificateSettings) -> PublishedObjects:
    """The objects that the flags name."""
    secret = Name(settings.secret_namespace, settings.secret_name)
    service = Name(settings.service_namespace, settings.service_name)
    return PublishedObjects(client, secret, settings.api_services, service, wall_clock)


class SelfManagedPair:
    """Keeps the server's pair.

    Args:
        settings: what the flags say.
        client: to kube-apiserver.
        telemetry: takes what is counted.
        on_pair: called after a new pair was written.

    Attributes:
        pair_paths: the pair that is served.
        controller: its `run` is the loop.

    Raises:
        errors.ConfigError: there is no place for the pair.
    """

    def __init__(
        self,
        settings: CertificateSettings,
        client: KubeClient,
        telemetry: Telemetry,
        on_pair: Callable[[], None],
    ) -> None:
        self._on_pair = on_pair
        try:
            self._directory = TemporaryDirectory(prefix="metrics-apiserver-")
            self.pair_paths = self_signed.ensure(
                Path(self._directory.name), settings.hosts, wall_clock()
            )
        except OSError as error:
            fault = Diagnostic(
                f"no place for the pair: {error.strerror or error}", path="--cert-secret"
            )
            raise errors.ConfigError("command line", (fault,)) from error
        self.controller = CertificateController(
            make_objects(client, settings),
            make_source(settings),
            RotationTiming(settings.overlap_seconds, settings.interval_seconds),
            telemetry,
            take=self._write,
        )

    def _write(self, pair: Pair) -> None:
        pair_files.write_pair(self.pair_paths, pair)
        self._on_pair()

    def check(self) -> str | None:
        """Why the server cannot be trusted yet; None once it could be."""
        if self.controller.ready:
            return None
        reason = "the pair of the Secret is not served yet, or not trusted"
        return f"{reason}: {self.controller.problem}" if self.controller.problem else reason

    def conditions(self) -> dict[str, str]:
        """What is wrong now."""
        return {PART: self.controller.problem} if self.controller.problem else {}

    async def close(self) -> None:
        """Removes the pair."""
        await asyncio.to_thread(self._directory.cleanup)
