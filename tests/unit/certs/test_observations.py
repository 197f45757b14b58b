"""How long something has been seen without a break."""

from __future__ import annotations

import datetime as dt

from metrics_apiserver.certs import ca_bundle, rotation
from metrics_apiserver.certs.observations import Observations
from metrics_apiserver.certs.rotation import Published, Step, View, Waited
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import PairSource

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SOURCE = PairSource(("s.n.svc",))


def issued(view: View) -> Material:
    return rotation.perform(Step.ISSUE, view, SOURCE)


FIRST = issued(View((), Material(), NOW))
SECOND = issued(View((), Material(), NOW))
CA = ca_bundle.fingerprints(FIRST.authorities)
TRUSTED = View((Published("a", FIRST.authorities),), FIRST, NOW)
DISTRUSTED = View((Published("a"),), FIRST, NOW)


def test_nothing_is_waited_for_at_first() -> None:
    observations = Observations(60)
    assert observations.waited(0, 100) == Waited()
    observations.observe(TRUSTED, 100)
    assert observations.waited(1, 100) == Waited()


def test_time_passes() -> None:
    observations = Observations(60)
    for clock in (100, 130, 160):
        observations.observe(TRUSTED, clock)
    assert observations.waited(60, 160) == Waited(CA, served=True)
    assert observations.waited(61, 160) == Waited()


def test_distrust_begins_the_wait_anew() -> None:
    observations = Observations(60)
    for clock, view in ((100, TRUSTED), (130, DISTRUSTED), (160, TRUSTED)):
        observations.observe(view, clock)
    assert observations.waited(60, 160) == Waited(frozenset(), served=True)


def test_another_pair_begins_the_wait_anew() -> None:
    observations = Observations(60)
    observations.observe(TRUSTED, 100)
    observations.observe(View(TRUSTED.published, SECOND, NOW), 130)
    assert observations.waited(30, 160) == Waited(frozenset(), served=True)
    assert observations.waited(31, 160) == Waited()


def test_an_empty_secret_is_nothing_that_was_served() -> None:
    observations = Observations(60)
    for clock in (100, 130):
        observations.observe(View((), Material(), NOW), clock)
    assert observations.waited(10, 130) == Waited()


def test_after_a_gap_nothing_counts() -> None:
    observations = Observations(60)
    observations.observe(TRUSTED, 100)
    observations.observe(TRUSTED, 161)
    assert observations.waited(1, 161) == Waited()
    observations.observe(TRUSTED, 171)
    assert observations.waited(10, 171) == Waited(CA, served=True)
