"""How long something has been seen without a break."""

from __future__ import annotations

import datetime as dt

from metrics_apiserver.certs import ca_bundle, rotation
from metrics_apiserver.certs.observations import Sightings
from metrics_apiserver.certs.rotation import Published, Step, View, Waited
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import Source

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SOURCE = Source(("s.n.svc",))


def issued(view: View) -> Material:
    return rotation.perform(Step.ISSUE, view, SOURCE)


FIRST = issued(View((), Material(), NOW))
SECOND = issued(View((), Material(), NOW))
CA = ca_bundle.fingerprints(FIRST.authorities)
TRUSTED = View((Published("a", FIRST.authorities),), FIRST, NOW)
DISTRUSTED = View((Published("a"),), FIRST, NOW)


def test_nothing_is_waited_for_at_first() -> None:
    sightings = Sightings(60)
    assert sightings.waited(0, 100) == Waited()
    sightings.see(TRUSTED, 100)
    assert sightings.waited(1, 100) == Waited()


def test_time_passes() -> None:
    sightings = Sightings(60)
    for clock in (100, 130, 160):
        sightings.see(TRUSTED, clock)
    assert sightings.waited(60, 160) == Waited(CA, served=True)
    assert sightings.waited(61, 160) == Waited()


def test_distrust_begins_the_wait_anew() -> None:
    sightings = Sightings(60)
    for clock, view in ((100, TRUSTED), (130, DISTRUSTED), (160, TRUSTED)):
        sightings.see(view, clock)
    assert sightings.waited(60, 160) == Waited(frozenset(), served=True)


def test_another_pair_begins_the_wait_anew() -> None:
    sightings = Sightings(60)
    sightings.see(TRUSTED, 100)
    sightings.see(View(TRUSTED.published, SECOND, NOW), 130)
    assert sightings.waited(30, 160) == Waited(frozenset(), served=True)
    assert sightings.waited(31, 160) == Waited()


def test_an_empty_secret_is_nothing_that_was_served() -> None:
    sightings = Sightings(60)
    for clock in (100, 130):
        sightings.see(View((), Material(), NOW), clock)
    assert sightings.waited(10, 130) == Waited()


def test_after_a_gap_nothing_counts() -> None:
    sightings = Sightings(60)
    sightings.see(TRUSTED, 100)
    sightings.see(TRUSTED, 161)
    assert sightings.waited(1, 161) == Waited()
    sightings.see(TRUSTED, 171)
    assert sightings.waited(10, 171) == Waited(CA, served=True)
