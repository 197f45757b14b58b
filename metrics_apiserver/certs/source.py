"""The source of serving pairs: an authority of our own, or one pair that was made elsewhere.

Decides for the steps in `rotation` whether another authority or another pair is due, and makes it.
Our own authority is due when a third of its life, or less than the life of one pair, is
left; a pair when a third of its life is left or a name is missing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509

from metrics_apiserver.certs import ca_bundle, issue, pair
from metrics_apiserver.certs.issue import KeyAlgorithm, Pair, Subject, Usage
from metrics_apiserver.certs.secret import Material

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Made:
    """A pair and the authority behind it; `authority_key` is empty when it stays elsewhere."""

    pair: Pair
    authority: x509.Certificate
    authority_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PairSource:
    """Signs pairs, or returns the one that it was given.

    Attributes:
        hosts: the names of a pair; the first is also its common name.
        algorithm: of both keys.
        lifetime: of a pair.
        authority_lifetime: of an authority; at least twice the pair's.
        given: the only pair there is; nothing is signed and nothing is ever due then.
    """

    hosts: tuple[str, ...]
    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256
    lifetime: dt.timedelta = 365 * DAY
    authority_lifetime: dt.timedelta = 3650 * DAY
    given: Made | None = None

    def wants_authority(
        self, material: Material, signer: str | None, serving: str, now: dt.datetime
    ) -> bool:
        """Whether a pair of another authority must be staged.

        Args:
            material: the Secret's content.
            signer: fingerprint of the authority that can sign; None when there is none.
            serving: fingerprint of the authority behind the pair that is served.
            now: aware.
        """
        if self.given is not None:
            return serving != ca_bundle.fingerprint(self.given.authority)
        if signer is None or signer != serving:
            return True
        return self._is_due(ca_bundle.authorities(material.authorities)[0], now)

    def wants_pair(self, material: Material, now: dt.datetime) -> bool:
        """Whether another pair of the same authority is due."""
        if self.given is not None:
            return material.serving != self.given.pair
        found = _inspected(material)
        if found is None or found.lacking(self.hosts):
            return True
        left = found.not_after - now.timestamp()
        return left < min(self.lifetime.total_seconds(), found.not_after - found.not_before) / 3

    def make(self, material: Material, now: dt.datetime, *, fresh: bool) -> Made:
        """A pair.

        Args:
            material: the Secret's content.
            now: aware.
            fresh: by a new authority; otherwise by the one that signs now, unless that is due.

        Raises:
            ValueError: it cannot be signed.
        """
        if self.given is not None:
            return self.given
        first = next(iter(ca_bundle.authorities(material.authorities)), None)
        if fresh or first is None or self._is_due(first, now):
            authority = self.new_authority(now)
        else:
            authority = Pair(ca_bundle.join([first]), material.authority_key)
        made = self.sign(authority, now, self._names(material))
        return Made(made, ca_bundle.authorities(authority.certificate)[0], authority.key)

    def new_authority(self, now: dt.datetime) -> Pair:
        """An authority; the instant in its name tells those of a bundle apart, for people too."""
        name = f"metrics-apiserver-ca@{now.timestamp():.0f}"
        return issue.new_authority(name, self.authority_lifetime, now, algorithm=self.algorithm)

    def sign(self, authority: Pair, now: dt.datetime, hosts: tuple[str, ...] = ()) -> Pair:
        """A serving pair for `hosts`, ours when there are none.

        Raises:
            ValueError: the authority cannot sign it.
        """
        hosts = hosts or self.hosts
        return issue.new_leaf(
            authority,
            Subject(hosts[0], hosts=hosts),
            [Usage.SERVER],
            now + self.lifetime,
            now,
            algorithm=self.algorithm,
        )

    def _is_due(self, authority: x509.Certificate, now: dt.datetime) -> bool:
        left = authority.not_valid_after_utc - now
        life = authority.not_valid_after_utc - authority.not_valid_before_utc
        return left < max(min(self.authority_lifetime, life) / 3, self.lifetime)

    def _names(self, material: Material) -> tuple[str, ...]:
        """Ours, and until the pair is due also those that another replica's flags put there.

        While a rollout changes the Service's name, old and new replicas would otherwise replace
        each other's pair without end.
        """
        found = _inspected(material)
        others = found.hosts if found is not None and found.lacking(self.hosts) else ()
        return tuple(dict.fromkeys((*self.hosts, *others)))


def hosts_of(
    service: str, namespace: str, cluster_domain: str = "cluster.local"
) -> tuple[str, ...]:
    """The DNS names of a Service; kube-apiserver connects by the first."""
    short = f"{service}.{namespace}"
    names = [f"{short}.svc", short]
    if cluster_domain:
        names.append(f"{short}.svc.{cluster_domain}")
    return tuple(names)


def _inspected(material: Material) -> pair.ServingPair | None:
    if material.serving is None:
        return None
    try:
        return pair.inspect(material.serving.certificate, material.serving.key)
    except pair.PairRefused:
        return None
