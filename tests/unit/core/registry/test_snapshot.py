from metrics_apiserver.core.registry.snapshot import RuleStatus


def test_a_status_reads_by_name() -> None:
    status = RuleStatus("rules[0]", True, matched=4, accepted=3, unassociated=1, metrics=2)
    assert status.matched - status.accepted == 1
