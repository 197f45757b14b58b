"""How two answers to one request differ, and which row of docs/compatibility.md explains it.

Times and the order of items are not compared. A row explains a difference only where the request,
the rule and both answers are as the row says; everything else is a difference without a reason.
"""

from __future__ import annotations

import enum
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.core import quantity
from tests.differential.reads import Request
from tests.e2e.harness.apiclient import Answer

WRAPPED = "-9223372036854775808m"
TOLERANCE = 1e-9
"""Relative: rates at two moments differ in their last bits."""


class Row(enum.Enum):
    """Rows of docs/compatibility.md that a generated request can meet, by their first column."""

    NAN = "External metric is NaN"
    INFINITE = "Value is +Inf or -Inf"
    MAGNITUDE = "Magnitude above 9.22e15"
    REPEATED = "Several series for one object, such as a pod with two GPUs"
    ROUNDING = "Rounding to milli"
    MALFORMED = "Unparsable `metricLabelSelector`"
    NOT_EQUALS = "`!=` in a metric selector"
    COMPARISON = "`>` and `<` in a metric selector"
    LABEL_NAME = "Label names with characters that Prometheus does not allow (`sls.project`)"
    CAPITALS = "External metric names with capitals"
    FAILED = "Prometheus fails"
    NAMESAKE = "A query that ignores `LabelMatchers`, and two namespaces with an object of one name"


@dataclass(frozen=True)
class Difference:
    """One place where the answers differ; `row` is None where no row explains it."""

    place: str
    ours: str
    peers: str
    row: Row | None = None

    def __str__(self) -> str:
        said = f"documented: {self.row.value}" if self.row else "NOT DOCUMENTED"
        return f"{self.place}: ours {self.ours}, peer {self.peers} ({said})"


def differences(request: Request, ours: Answer, peers: Answer) -> list[Difference]:
    """Everything that differs; empty where a client reads the same."""
    if ours.status != peers.status:
        row = _row_of_statuses(request, ours, peers)
        return [Difference("status", str(ours.status), str(peers.status), row)]
    if ours.status != 200:
        return list(_errors(ours.body, peers.body))
    if not isinstance(ours.body, dict) or not isinstance(peers.body, dict):
        return [Difference("body", _short(ours.body), _short(peers.body))]
    found = list(_fields(_frame(ours.body), _frame(peers.body), "body"))
    if "resources" in peers.body:
        return [*found, *_listed(ours.body, peers.body)]
    return [*found, *_items(request, _all(ours.body), _all(peers.body))]


def _row_of_statuses(request: Request, ours: Answer, peers: Answer) -> Row | None:
    codes = (ours.status, peers.status)
    by_trait = {
        "malformed": (Row.MALFORMED, {(400, 500)}),
        "not-equals": (Row.NOT_EQUALS, {(200, 500), (404, 500)}),
        "comparison": (Row.COMPARISON, {(400, 404), (400, 500)}),
        "label-name": (Row.LABEL_NAME, {(200, 500), (404, 500)}),
        "capitals": (Row.CAPITALS, {(200, 404), (400, 404)}),
    }
    for trait in sorted(request.traits & by_trait.keys()):
        row, known = by_trait[trait]
        if codes in known:
            return row
    if codes == (404, 200) and (values := _values(peers.body)):
        if request.rule and request.rule.ignores_namespace:
            return Row.NAMESAKE
        left_out = _may_be_infinite(request) or all(one == WRAPPED for one in values)
        return Row.INFINITE if left_out else None
    if codes == (503, 500) and "unable to fetch metrics" in _short(peers.body):
        return Row.FAILED
    return None


def _errors(ours: Any, peers: Any) -> Iterator[Difference]:
    """A message may go on after the peer's; everything else of a Status must be equal."""
    if not isinstance(ours, dict) or not isinstance(peers, dict):
        if isinstance(peers, dict) or not isinstance(ours, dict):
            yield Difference("body", _short(ours), _short(peers))
        return
    mine, theirs = str(ours.get("message", "")), str(peers.get("message", ""))
    if not mine.startswith(theirs):
        yield Difference("message", mine, theirs)
    for key in sorted(peers.keys() - {"message", "details"}):
        if ours.get(key) != peers[key]:
            yield Difference(key, _short(ours.get(key)), _short(peers[key]))


def _frame(body: dict[str, Any]) -> dict[str, Any]:
    """Kind and version; the content is compared on its own."""
    return {key: body.get(key) for key in ("kind", "apiVersion", "groupVersion")}


def _listed(ours: dict[str, Any], peers: dict[str, Any]) -> Iterator[Difference]:
    mine = {one["name"]: one for one in ours.get("resources") or []}
    theirs = {one["name"]: one for one in peers["resources"] or []}
    yield from _fields(mine, theirs, "resources")


