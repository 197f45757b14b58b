"""Small work that comes again and again: certificates, authorities, counters, what is wrong.

Each turn is short, blocks on nothing but small files, and is a method that tests call; `loops`
repeats them. What they find unusable stays as it was and is said where it is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.app.supervisor import Loop
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs.serving import ServingContext
from metrics_apiserver.controllers import serving_pair
from metrics_apiserver.controllers.conditions import ConditionLog
from metrics_apiserver.core import diagnostics
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.provider.relist import Relister

SERVING_SECONDS = 0.5
CONDITIONS_SECONDS = 1.0
WAITING_SECONDS = 30.0
RENEWAL_SECONDS = 3600.0


class PeriodicWork:
    """The turns.

    Args:
        settings: what the flags say.
        telemetry: takes what is counted.
        environment: cluster or standalone.
        serving: the context to keep current.
        relister: whose rules may wait for a resource.
    """

    def __init__(
        self,
        settings: ServeSettings,
        telemetry: Telemetry,
        environment: Environment,
        serving: ServingContext,
        relister: Relister,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._environment = environment
        self._serving = serving
        self._relister = relister
        self._conditions = ConditionLog(environment.conditions)

    def loops(self, after_reload: Callable[[], None]) -> dict[str, Loop]:
        """The turns as loops, by name.

        Args:
            after_reload: what the server has to do after each reload of certificates.
        """

        def reload() -> None:
            self.reload_certificates()
            after_reload()

        return {
            "serving certificate": lambda: _every(SERVING_SECONDS, reload),
            "pair renewal": lambda: _every(RENEWAL_SECONDS, self.renew_pair),
            "conditions": lambda: _every(CONDITIONS_SECONDS, self.log_conditions),
            "waiting rules": lambda: _every(WAITING_SECONDS, self.ask_for_resources),
        }

    def reload_certificates(self) -> None:
        """Takes over a new pair and new authorities, and tells how the pair stands."""
        self._serving.reload_once()
        self._telemetry.certificate_expiry.set(self._serving.not_after)
        self._telemetry.certificate_reload_ok.set(self._serving.last_reload_successful)

    def renew_pair(self) -> None:
        """Renews a self-signed pair when it is due; `reload_certificates` takes it over."""
        serving_pair.renew(self._settings, self._environment.pair_paths)

    def log_conditions(self) -> None:
        """Logs the conditions that have changed."""
        self._conditions.log_changes()

    def ask_for_resources(self) -> None:
        """While a rule waits for a resource, the cluster is asked for it now and then."""
        snapshot = self._relister.snapshot
        if snapshot is not None and any(
            found.code == diagnostics.WAITING.code for found in snapshot.diagnostics
        ):
            self._environment.ask_mapper()


async def _every(seconds: float, turn: Callable[[], None]) -> None:
    while True:
        turn()
        await asyncio.sleep(seconds)
