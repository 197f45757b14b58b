"""What a person should know about rules that were applied: data, never an exception.

One Problem stands for all its cases in a rule, with a count and one example in its message, so that
ten thousand series without a label are one line. Refused: anything that would stop a rule; such
faults are found by `core/rules/config` before a rule is ever applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProblemKind = Literal[
    "waiting",  # an override names a resource that the cluster lacks
    "repeated",  # two labels of one rule mean the same resource
    "unassociated",  # series without a label that maps to a resource
    "unnameable",  # a metric name that no request path can carry
    "collision",  # two series of one rule give the same metric
    "shadowed",  # a later rule gives the same metric
    "unmapped",  # a resource that the rule's queries need is mapped to no label
    "ambiguous",  # external names that differ in case alone
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something odd about a rule; nothing stops because of it.

    Attributes:
        rule_path: such as `rules[2]`.
        line: 1-based line of the rule; 0 when unknown.
    """

    kind: ProblemKind
    rule_path: str
    message: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """What one rule made of its series.

    Attributes:
        rule_path: such as `externalRules[0]`.
        discovered: False when its series query has not been answered yet.
        matched: series (by name and label names) that the series query gave.
        accepted: of these, left by seriesFilters and name.matches.
        unassociated: of these, without a label that maps to a resource (custom rules only).
        metrics: entries that the rule serves, without those that later rules took.
    """

    rule_path: str
    discovered: bool
    matched: int
    accepted: int
    unassociated: int
    metrics: int
