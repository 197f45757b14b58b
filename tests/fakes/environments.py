"""An environment in memory, for what is wired over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.selector import Selector
from metrics_apiserver.kube.requestheader import AuthenticationConfig


def nothing() -> None:
    """Does nothing."""


class NoObjects:
    """A cluster without objects."""

    async def names(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[str]:
        return ()

    async def objects(
        self, resource: MappedResource, namespace: str, selector: Selector
    ) -> Sequence[tuple[str, str, Mapping[str, str]]]:
        return ()


class FakeEnvironment:
    """An Environment whose answers a test sets.

    Attributes:
        trusted: whom to believe.
        conditions: what is wrong, by name.
        watched: objects by resource.
        not_ready: reason of the check `cluster`.
        asked: how often a discovery of the cluster's resources was asked for.
        closed: how often it was closed.
    """

    def __init__(self, trusted: AuthenticationConfig | None = None) -> None:
        self.trusted = trusted or AuthenticationConfig()
        self.conditions: dict[str, str] = {}
        self.watched: dict[str, int] = {}
        self.not_ready: str | None = None
        self.asked = 0
        self.closed = 0
        self.environment = Environment(
            mapper=lambda: RESTMapper(()),
            ask_mapper=self._ask,
            objects=NoObjects(),
            authentication=lambda: self.trusted,
            tokens=None,
            access=None,
            close=self._close,
            checks={"cluster": lambda: self.not_ready},
            conditions=lambda: self.conditions,
            watched=lambda: self.watched,
        )

    def _ask(self) -> None:
        self.asked += 1

    async def _close(self) -> None:
        self.closed += 1
