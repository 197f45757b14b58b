"""The conformance cases and how an answer is held against one.

Times are not compared, lists of objects are sets, and with a tolerance quantities compare as
numbers. Of an expected `Status` only the keys it has count, and a message may go on after it: the
product says why and what to do. Ports of loopback addresses are those of the recording machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics_apiserver.base import errors
from metrics_apiserver.core import quantity

FOLDER = Path(__file__).parent
WARM_UP_SECONDS = 35.0
"""For how long counters must have risen before the first case: a rate over 30 s is whole then."""

_TIMES = frozenset({"timestamp", "creationTimestamp"})
_LOOPBACK_PORT = re.compile(r"127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Case:
    """One request and the answer that a client must read.

    Attributes:
        config: `seed`, `broad` or `wild`, the rule file.
        path: as sent to kube-apiserver, with its query.
        tolerance: relative, on quantities; 0 when they must be equal as text.
    """

    config: str
    method: str
    path: str
    status: int
    body: Any
    tolerance: float = 0.0

    def __str__(self) -> str:
        return f"{self.config} {self.method} {self.path.removeprefix('/apis/')}"


def load_cases(path: Path = FOLDER / "cases.json") -> list[Case]:
    """Every case of a file, in its order: `cases.json`, or `cases-wild.json`.

    The second holds rules in the forms that people publish (GPU operators, LLM servers, queues,
    ingresses, meshes, cAdvisor, kube-state-metrics), with series and objects of its own. The
    answers are prometheus-adapter's, recorded through kube-apiserver 1.36. Where a case has
    `differs`, that server answered otherwise, and the text says why this one does not.
    """
    return [
        Case(
            config=row["config"],
            method=row["method"],
            path=row["path"],
            status=row["expect"]["status"],
            body=row["expect"]["body"],
            tolerance=row.get("tolerance", 0.0),
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def rules_file(config: str) -> Path:
    """The rule file that a case names."""
    return FOLDER / f"config-{config}.yaml"


def differences(case: Case, status: int, body: object) -> list[str]:
    """What is wrong with an answer, one line a place; empty when the client reads what it must."""
    if status != case.status:
        return [f"status: wanted {case.status}, got {status}: {json.dumps(body)[:400]}"]
    wanted = case.body
    if isinstance(wanted, dict) and wanted.get("kind") == "Status":
        return list(_status_differences(wanted, body))
    return list(_differences(_untimed(wanted), _untimed(body), case.tolerance, "body"))


def _status_differences(wanted: dict[str, Any], got: object) -> Iterator[str]:
    if not isinstance(got, dict):
        yield f"body: wanted a Status, got {got!r}"
        return
    message = wanted.get("message", "")
    if not str(got.get("message", "")).startswith(message):
        yield f"body.message: wanted one that begins {message!r}, got {got.get('message')!r}"
    for key in wanted.keys() - {"message"}:
        yield from _differences(wanted[key], got.get(key), 0.0, f"body.{key}")


def _untimed(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: "T" if key in _TIMES else _untimed(item) for key, item in node.items()}
    if isinstance(node, list):
        return [_untimed(item) for item in node]
    return _LOOPBACK_PORT.sub("127.0.0.1:P", node) if isinstance(node, str) else node


def _differences(wanted: object, got: object, tolerance: float, path: str) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in sorted(wanted.keys() | got.keys()):
            if key not in got:
                yield f"{path}.{key}: missing, wanted {wanted[key]!r}"
            elif key not in wanted:
                yield f"{path}.{key}: not wanted, got {got[key]!r}"
            else:
                yield from _differences(wanted[key], got[key], tolerance, f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(got, list):
        yield from _set_differences(wanted, got, tolerance, path)
    elif not _same(wanted, got, tolerance):
        yield f"{path}: wanted {wanted!r}, got {got!r}"


def _set_differences(
    wanted: Sequence[object], got: Sequence[object], tolerance: float, path: str
) -> Iterator[str]:
    """Takes out every equal pair; what is left over is shown pair by pair."""
    missing, extra = [], list(got)
    for item in wanted:
        twin = next((one for one in extra if _equal(item, one, tolerance)), None)
        if twin is None:
            missing.append(item)
        else:
            extra.remove(twin)
    if len(missing) == len(extra):
        for index, (item, other) in enumerate(zip(missing, extra, strict=True)):
            yield from _differences(item, other, tolerance, f"{path}[{index}]")
        return
    for item in missing:
        yield f"{path}: missing {json.dumps(item)[:300]}"
    for item in extra:
        yield f"{path}: not wanted {json.dumps(item)[:300]}"


def _equal(wanted: object, got: object, tolerance: float) -> bool:
    return next(_differences(wanted, got, tolerance, ""), None) is None


def _same(wanted: object, got: object, tolerance: float) -> bool:
    if type(wanted) is not type(got):
        return False
    if wanted == got:
        return True
    if not tolerance or not isinstance(wanted, str) or not isinstance(got, str):
        return False
    try:
        left, right = float(quantity.parse(wanted)), float(quantity.parse(got))
    except errors.QuantityError:
        return False
    return abs(left - right) <= tolerance * max(abs(left), abs(right))
