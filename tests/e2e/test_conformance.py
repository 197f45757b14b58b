"""Every conformance case, read through kube-apiserver's aggregation layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.conformance import comparison
from tests.conformance.comparison import Case
from tests.e2e.harness import polling
from tests.e2e.harness.environment import ALL_GROUPS, CUSTOM, Environment
from tests.fakes.exposition import Fixture
from tests.fakes.prometheus import Backend

GROUPS = {"seed": CUSTOM, "broad": ALL_GROUPS}


@pytest.fixture(scope="module")
def rules(
    request: pytest.FixtureRequest,
    environment: Environment,
    fixture_series: tuple[Fixture, Backend],
) -> Iterator[str]:
    """Serves one of the two rule files until its last case."""
    config: str = request.param
    fixture, prometheus = fixture_series
    warm_up = comparison.WARM_UP_SECONDS
    polling.until("whole rates", lambda: fixture.age >= warm_up, timeout=warm_up + 5)
    text = comparison.rules_file(config).read_text(encoding="utf-8")
    environment.serve(text, prometheus, GROUPS[config])
    first = next(case for case in comparison.load_cases() if case.config == config)
    polling.until("first values", partial(agrees, environment, first))
    yield config
    environment.server.kill()


def agrees(environment: Environment, case: Case) -> bool:
    answer = environment.cluster.request(case.method, case.path)
    return not comparison.differences(case, answer.status, answer.body)


def cases() -> list[object]:
    """Every case beside its rule file, file by file, so that each is served once."""
    known = comparison.load_cases()
    return [
        pytest.param(config, case, id=str(case))
        for config in GROUPS
        for case in known
        if case.config == config
    ]


@pytest.mark.parametrize(("rules", "case"), cases(), indirect=["rules"], scope="module")
def test_case(rules: str, case: Case, environment: Environment) -> None:
    answer = environment.cluster.request(case.method, case.path)
    assert comparison.differences(case, answer.status, answer.body) == []
