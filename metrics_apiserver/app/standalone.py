"""The environment without a cluster: `--standalone`."""

from __future__ import annotations

import asyncio
import atexit
import datetime as dt
import shutil
import tempfile
from pathlib import Path

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.base import errors
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.controllers import standalone_identity
from metrics_apiserver.controllers.standalone_identity import Identity
from metrics_apiserver.controllers.standalone_resources import RuleSource, StandaloneResources
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.provider.listing import LabelValues, StandaloneLister


def build_environment(
    settings: ServeSettings, rules: RuleSource, prometheus: LabelValues
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
    resources = StandaloneResources(rules, settings.relist.max_age_seconds, wall_clock)

    async def close() -> None:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    return Environment(
        mapper=resources.mapper,
        ask_mapper=lambda: None,
        objects=StandaloneLister(prometheus, resources.labels, resources.oldest),
        authentication=own.authentication,
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
