"""No moment, in whatever order things happen, when a certificate is served that is not trusted.

An exhaustive search over the real steps of `rotation`, with real certificates. What is explored:

- a replica looks at the APIServices and at the Secret in two moments, with anything in between;
- a write travels on its own: it arrives later or never, also after its replica has crashed, and is
  refused when the object was written meanwhile (conflict);
- a kube-apiserver learns of an APIService late;
- a replica crashes at any moment and starts again with nothing;
- an operator takes the authority's key or the whole content of the Secret away.

Assumed, because it is what the overlap is for: within a quarter of it every kube-apiserver has
learnt of a change and every replica has looked once. A replica becomes ready when every
kube-apiserver trusts what it serves. `python -m tests.property.test_certificate_rotation` searches
the environments that take longer, too.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import pytest

from metrics_apiserver.certs import ca_bundle, rotation, verify
from metrics_apiserver.certs.rotation import Published, Step, View, Waited
from metrics_apiserver.certs.secret import Material
from metrics_apiserver.certs.source import PairSource

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
SOURCE = PairSource(("s.n.svc",))
OVERLAP = 4
MAX_WRITES_UNDER_WAY = 2

Authority = str


class Unserved(Exception):
    """A replica that kube-apiserver is led to shows a certificate that is not trusted."""


@dataclass(frozen=True)
class Write:
    """A write that has left a replica; `service` is None for the Secret."""

    service: int | None
    content: Material | bytes


@dataclass(frozen=True)
class Replica:
    """What one process knows.

    Attributes:
        looked: the APIServices as it saw them in a turn that has not come to the Secret yet, and
            whether each is still as it was.
        served: the certificate it shows.
        ready: whether kube-apiserver is led to it.
        trusted: how many quarters of an overlap it has seen each authority trusted.
        serving, serving_age: the Secret's certificate, and for how many quarters it saw it.
        turned: it has looked since the last quarter ended.
    """

    looked: tuple[tuple[bytes, bool], ...] = ()
    served: bytes = b""
    ready: bool = False
    trusted: frozenset[tuple[Authority, int]] = frozenset()
    serving: bytes = b""
    serving_age: int = 0
    turned: bool = False


@dataclass(frozen=True)
class Environment:
    """Everything at one moment.

    Attributes:
        material: what the Secret holds.
        services: the `caBundle` of each APIService.
        late: the same as a kube-apiserver knows it that learns late.
        writes: what is under way.
        disturbances: what the operator may still do.
        crashes: how often a replica may still crash.
        overlap: what the replicas wait for, in quarters of the true overlap.
    """

    material: Material
    services: tuple[bytes, ...]
    late: tuple[bytes, ...]
    replicas: tuple[Replica, ...]
    writes: frozenset[Write] = frozenset()
    disturbances: tuple[str, ...] = ()
    crashes: int = 0
    overlap: int = OVERLAP


class Performed:
    """Once for each look and replica: two replicas make different pairs of the same look."""

    def __init__(self) -> None:
        self._known: dict[tuple[Step, View, int], Material] = {}

    def __call__(self, step: Step, view: View, replica: int) -> Material:
        key = (step, view, replica)
        if key not in self._known:
            self._known[key] = rotation.perform(step, view, SOURCE)
        return self._known[key]


perform = Performed()


@cache
def decide(view: View, waited: Waited) -> Step:
    return rotation.decide(view, waited, SOURCE)


@cache
def bundles(view: View, waited: Waited) -> dict[str, bytes]:
    return rotation.bundles(view, waited)


@cache
def trusts(bundle: bytes, certificate: bytes) -> bool:
    return verify.is_trusted(certificate, [bundle], NOW)


@cache
def trusted_by_all(view: View) -> frozenset[Authority]:
    return rotation.trusted_by_all(view)


@cache
def is_settled(view: View) -> bool:
    return rotation.is_settled(view, SOURCE)


@cache
def may_take(view: View, served: bytes, trusted: frozenset[Authority]) -> bool:
    return rotation.may_take(view, served, trusted)


def view_of(services: tuple[bytes, ...], material: Material) -> View:
    published = tuple(Published(str(i), bundle) for i, bundle in enumerate(services))
    return View(published, material, NOW)


def successors(environment: Environment) -> Iterator[Environment]:
    for index, replica in enumerate(environment.replicas):
        yield from moves_of(environment, index, replica)
    for write in environment.writes:
        rest = replace(environment, writes=environment.writes - {write})
        yield rest
        yield arrive(rest, write)
    for index, bundle in enumerate(environment.services):
        if environment.late[index] != bundle:
            yield replace(environment, late=put(environment.late, index, bundle))
    if environment.late == environment.services and all(one.turned for one in environment.replicas):
        yield replace(environment, replicas=tuple(older(one) for one in environment.replicas))
    for disturbance in set(environment.disturbances):
        yield disturbed(environment, disturbance)


def moves_of(environment: Environment, index: int, replica: Replica) -> Iterator[Environment]:
    if replica.looked:
        yield finish_turn(environment, index)
    elif len(environment.writes) < MAX_WRITES_UNDER_WAY:
        looked = tuple((bundle, True) for bundle in environment.services)
        yield with_replica(environment, index, replace(replica, looked=looked))
    if not replica.ready and replica.served and is_served(environment, replica):
        yield with_replica(environment, index, replace(replica, ready=True))
    if environment.crashes and replica != Replica():
        crashed = with_replica(environment, index, Replica())
        yield replace(crashed, crashes=environment.crashes - 1)


def disturbed(environment: Environment, disturbance: str) -> Environment:
    left = list(environment.disturbances)
    left.remove(disturbance)
    emptied = disturbance == "wipe"
    material = Material() if emptied else replace(environment.material, authority_key=b"")
    return arrive(replace(environment, disturbances=tuple(left)), Write(None, material))


def finish_turn(environment: Environment, index: int) -> Environment:
    """The look at the Secret, and what the replica makes of both looks."""
    replica = environment.replicas[index]
    view = view_of(tuple(bundle for bundle, _ in replica.looked), environment.material)
    ages = dict(replica.trusted)
    trusted = frozenset((one, ages.get(one, 0)) for one in trusted_by_all(view))
    serving = view.material.serving.certificate if view.material.serving else b""
    age = replica.serving_age if serving == replica.serving else 0
    waited = Waited(
        frozenset(one for one, seen in trusted if seen >= environment.overlap),
        bool(serving) and age >= environment.overlap,
    )
    soon = frozenset(one for one, seen in trusted if seen >= environment.overlap / 4)
    served = serving if serving and may_take(view, replica.served, soon) else replica.served
    after = replace(
        replica,
        looked=(),
        served=served,
        trusted=trusted,
        serving=serving,
        serving_age=age,
        turned=True,
    )
    writes = writes_of(view, waited, index, replica)
    return replace(with_replica(environment, index, after), writes=environment.writes | writes)


def writes_of(view: View, waited: Waited, index: int, replica: Replica) -> frozenset[Write]:
    step = decide(view, waited)
    if step is Step.REST:
        return frozenset()
    if step is Step.PUBLISH:
        wanted = bundles(view, waited)
        return frozenset(
            Write(int(name), bundle)
            for name, bundle in wanted.items()
            if replica.looked[int(name)][1]
        )
    return frozenset({Write(None, perform(step, view, index))})


def arrive(environment: Environment, write: Write) -> Environment:
    """A write that is not refused; every older look at the object is outdated from then on."""
    writes = frozenset(one for one in environment.writes if one.service != write.service)
    if write.service is None:
        assert isinstance(write.content, Material)
        return replace(environment, material=write.content, writes=writes)
    assert isinstance(write.content, bytes)
    services = put(environment.services, write.service, write.content)
    replicas = tuple(outdated(one, write.service) for one in environment.replicas)
    return replace(environment, services=services, replicas=replicas, writes=writes)


def outdated(replica: Replica, service: int) -> Replica:
    if not replica.looked:
        return replica
    bundle, _ = replica.looked[service]
    looked = list(replica.looked)
    looked[service] = (bundle, False)
    return replace(replica, looked=tuple(looked))


def is_served(environment: Environment, replica: Replica) -> bool:
    return all(
        trusts(bundle, replica.served) for bundle in (*environment.services, *environment.late)
    )


def older(replica: Replica) -> Replica:
    trusted = frozenset((one, min(OVERLAP, age + 1)) for one, age in replica.trusted)
    age = min(OVERLAP, replica.serving_age + 1)
    return replace(replica, trusted=trusted, serving_age=age, turned=False)


def put(values: tuple[bytes, ...], index: int, value: bytes) -> tuple[bytes, ...]:
    return (*values[:index], value, *values[index + 1 :])


def with_replica(environment: Environment, index: int, replica: Replica) -> Environment:
    replicas = list(environment.replicas)
    replicas[index] = replica
    return replace(environment, replicas=tuple(replicas))


def is_at_rest(environment: Environment) -> bool:
    return (
        is_settled(view_of(environment.services, environment.material))
        and environment.late == environment.services
        and not environment.writes
        and all(one.ready for one in environment.replicas)
    )


def explore(start: Environment) -> dict[Environment, list[Environment]]:
    """Every environment that can be reached, with those it was reached from."""
    reached: dict[Environment, list[Environment]] = {start: []}
    left = deque([start])
    while left:
        environment = left.popleft()
        if any(
            replica.ready and not is_served(environment, replica)
            for replica in environment.replicas
        ):
            raise Unserved(environment)
        for after in successors(environment):
            if after not in reached:
                reached[after] = []
                left.append(after)
            reached[after].append(environment)
    return reached


def stuck(reached: dict[Environment, list[Environment]]) -> set[Environment]:
    """Environments from which no rest can be reached."""
    alive = {environment for environment in reached if is_at_rest(environment)}
    left = list(alive)
    while left:
        for before in reached[left.pop()]:
            if before not in alive:
                alive.add(before)
                left.append(before)
    return set(reached) - alive


def settled(replicas: int, services: int, *disturbances: str, crashes: int = 0) -> Environment:
    """Everything issued, published and served."""
    nothing = (b"",) * services
    material = rotation.perform(Step.ISSUE, view_of(nothing, Material()), SOURCE)
    assert material.serving is not None
    bundle = (material.authorities,) * services
    known = frozenset((one, OVERLAP) for one in ca_bundle.fingerprints(material.authorities))
    certificate = material.serving.certificate
    one = Replica((), certificate, True, known, certificate, OVERLAP)
    return Environment(
        material, bundle, bundle, (one,) * replicas, disturbances=disturbances, crashes=crashes
    )


def empty(replicas: int, services: int, *, crashes: int = 0) -> Environment:
    """A new installation."""
    nothing = (b"",) * services
    return Environment(Material(), nothing, nothing, (Replica(),) * replicas, crashes=crashes)


WORLDS = {
    "a new installation": empty(2, 1),
    "another authority": settled(2, 1, "key"),
    "another authority, a crash": settled(1, 1, "key", crashes=1),
    "another authority, two APIServices": settled(2, 2, "key"),
    "an emptied Secret": settled(2, 1, "wipe"),
    "an emptied Secret, two APIServices, a crash": settled(1, 2, "wipe", crashes=1),
    "another authority, an emptied Secret, a crash": settled(1, 1, "key", "wipe", crashes=1),
}
LONGER = {
    "a new installation, a crash": empty(2, 1, crashes=1),
    "a new installation, two APIServices": empty(2, 2),
    "another authority, two replicas, a crash": settled(2, 1, "key", crashes=1),
    "two other authorities": settled(2, 1, "key", "key"),
    "three replicas": settled(3, 1, "key"),
    "an emptied Secret, two replicas, a crash": settled(2, 1, "wipe", crashes=1),
    "an emptied Secret, two of everything": settled(2, 2, "wipe"),
}


@pytest.mark.parametrize("name", WORLDS)
def test_every_moment_is_served_and_every_way_leads_to_rest(name: str) -> None:
    assert stuck(explore(WORLDS[name])) == set()


@pytest.mark.parametrize("name", ["another authority", "an emptied Secret"])
def test_without_the_wait_the_search_finds_what_goes_wrong(name: str) -> None:
    with pytest.raises(Unserved):
        explore(replace(WORLDS[name], overlap=0))


def main() -> None:
    for name, environment in {**WORLDS, **LONGER}.items():
        began = time.monotonic()
        reached = explore(environment)
        left = len(stuck(reached))
        seconds = time.monotonic() - began
        sys.stdout.write(
            f"{name}: {len(reached)} environments, {left} without rest, {seconds:.1f} s\n"
        )


if __name__ == "__main__":
    main()
