"""The next step in the rotation of a serving pair and its authority, as a pure function.

Replicas share one Secret and some APIServices and have no leader. Each looks at both, takes the one
step that is due and looks again; a write that another replica overtook is refused by its
resourceVersion and costs nothing. The steps stand in an order in which every state between two of
them can be served:

    ISSUE    nothing usable is served: sign a pair, by a new authority if there is none
    PUBLISH  APIServices lack an authority: add it; take away old ones only after the wait
    STAGE    the authority is due: put a new one beside it, with a pair of it that is not served yet
    PROMOTE  every APIService has trusted the new authority for long enough: serve its pair
    RENEW    the pair is due or lacks a name: sign another by the same authority
    RETIRE   every replica has had the pair for long enough: drop authorities that sign no more

An APIService that verifies nothing (`insecureSkipTLSVerify`) trusts everything; it starts to verify
only after the same wait. What was waited for comes in (`Waited`), measured by each replica for
itself, so that no clock is compared with another. A reader looks at the APIServices first and at
the Secret after them: a replica that would remove an authority too early, because its copy of the
Secret is old, has an even older copy of the APIService, and its write is refused.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import Enum

from cryptography import x509

from metrics_apiserver.certs import ca_bundle, issue, pair, verify
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import PairSource

MAX_AUTHORITIES = 8


class Step(Enum):
    """What is due; see the module."""

    ISSUE = "issue"
    PUBLISH = "publish"
    STAGE = "stage"
    PROMOTE = "promote"
    RENEW = "renew"
    RETIRE = "retire"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Published:
    """What one APIService says.

    Attributes:
        bundle: its `caBundle`, PEM.
        unverified: `insecureSkipTLSVerify`.
    """

    name: str
    bundle: bytes = b""
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """One observation: the APIServices, and after them the Secret.

    Attributes:
        now: the instant by kube-apiserver's clock, which is the one that verifies.
    """

    published: tuple[Published, ...]
    material: Material
    now: dt.datetime


@dataclass(frozen=True, slots=True)
class Waited:
    """What has been so for long enough.

    Attributes:
        trusted: fingerprints of authorities that every APIService has trusted.
        served: the Secret has held the same pair.
    """

    trusted: frozenset[str] = frozenset()
    served: bool = False


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an observation means.

    Attributes:
        serving, upcoming: the authority behind each pair; None when the pair cannot be used.
        signer: the first authority, when its key is here and it is valid.
    """

    serving: str | None
    upcoming: str | None
    signer: str | None
    own: frozenset[str]

    def is_everywhere(self, waited: Waited) -> bool:
        """Whether every replica has had time to go over to the pair, and was allowed to."""
        return waited.served and self.serving in waited.trusted


def decide(view: View, waited: Waited, source: PairSource) -> Step:
    """The step that is due now."""
    facts = _facts(view)
    if facts.serving is None:
        return Step.PROMOTE if facts.upcoming is not None else Step.ISSUE
    if bundles(view, waited):
        return Step.PUBLISH
    if facts.upcoming is not None:
        return Step.PROMOTE if facts.upcoming in waited.trusted else Step.REST
    due = _due(view, facts, facts.serving, source)
    if due is Step.REST and facts.own != {facts.serving} and facts.is_everywhere(waited):
        return Step.RETIRE
    return due


def _due(view: View, facts: _Facts, serving: str, source: PairSource) -> Step:
    if source.wants_authority(view.material, facts.signer, serving, view.now):
        return Step.STAGE
    if source.wants_pair(view.material, view.now):
        return Step.RENEW
    return Step.REST


def is_settled(view: View, source: PairSource) -> bool:
    """Whether nothing is due and nothing is waited for."""
    everything = Waited(trusted_by_all(view), served=True)
    return decide(view, everything, source) is Step.REST


def perform(step: Step, view: View, source: PairSource) -> Material:
    """The Secret's content after a step; unchanged for PUBLISH and REST.

    Raises:
        ValueError: a pair cannot be signed.
    """
    material, now = view.material, view.now
    facts = _facts(view)
    match step:
        case Step.ISSUE:
            made = source.make(material, now, fresh=facts.signer is None)
            return _with(material, made.authority, now, serving=made.pair, key=made.authority_key)
        case Step.STAGE:
            fresh = facts.signer is None or facts.signer == facts.serving
            made = source.make(material, now, fresh=fresh)
            return _with(material, made.authority, now, upcoming=made.pair, key=made.authority_key)
        case Step.RENEW:
            made = source.make(material, now, fresh=False)
            return replace(material, serving=made.pair)
        case Step.PROMOTE:
            return replace(material, serving=material.upcoming, upcoming=None)
        case Step.RETIRE:
            kept = (
                one
                for one in ca_bundle.authorities(material.authorities)
                if ca_bundle.fingerprint(one) == facts.serving
            )
            key = material.authority_key if facts.signer == facts.serving else b""
            return replace(material, authorities=ca_bundle.join(kept), authority_key=key)
        case Step.PUBLISH | Step.REST:
            return material