def _all(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a list, or the one object."""
    if "items" in body:
        return body["items"] or []
    return [body]


def _identity(item: dict[str, Any]) -> str:
    if "describedObject" in item:
        described = item["describedObject"]
        return f"{described.get('namespace', '')}/{described['name']}"
    if "metricLabels" in item:
        return json.dumps(item["metricLabels"] or {}, sort_keys=True)
    metadata = item.get("metadata", {})
    return f"{metadata.get('namespace', '')}/{metadata.get('name')}"


def _grouped(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        groups[_identity(item)].append(_untimed(item))
    return groups


def _untimed(item: dict[str, Any]) -> dict[str, Any]:
    """Without times, and with containers by their name."""
    kept = {key: value for key, value in item.items() if key != "timestamp"}
    if "metadata" in kept:
        kept["metadata"] = {
            key: value for key, value in kept["metadata"].items() if key != "creationTimestamp"
        }
    if "containers" in kept:
        kept["containers"] = {one["name"]: one["usage"] for one in kept["containers"] or []}
    return kept


def _items(
    request: Request, ours: list[dict[str, Any]], peers: list[dict[str, Any]]
) -> Iterator[Difference]:
    mine, theirs = _grouped(ours), _grouped(peers)
    for name in sorted(mine.keys() | theirs.keys()):
        place = f"items[{name}]"
        left, right = mine.get(name, []), theirs.get(name, [])
        if len(left) == len(right) == 1:
            for found in _fields(left[0], right[0], place):
                yield _explained(request, found)
        elif not left and all(one.get("value") == WRAPPED for one in right):
            yield Difference(place, "left out", WRAPPED, _row_of_wrapped(request))
        elif not left and len(right) == 1 and request.rule and request.rule.ignores_namespace:
            yield Difference(place, "left out", _short(right[0]["value"]), Row.NAMESAKE)
        elif not left and len(right) == 1 and _may_be_infinite(request):
            yield Difference(place, "left out", _short(right[0]["value"]), Row.INFINITE)
        elif left != right:
            yield Difference(place, _short(left), _short(right))


def _may_be_infinite(request: Request) -> bool:
    """Whether an infinite value can be the largest of one object's, and the peer have another."""
    rule = request.rule
    return bool(rule and rule.repeats and rule.family and rule.family.is_odd)


def _row_of_wrapped(request: Request) -> Row:
    external = request.rule is not None and request.rule.section == "externalRules"
    return Row.NAN if external else Row.INFINITE


def _explained(request: Request, found: Difference) -> Difference:
    if not found.place.endswith((".value", ".cpu", ".memory")):
        return found
    return Difference(found.place, found.ours, found.peers, _row_of_values(request, found))


def _row_of_values(request: Request, found: Difference) -> Row | None:
    mine, theirs = _milli(found.ours), _milli(found.peers)
    if mine is None or theirs is None:
        return None
    rule = request.rule
    repeats = rule is not None and rule.repeats
    if found.peers == f'"{WRAPPED}"':
        if abs(mine) == quantity.MAX_INT64:
            return Row.MAGNITUDE
        return Row.REPEATED if repeats else None
    if abs(mine) - abs(theirs) == 1 and mine * theirs >= 0:
        return Row.ROUNDING
    if rule and rule.ignores_namespace:
        return Row.NAMESAKE
    return Row.REPEATED if repeats and mine > theirs else None


def _milli(text: str) -> int | None:
    try:
        return round(quantity.parse(json.loads(text)) * 1000)
    except (ValueError, TypeError, errors.QuantityError):
        return None


def _fields(ours: Any, peers: Any, place: str) -> Iterator[Difference]:
    """Every leaf that differs; lists are compared as they stand."""
    if isinstance(ours, dict) and isinstance(peers, dict):
        for key in sorted(ours.keys() | peers.keys()):
            yield from _fields(ours.get(key), peers.get(key), f"{place}.{key}")
    elif ours != peers and not _is_near(ours, peers):
        yield Difference(place, _short(ours), _short(peers))


def _is_near(ours: object, peers: object) -> bool:
    if not isinstance(ours, str) or not isinstance(peers, str):
        return False
    mine, theirs = _milli(json.dumps(ours)), _milli(json.dumps(peers))
    if mine is None or theirs is None:
        return False
    return abs(mine - theirs) <= TOLERANCE * max(abs(mine), abs(theirs))


def _values(body: Any) -> list[str]:
    return [one["value"] for one in _all(body) if "value" in one] if isinstance(body, dict) else []


def _short(node: object) -> str:
    """JSON, cut where it is long."""
    text = json.dumps(node, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]}…"
