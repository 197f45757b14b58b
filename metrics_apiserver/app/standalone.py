"""The environment without a cluster: `--standalone`."""

from __future__ import annotations

import asyncio
import atexit
import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.controllers import standalone_identity
from metrics_apiserver.controllers.standalone_identity import Identity
from metrics_apiserver.core import builtin
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import NAMESPACES, MappedResource
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.provider.listing import LabelValues, StandaloneLister


class _Rules:
    """The rules in use and the resource table made of them."""

    def __init__(self, rules: Callable[[], RuleFile]) -> None:
        self._rules = rules
        self._made_of: RuleFile | None = None
        self._mapper = RESTMapper(())

    def mapper(self) -> RESTMapper:
        rules = self._rules()
        if rules is not self._made_of:
            self._made_of, self._mapper = rules, builtin.mapper(rules)
        return self._mapper

    def labels(self, resource: MappedResource) -> Sequence[tuple[str, str, str]]:
        """(series selector, resource label, namespace label) of each rule that maps it."""
        found = []
        for rule in self._rules().rules:
            converter = ResourceConverter(rule.mapping, self.mapper())
            try:
                label = converter.label_for(resource.group_resource)
                namespace = converter.label_for(NAMESPACES) if resource.namespaced else ""
            except LookupError:
                continue
            found.append((rule.series_query, label, namespace))
        return list(dict.fromkeys(found))


def build_environment(
    settings: ServeSettings, rules: Callable[[], RuleFile], prometheus: LabelValues
) -> Environment:
    """Makes an identity, writes the kubeconfig if asked, and wires the rest.

    Raises:
        errors.ConfigError: a file cannot be written.
    """
    try:
        directory = Path(tempfile.mkdtemp(prefix="metrics-apiserver-"))
        # Also when something else keeps the process from serving.
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        own = _make_identity(settings, directory)
    except OSError as error:
        fault = Diagnostic(f"cannot be written: {error}", path="--write-kubeconfig")
        raise errors.ConfigError("command line", (fault,)) from error
    known = _Rules(rules)
    trust = AuthenticationConfig(client_ca=own.authority, generation=1)

    async def close() -> None:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    return Environment(
        mapper=known.mapper,
        ask_mapper=lambda: None,
        objects=StandaloneLister(
            prometheus, known.labels, lambda: wall_clock() - settings.relist.max_age_seconds
        ),
        authentication=lambda: trust,
        tokens=None,
        access=None,
        close=close,
        pair_paths=own.pair_paths,
    )


def _make_identity(settings: ServeSettings, directory: Path) -> Identity:
    address = settings.serving.bind_address
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    own = standalone_identity.make_identity(directory, address, now)
    if settings.write_kubeconfig:
        host = f"[{address}]" if ":" in address else address
        server = f"https://{host}:{settings.serving.port}"
        standalone_identity.write_kubeconfig(Path(settings.write_kubeconfig), server, own)
    return own
