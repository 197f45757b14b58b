"""Query parameters that every read shares, validated as in ListOptions of apiserver.

`limit` and `timeoutSeconds` must be whole numbers and `timeout` a duration, although nothing is
paged; a field selector may only name what the path already names. Unknown parameters pass.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

from metrics_apiserver.base import durations, errors, strconv

_LONGEST_DURATION = 64  # characters
_FIELD = re.compile(r"([^=!,]*)(==|=|!=)([^,]*)")
_KNOWN_FIELDS = ("metadata.name", "metadata.namespace")


def check(query: Mapping[str, str]) -> None:
    """Refuses malformed numbers.

    Raises:
        errors.BadRequest: a parameter does not parse.
    """
    for name in ("limit", "timeoutSeconds"):
        text = query.get(name, "")
        if text and strconv.parse_int(text) is None:
            raise errors.BadRequest(f"the parameter {name} must be a whole number, not {text!r}")


def duration_seconds(text: str) -> float:
    """The `timeout` parameter, in Go's notation.

    Raises:
        errors.BadRequest: not a duration.
    """
    if len(text) <= _LONGEST_DURATION:
        with contextlib.suppress(ValueError):
            return durations.parse_go(text)
    shown = text[:_LONGEST_DURATION]
    raise errors.BadRequest(f"the parameter timeout must be a duration, not {shown!r}")


def parse_fields(field_selector: str) -> dict[str, str]:
    """`metadata.name=x,metadata.namespace=y` as a dict; empty text gives an empty one.

    Raises:
        errors.BadRequest: another field, another operator, or no selector at all.
    """
    fields: dict[str, str] = {}
    for term in filter(None, field_selector.split(",")):
        match = _FIELD.fullmatch(term)
        if match is None:
            raise errors.BadRequest(
                f"invalid selector: {field_selector!r}; can't understand {term!r}"
            )
        key, operator, value = match.groups()
        if key not in _KNOWN_FIELDS:
            raise errors.BadRequest(
                f'"{key}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        if operator == "!=":
            raise errors.BadRequest(f"the field selector {term!r} must use =")
        fields[key] = value
    return fields