def bundles(view: View, waited: Waited) -> dict[str, bytes]:
    """The `caBundle` that each APIService must get; those that are right are left out.

    Until the wait is over, what an APIService trusts beside our authorities stays: replicas that
    still serve a pair of it are verified by it.
    """
    ours = ca_bundle.authorities(view.material.authorities)
    everywhere = _facts(view).is_everywhere(waited)
    wanted: dict[str, bytes] = {}
    for one in view.published:
        if one.unverified and not everywhere:
            continue
        kept = () if everywhere else ca_bundle.authorities(one.bundle)
        bundle = ca_bundle.join((*ours, *kept))
        if one.unverified or ca_bundle.fingerprints(bundle) != ca_bundle.fingerprints(one.bundle):
            wanted[one.name] = bundle
    return wanted


def trusted_by_all(view: View) -> frozenset[str]:
    """Our authorities that every APIService trusts in this observation."""
    found = ca_bundle.fingerprints(view.material.authorities)
    for one in view.published:
        if not one.unverified:
            found &= ca_bundle.fingerprints(one.bundle)
    return found


def may_take(view: View, served: bytes, trusted: frozenset[str]) -> bool:
    """Whether a replica may go over from what it serves to the pair of the Secret.

    A Secret that somebody emptied holds a pair whose authority is not known yet: who serves one
    that is, keeps it until then.

    Args:
        view: the observation.
        served: PEM chain that is served now; empty when there is none.
        trusted: authorities that every APIService has trusted for half the wait.
    """
    facts = _facts(view)
    if facts.serving is None:
        return False
    if facts.serving in trusted:
        return True
    return not is_trusted(view, served)


def is_trusted(view: View, served: bytes) -> bool:
    """Whether every APIService that verifies trusts a served PEM chain.

    Where none verifies, the authorities of the Secret count: they may be published elsewhere from
    there.
    """
    bundles = [one.bundle for one in view.published if not one.unverified]
    return verify.is_trusted(served, bundles or [view.material.authorities], view.now)


def _facts(view: View) -> _Facts:
    material, now = view.material, view.now
    return _Facts(
        serving=_authority_of(material.serving, material.authorities, now),
        upcoming=_authority_of(material.upcoming, material.authorities, now),
        signer=_signer(material, now),
        own=ca_bundle.fingerprints(material.authorities),
    )


def _authority_of(found: issue.Pair | None, bundle: bytes, now: dt.datetime) -> str | None:
    """The authority behind a pair that can be served; None when it cannot."""
    if found is None:
        return None
    try:
        known = pair.inspect(found.certificate, found.key)
        if not known.is_valid_at(now.timestamp()):
            return None
        return ca_bundle.fingerprint(verify.verify_server(found.certificate, bundle, now))
    except (pair.PairRefused, verify.CertificateRefused):
        return None


def _signer(material: Material, now: dt.datetime) -> str | None:
    """The first authority, if it is valid and its key is here."""
    first = next(iter(ca_bundle.authorities(material.authorities)), None)
    if first is None or not material.authority_key or not ca_bundle.is_valid_at(first, now):
        return None
    try:
        pair.inspect(ca_bundle.join([first]), material.authority_key)
    except pair.PairRefused:
        return None
    return ca_bundle.fingerprint(first)


def _with(
    material: Material,
    first: x509.Certificate,
    now: dt.datetime,
    *,
    key: bytes,
    serving: issue.Pair | None = None,
    upcoming: issue.Pair | None = None,
) -> Material:
    """The material with `first` as the signing authority and a new pair in one of its places."""
    others = [
        one
        for one in ca_bundle.authorities(material.authorities)
        if ca_bundle.is_valid_at(one, now)
    ]
    kept = ca_bundle.join([first, *others][:MAX_AUTHORITIES])
    return Material(serving or material.serving, upcoming, kept, key)
