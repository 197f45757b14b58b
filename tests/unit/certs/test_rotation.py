"""Each step: when it is due, and what it does. Orders of steps are searched in tests/property."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from metrics_apiserver.certs import ca_bundle, rotation, verify
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.rotation import MAX_AUTHORITIES, Published, Step, View, Waited
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import DAY, Made, PairSource

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SOURCE = PairSource(("s.n.svc",))


def issued(now: dt.datetime = NOW) -> Material:
    return rotation.perform(Step.ISSUE, View((), Material(), now), SOURCE)


FRESH, FOREIGN = issued(), issued()
[CA] = ca_bundle.fingerprints(FRESH.authorities)
EVERYTHING = Waited(frozenset({CA}), served=True)
OUTSIDE = FOREIGN.authorities


def view(material: Material = FRESH, *published: Published, days: int = 0) -> View:
    return View(published or (Published("a", material.authorities),), material, NOW + days * DAY)


NOTHING = Waited()


def step(seen: View, waited: Waited = NOTHING) -> Step:
    return rotation.decide(seen, waited, SOURCE)


def performed(due: Step, seen: View) -> Material:
    return rotation.perform(due, seen, SOURCE)


def staged(material: Material = FRESH) -> Material:
    return performed(Step.STAGE, view(material))


def test_a_fresh_installation_takes_two_steps() -> None:
    seen = view(Material(), Published("a"))
    assert step(seen) is Step.ISSUE
    made = performed(Step.ISSUE, seen)
    assert step(view(made, Published("a"))) is Step.PUBLISH
    assert step(view(made)) is Step.REST
    assert rotation.is_settled(view(made), SOURCE)


@pytest.mark.parametrize(
    "broken",
    [
        replace(FRESH, serving=None),
        replace(FRESH, serving=Pair(b"x", b"y")),
        replace(FRESH, serving=replace(FRESH.serving or Pair(b"", b""), key=b"y")),
        replace(FRESH, serving=FOREIGN.serving),
        replace(FRESH, authorities=b""),
        replace(FRESH, authorities=b"garbage"),
        replace(FRESH, authorities=OUTSIDE),
    ],
)
def test_what_cannot_be_served_is_issued(broken: Material) -> None:
    assert step(view(broken)) is Step.ISSUE
    after = performed(Step.ISSUE, view(broken))
    assert step(view(after)) in (Step.REST, Step.RETIRE)
    assert after.serving != broken.serving


@pytest.mark.parametrize("days", [366, -2])
def test_an_expired_pair_is_issued(days: int) -> None:
    assert step(view(days=days)) is Step.ISSUE


def test_issuing_keeps_an_authority_that_can_sign() -> None:
    after = performed(Step.ISSUE, view(replace(FRESH, serving=None)))
    assert after.authorities == FRESH.authorities
    assert step(view(after)) is Step.REST


def test_issuing_adds_an_authority_where_none_can_sign() -> None:
    after = performed(Step.ISSUE, view(replace(FRESH, serving=None, authority_key=b"")))
    [new, old] = ca_bundle.authorities(after.authorities)
    assert ca_bundle.fingerprint(old) == CA
    assert after.authority_key
    assert new != old


def test_a_renewal() -> None:
    assert step(view(days=243)) is Step.REST
    assert step(view(days=245)) is Step.RENEW
    after = performed(Step.RENEW, view(days=245))
    assert after.authorities == FRESH.authorities
    assert step(view(after, days=245)) is Step.REST


@pytest.mark.parametrize(
    "material",
    [
        replace(FRESH, authority_key=b""),
        replace(FRESH, authority_key=FOREIGN.authority_key),
        replace(FRESH, authorities=OUTSIDE + FRESH.authorities),
    ],
)
def test_an_authority_that_cannot_sign_or_signs_no_more_is_replaced(material: Material) -> None:
    assert step(view(material)) is Step.STAGE
    after = performed(Step.STAGE, view(material))
    assert after.serving == material.serving
    assert after.upcoming is not None
    assert ca_bundle.fingerprints(material.authorities) < ca_bundle.fingerprints(after.authorities)


def test_an_authority_that_somebody_put_first_with_its_key_takes_over() -> None:
    """How one brings an authority of one's own."""
    brought = replace(
        FRESH,
        authorities=OUTSIDE + FRESH.authorities,
        authority_key=FOREIGN.authority_key,
    )
    assert step(view(brought)) is Step.STAGE
    after = performed(Step.STAGE, view(brought))
    assert after.authorities == brought.authorities
    assert after.upcoming is not None
    verify.verify_server(after.upcoming.certificate, OUTSIDE, NOW)


def test_a_due_authority_is_replaced_step_by_step() -> None:
    now = {"days": 2440}
    material = performed(Step.RENEW, view(days=2300))
    assert step(view(material, **now)) is Step.STAGE
    material = performed(Step.STAGE, view(material, **now))
    old = Published("a", FRESH.authorities)
    assert step(view(material, old, **now)) is Step.PUBLISH
    assert step(view(material, **now)) is Step.REST
    assert not rotation.is_settled(view(material, **now), SOURCE)
    waited = Waited(ca_bundle.fingerprints(material.authorities))
    assert step(view(material, **now), waited) is Step.PROMOTE
    material = performed(Step.PROMOTE, view(material, **now))
    assert material.upcoming is None
    assert step(view(material, **now), waited) is Step.REST
    waited = replace(waited, served=True)
    assert step(view(material, **now), waited) is Step.RETIRE
    before = material.authorities
    material = performed(Step.RETIRE, view(material, **now))
    assert CA not in ca_bundle.fingerprints(material.authorities)
    assert step(view(material, Published("a", before), **now), waited) is Step.PUBLISH
    assert step(view(material, **now), waited) is Step.REST
    assert rotation.is_settled(view(material, **now), SOURCE)


