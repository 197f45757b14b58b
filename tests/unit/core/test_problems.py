from typing import get_args

from metrics_apiserver.core.problems import Problem, ProblemKind, RuleStatus


def test_problems_are_data() -> None:
    problem = Problem("shadowed", "rules[0]", "text")
    assert problem == Problem("shadowed", "rules[0]", "text", 0)
    assert len({problem, Problem("shadowed", "rules[0]", "text")}) == 1


def test_kinds_are_words_that_a_metric_label_can_hold() -> None:
    assert all(kind.isalpha() and kind.islower() for kind in get_args(ProblemKind))


def test_a_status_reads_by_name() -> None:
    status = RuleStatus("rules[0]", True, matched=4, accepted=3, unassociated=1, metrics=2)
    assert status.matched - status.accepted == 1
