"""Structured logs on standard error, one line a record, as text or JSON.

What a record carries is escaped, so that no name out of the cluster starts a second line.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Any, Literal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    stamp = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
    extras = {key: str(one) for key, one in vars(record).items() if key not in _STANDARD}
    found = {"time": stamp, "level": record.levelname.lower(), "message": record.getMessage()}
    if record.exc_info:
        extras["traceback"] = logging.Formatter().formatException(record.exc_info)
    return found | extras


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record))


class TextFormatter(logging.Formatter):
    """`time level message key="value"`."""

    def format(self, record: logging.LogRecord) -> str:
        found = _fields(record)
        head = [found.pop("time"), found.pop("level"), json.dumps(found.pop("message"))[1:-1]]
        return " ".join([*head, *(f"{key}={json.dumps(one)}" for key, one in found.items())])


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Sends every log of the process to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