def test_a_staged_pair_helps_out_when_the_served_one_is_lost() -> None:
    assert step(view(replace(staged(), serving=None))) is Step.PROMOTE


def test_a_staged_pair_that_cannot_be_used_is_staged_again() -> None:
    broken = replace(staged(), upcoming=Pair(b"x", b"y"))
    assert step(view(broken)) is Step.STAGE
    after = performed(Step.STAGE, view(broken))
    assert after.authorities == broken.authorities


def test_a_pair_that_is_due_waits_while_another_is_staged() -> None:
    assert step(view(staged(), days=300)) is Step.REST


def test_authorities_do_not_heap_up() -> None:
    material = FRESH
    for _ in range(MAX_AUTHORITIES + 3):
        material = performed(Step.PROMOTE, view(performed(Step.STAGE, view(material))))
    assert len(ca_bundle.authorities(material.authorities)) == MAX_AUTHORITIES
    assert step(view(material)) is Step.REST


def test_an_expired_authority_is_not_carried_on() -> None:
    short = PairSource(SOURCE.hosts, lifetime=DAY, authority_lifetime=2 * DAY)
    old = rotation.perform(Step.ISSUE, View((), Material(), NOW), short)
    later = View((), old, NOW + 3 * DAY)
    assert rotation.decide(later, Waited(), short) is Step.ISSUE
    after = rotation.perform(Step.ISSUE, later, short)
    assert not ca_bundle.fingerprints(old.authorities) & ca_bundle.fingerprints(after.authorities)


def test_retiring_drops_a_key_that_signs_no_more() -> None:
    [authority] = ca_bundle.authorities(FRESH.authorities)
    given = PairSource((), given=Made(FRESH.serving or Pair(b"", b""), authority))
    both = replace(FRESH, authorities=FRESH.authorities + OUTSIDE, authority_key=b"other")
    assert rotation.decide(view(both), EVERYTHING, given) is Step.RETIRE
    after = rotation.perform(Step.RETIRE, view(both), given)
    assert (after.authorities, after.authority_key) == (FRESH.authorities, b"")


# --- APIServices ------------------------------------------------------------------------------


def test_published_is_added_first_and_taken_away_after_the_wait() -> None:
    seen = view(FRESH, Published("a", OUTSIDE), Published("b", FRESH.authorities), Published("c"))
    both = ca_bundle.fingerprints(FRESH.authorities + OUTSIDE)
    early = rotation.bundles(seen, Waited())
    assert {name: ca_bundle.fingerprints(found) for name, found in early.items()} == {
        "a": both,
        "c": {CA},
    }
    late = rotation.bundles(seen, EVERYTHING)
    assert late == {"a": FRESH.authorities, "c": FRESH.authorities}


@pytest.mark.parametrize(
    "waited", [Waited(served=True), Waited(frozenset({CA})), Waited(frozenset({"x"}), served=True)]
)
def test_nothing_is_taken_away_on_half_a_wait(waited: Waited) -> None:
    seen = view(FRESH, Published("a", FRESH.authorities + OUTSIDE))
    assert step(seen, waited) is Step.REST
    assert step(seen, EVERYTHING) is Step.PUBLISH


def test_an_api_service_that_verifies_nothing_begins_to_after_the_wait() -> None:
    seen = view(FRESH, Published("a", unverified=True))
    assert step(seen) is Step.REST
    assert not rotation.is_settled(seen, SOURCE)
    assert rotation.trusted_by_all(seen) == {CA}
    assert rotation.bundles(seen, EVERYTHING) == {"a": FRESH.authorities}


def test_the_order_in_a_bundle_does_not_matter() -> None:
    material = staged()
    reversed_bundle = ca_bundle.join(reversed(ca_bundle.authorities(material.authorities)))
    assert rotation.bundles(view(material, Published("a", reversed_bundle)), Waited()) == {}


def test_without_api_services_only_the_secret_is_kept() -> None:
    seen = View((), FRESH, NOW)
    assert step(seen, EVERYTHING) is Step.REST
    assert rotation.trusted_by_all(seen) == {CA}


# --- going over -------------------------------------------------------------------------------


def certificate(material: Material) -> bytes:
    assert material.serving is not None
    return material.serving.certificate


def test_who_serves_nothing_trusted_goes_over_at_once() -> None:
    for served in (b"", b"garbage", certificate(FOREIGN)):
        assert rotation.may_take(view(), served, frozenset())
        assert rotation.may_take(view(FRESH, Published("a")), served, frozenset())


def test_who_serves_what_is_trusted_waits_for_the_other_authority() -> None:
    seen = view(FRESH, Published("a", OUTSIDE))
    assert not rotation.may_take(seen, certificate(FOREIGN), frozenset())
    assert rotation.may_take(seen, certificate(FOREIGN), frozenset({CA}))


def test_nobody_goes_over_to_what_cannot_be_served() -> None:
    assert not rotation.may_take(view(Material()), b"", frozenset())


def test_trust_is_asked_of_those_that_verify() -> None:
    served = certificate(FRESH)
    assert rotation.is_trusted(view(), served)
    assert not rotation.is_trusted(view(FRESH, Published("a"), Published("b", OUTSIDE)), served)
    assert rotation.is_trusted(view(FRESH, Published("a", unverified=True)), served)
    assert not rotation.is_trusted(
        view(FRESH, Published("a", unverified=True)), certificate(FOREIGN)
    )


def test_resting_and_publishing_change_nothing() -> None:
    for due in (Step.REST, Step.PUBLISH):
        assert performed(due, view()) is FRESH
