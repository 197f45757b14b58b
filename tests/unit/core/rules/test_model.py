import dataclasses

import pytest

from metrics_apiserver.core import gotemplate
from metrics_apiserver.core.converter import ResourceMapping
from metrics_apiserver.core.naming import MetricNamer
from metrics_apiserver.core.rules.model import Rule


def rule(path: str) -> Rule:
    return Rule(
        path=path,
        line=1,
        fingerprint="same",
        series_query="up",
        namer=MetricNamer((), None, "$0"),
        mapping=ResourceMapping("", ()),
        template=gotemplate.compile("up", {}),
        namespaced=True,
        on_nan="zero",
        on_duplicate="max",
    )


def test_rules_are_compared_by_identity() -> None:
    first, second = rule("rules[0]"), rule("rules[0]")
    assert first != second
    assert len({first, second, first}) == 2


def test_rules_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule("rules[0]").path = "rules[1]"  # type: ignore[misc]  # that is what is tested
