"""An environment that adds nothing has no loops, no checks and no conditions."""

from __future__ import annotations

from dataclasses import replace

from metrics_apiserver.app.environment import Environment
from metrics_apiserver.core.restmapper import RESTMapper
from metrics_apiserver.kube.requestheader import AuthenticationConfig
from tests.fakes.environments import NoObjects, nothing


async def close() -> None:
    return None


def test_the_least_that_surroundings_say() -> None:
    subject = Environment(
        mapper=lambda: RESTMapper(()),
        ask_mapper=nothing,
        objects=NoObjects(),
        authentication=AuthenticationConfig,
        tokens=None,
        access=None,
        close=close,
    )
    assert (subject.loops, subject.checks, subject.pair_paths) == ({}, {}, None)
    assert (subject.conditions(), subject.watched()) == ({}, {})
    other = replace(subject, watched=lambda: {"pods": 1})
    assert (other.watched(), subject.watched()) == ({"pods": 1}, {})
