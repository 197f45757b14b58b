"""Two servers over one control plane and one Prometheus, asked the same.

Both read the same rule file with the same identity, and are asked directly, as the aggregator asks.
A difference is asked again a moment later: what stays is one.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.differential import compare, generate, reads
from tests.differential.compare import Difference
from tests.differential.generate import Round
from tests.differential.reads import CUSTOM, EXTERNAL, Request
from tests.e2e.harness import polling
from tests.e2e.harness.apiclient import Answer, ApiClient, Object
from tests.e2e.harness.environment import NAMESPACE, SERVICE, Environment
from tests.e2e.harness.server import Server
from tests.fakes import backfill

MASTERS = (("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters"))
LISTS = (f"{CUSTOM}/v1beta1", f"{CUSTOM}/v1beta2", EXTERNAL)
FLAGS = ("--client-qps=1000", "--client-burst=1000", "--metrics-max-age=60s")
FRESH = "--query-freshness=300ms"
TRIES = 3
RELISTS_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass
class Report:
    """What was asked, and how it was answered.

    Attributes:
        lists_with_items: how many answers held a value; a run without any has compared nothing.
    """

    say: Say
    counts: Counter[str] = field(default_factory=Counter)
    lists_with_items: int = 0

    def add(self, title: str, request: Request, answers: Pair, found: list[Difference]) -> None:
        """Counts one request; a difference is shown with its rule and both answers."""
        undocumented = [one for one in found if one.row is None]
        self.lists_with_items += bool(answers.ours.items)
        self.counts["different" if undocumented else "documented" if found else "equal"] += 1
        if not found:
            return
        self.say(f"{'DIFFERENT' if undocumented else 'documented'}: {title}: GET {request.path}")
        for one in (undocumented or found)[:5]:
            self.say(f"    {one}")
        if undocumented:
            rule = request.rule.body if request.rule else None
            self.say(f"    rule: {json.dumps(rule)}")
            self.say(f"    ours: {_shown(answers.ours)}")
            self.say(f"    peer: {_shown(answers.peers)}")

    def __str__(self) -> str:
        return ", ".join(
            f"{self.counts[one]} {one}" for one in ("equal", "documented", "different")
        )


@dataclass(frozen=True)
class Pair:
    """Both answers to one request."""

    ours: Answer
    peers: Answer


def _shown(answer: Answer) -> str:
    text = json.dumps(answer.body, ensure_ascii=False)
    return f"{answer.status} {text[:1500]}"


def access() -> list[Object]:
    """The right to read every kind of object, for rules that map any of them."""
    name = "differential"
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    subject = {"kind": "ServiceAccount", "name": SERVICE, "namespace": NAMESPACE}
    metadata = {"name": name}
    version = f"{group}/v1"
    return [
        {"apiVersion": version, "kind": "ClusterRole", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    ]


class Differential:
    """One environment with both servers.

    Args:
        environment: not started yet.
        seed: of everything that is drawn.
        peer: the command of the other server, which takes prometheus-adapter's flags.
        flags: of this server alone.
        report: takes what is found.
    """

    def __init__(
        self,
        environment: Environment,
        seed: str,
        peer: Sequence[str],
        flags: Sequence[str],
        report: Report,
    ) -> None:
        self._environment = environment
        self._seed = seed
        self._flags = flags
        self._report = report
        self._servers = (environment.server, environment.beside("peer", peer))
        self._clients: list[ApiClient] = []

    def start(self) -> None:
        """Brings the control plane up with its objects."""
        self._environment.start()
        self._environment.apply([*access(), *generate.objects(self._seed)])
        front_proxy = self._environment.control_plane.front_proxy
        self._clients = [one.client(front_proxy, MASTERS) for one in self._servers]

    def run(self, number: int) -> None:
        """One round."""
        made = generate.generate(self._seed, number)
        directory = self._environment.directory / f"round-{number}"
        directory.mkdir()
        (directory / "rules.yaml").write_text(made.rule_file)
        (directory / "series.prom").write_text(made.series)
        with backfill.running(directory, made.series) as prometheus:
            try:
                if self._serve(number, made, prometheus.url):
                    self._ask(number, made)
            finally:
                for server in self._servers:
                    server.process.end(grace=5.0)

    def _serve(self, number: int, made: Round, prometheus_url: str) -> bool:
        """Starts both; whoever does not start is a difference, since every rule file is good."""
        for server, more in zip(self._servers, (self._flags, ()), strict=True):
            server.configure(made.rule_file, prometheus_url, (*FLAGS, *more))
            server.process.start()
        refusals = [_refusal(server) for server in self._servers]
        if not any(refusals):
            return True
        request = Request(f"(start with round-{number}/rules.yaml)")
        answers = Pair(*(Answer(500 if one else 200, {}, one) for one in refusals))
        mine, theirs = (one or "ready" for one in refusals)
        found = Difference("start", mine, theirs)
        self._report.add(f"round {number}", request, answers, [found])
        return False

    def _ask(self, number: int, made: Round) -> None:
        deadline = time.monotonic() + RELISTS_SECONDS
        polling.hold(0.5)
        listed, other = self._listed(0), self._listed(1)
        while (listed != other or not listed) and time.monotonic() < deadline:
            polling.hold(0.5)
            listed, other = self._listed(0), self._listed(1)
        asked = [Request(path) for path in LISTS]
        asked += reads.draw(self._seed, number, made, listed | other)
        for request in asked:
            answers, found = self._compared(request)
            self._report.add(f"round {number}", request, answers, found)

    def _listed(self, index: int) -> set[str]:
        return set(_names(self._clients[index]))

    def _compared(self, request: Request) -> tuple[Pair, list[Difference]]:
        """Asks until both agree, or a documented row explains it; a few times at most."""
        tries = 1
        while True:
            answers = Pair(*(one.get(request.path) for one in self._clients))
            found = compare.differences(request, answers.ours, answers.peers)
            if tries == TRIES or all(one.row for one in found):
                return answers, found
            tries += 1
            polling.hold(1.0)


def _refusal(server: Server) -> str:
    """Why a server that was started ended; empty once it is ready."""
    try:
        server.wait_ready()
    except AssertionError as error:
        return str(error)[-1500:]
    return ""


def _names(client: ApiClient) -> Iterator[str]:
    """`resource/metric` of the custom metrics, and the external metrics' names."""
    for path in (f"{CUSTOM}/v1beta1", EXTERNAL):
        body = client.get(path).body
        if isinstance(body, dict):
            yield from (one["name"] for one in body.get("resources") or [])


def folder(root: Path) -> Path:
    """Where a run keeps rule files, series and logs."""
    return root / ".cache/differential"
