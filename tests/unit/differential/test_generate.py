"""Rounds are the same for the same seed, and hold what the comparison relies on."""

from __future__ import annotations

import pytest
import yaml

from metrics_apiserver.core.rules import config
from tests.differential import generate, reads, styles
from tests.differential.rules import RESOURCE
from tests.fakes.exposition import render_fixture

ROUNDS = range(1, 30)


def listed(made: generate.Round) -> list[str]:
    """Metrics as the servers would list them, on some resource of each rule."""
    names = []
    for rule in made.rules:
        for metric in rule.metrics:
            names.append(metric if rule.section == "externalRules" else f"namespaces/{metric}")
            if rule.section == "rules" and rule.family and "pods" in rule.family.style.objects:
                names.append(f"pods/{metric}")
    return names


def test_the_same_seed_gives_the_same_round_and_another_seed_another() -> None:
    first, again, other = (generate.generate(seed, 3) for seed in ("1", "1", "2"))
    assert (first.rule_file, first.series) == (again.rule_file, again.series)
    assert first.rule_file != other.rule_file
    assert reads.draw("1", 3, first, listed(first)) == reads.draw("1", 3, again, listed(again))
    assert generate.objects("1") == generate.objects("1") != generate.objects("2")


@pytest.mark.parametrize("number", ROUNDS)
def test_a_rule_file_is_good_and_without_aliases(number: int) -> None:
    text = generate.generate("1", number).rule_file
    assert "&id" not in text
    loaded = config.parse(text.encode(), "rules.yaml")
    document = yaml.safe_load(text)
    assert len(loaded.rules) == len(document["rules"])
    assert len(loaded.external_rules) == len(document["externalRules"]) > 0


@pytest.mark.parametrize("number", ROUNDS)
def test_each_series_is_exposed_once(number: int) -> None:
    lines = render_fixture(generate.generate("1", number).series, 60.0).splitlines()
    names = [line.rpartition(" ")[0] for line in lines]
    assert names
    assert len(names) == len(set(names))
    assert all(float(line.rpartition(" ")[2]) is not None for line in lines)


def test_the_rounds_hold_every_section_and_every_style() -> None:
    rules = [rule for number in ROUNDS for rule in generate.generate("1", number).rules]
    assert {rule.section for rule in rules} == {"rules", "externalRules", "resourceRules"}
    used = {id(rule.family.style) for rule in rules if rule.family}
    assert used == {id(style) for style in styles.STYLES.values()}
    assert {rule.repeats for rule in rules} == {True, False}


def test_no_placeholder_is_left_in_a_query() -> None:
    queries = [
        rule.body["metricsQuery"]
        for number in ROUNDS
        for rule in generate.generate("1", number).rules
        if rule is not RESOURCE
    ]
    assert not [query for query in queries if "OTHER" in query or "EXTRA" in query]


@pytest.mark.parametrize("number", ROUNDS)
def test_every_request_is_asked_once_and_knows_its_rule(number: int) -> None:
    made = generate.generate("1", number)
    asked = reads.draw("1", number, made, listed(made))
    assert len({one.path for one in asked}) == len(asked)
    assert len(asked) <= reads.REQUESTS_OF_ONE_METRIC * len(listed(made)) + 7
    assert all(one.rule is not None and " " not in one.path for one in asked)


def test_of_two_rules_for_one_metric_the_later_is_shown() -> None:
    made = generate.generate("1", 1)
    rule = made.rules[0]
    twice = generate.Round((rule, made.rules[1], rule), "")
    assert twice.rule_of("rules", rule.metrics[0]) is rule
    assert twice.rule_of("externalRules", rule.metrics[0]) is None
