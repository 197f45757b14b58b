"""What reads are told of rules that are set aside, wholly or but for a label.

A metric that a quarantined rule would give is unavailable, also where an earlier rule gives it too:
the later one would win, and the number of the earlier one would be another. Where it is not known
which metrics such a rule would give, the answer "no such metric" names the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from metrics_apiserver.base import errors
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import GroupResource
from metrics_apiserver.core.rules.model import QuarantinedRule, Rule

_MAX_FAULT: Final = 300


@dataclass(frozen=True, slots=True)
class SetAside:
    """One rule that is set aside, or that lacks a label.

    Attributes:
        path: of the rule.
        text: the rule with its fault, in words.
        metric: the only name that it can give; empty where that is not known.
        converter: what the rule's labels mean; None for external metrics.
        whole: False where only a label is unusable.
    """

    path: str
    text: str
    metric: str
    converter: ResourceConverter | None
    whole: bool = True

    @property
    def external(self) -> bool:
        return self.path.startswith("externalRules")

    def names(self, metric: str) -> bool:
        """Whether it is known to give this metric; external ones without regard to case."""
        if self.external:
            return self.metric.lower() == metric.lower()
        return self.metric == metric

    def gives(self, metric: str, resource: GroupResource | None) -> bool:
        """Whether it would give this metric of this resource, None meaning an external one."""
        if not self.whole or self.external is not (resource is None) or not self.names(metric):
            return False
        return resource is None or self._maps(resource)

    def _maps(self, resource: GroupResource) -> bool:
        try:
            return self.converter is not None and bool(self.converter.label_for(resource))
        except LookupError:
            return False


def describe(rule: QuarantinedRule) -> str:
    """A quarantined rule and its fault, for a message."""
    fault = rule.fault
    field = fault.path.removeprefix(rule.path).lstrip(".")
    place = f"{rule.path} (line {rule.line})" if rule.line else rule.path
    what = f"{field} {fault.message}" if field else fault.message
    return f"{place} is set aside: {what[:_MAX_FAULT]}"


def check(
    set_aside: Sequence[SetAside],
    metric: str,
    resource: GroupResource | None,
    rule: Rule | None,
) -> None:
    """Refuses a metric that a rule that is set aside would give.

    Args:
        set_aside: of the Snapshot.
        metric: as requested.
        resource: of a custom metric; None for an external one.
        rule: the sound one that gives the metric, if any.

    Raises:
        errors.Unavailable: a later rule, or the only one, is set aside.
    """
    for one in set_aside:
        if one.gives(metric, resource) and (
            rule is None or _position(rule.path) < _position(one.path)
        ):
            raise errors.Unavailable(f"unable to fetch metrics: {one.text}")


def _position(path: str) -> int:
    """The number of `rules[12]`."""
    return int(path.rpartition("[")[2].rstrip("]"))


def remark(set_aside: Sequence[SetAside], metric: str, *, external: bool) -> str:
    """What "no such metric" has to add: the first rule that may be the cause; else empty."""
    own = [one for one in set_aside if one.external is external]
    for one in own:
        if one.names(metric):
            return f"; {one.text}"
    return next((f"; {one.text}" for one in own if not one.metric), "")
