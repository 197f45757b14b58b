"""Structured logs on standard error, one line a record, as text or JSON.

All text of a record is escaped, so that a path or the message of a backend can neither start
another line nor change a terminal. A full or broken pipe loses log lines, which are counted, and
never blocks the process: a file descriptor is written to only as far as it takes bytes at once.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import select
import sys
from typing import Any, TextIO

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# What a pipe that is ready for writing takes without blocking (Linux's PIPE_BUF).
_CHUNK = 4096
_LEVELS = {"WARNING": "warning", "INFO": "info", "ERROR": "error", "CRITICAL": "error"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _stamp(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _quoted(value: object) -> str:
    text = _escape(str(value))
    if text and not any(char in text for char in ' "='):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class TextFormatter(logging.Formatter):
    """`time level logger: message key=value`; a traceback is folded into the same line."""

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVELS.get(record.levelname, "debug")
        parts = [_stamp(record), level, f"{record.name}:", _escape(record.getMessage())]
        parts += [f"{key}={_quoted(value)}" for key, value in _extras(record).items()]
        if record.exc_info:
            parts.append(f"traceback={_quoted(self.formatException(record.exc_info))}")
        return " ".join(parts)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; control characters are escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "ts": _stamp(record),
            "level": _LEVELS.get(record.levelname, "debug"),
            "logger": record.name,
            "msg": record.getMessage(),
            **{key: str(value) for key, value in _extras(record).items()},
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        clean = {key: _surrogates_escaped(value) for key, value in document.items()}
        return _escape_json(orjson.dumps(clean).decode())


def _surrogates_escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _escape_json(text: str) -> str:
    """JSON lets C1 controls and line separators through, which terminals and readers obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


class _Descriptor:
    """A file descriptor as a stream that never blocks: bytes that it does not take are refused."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._torn = False

    def write(self, text: str) -> None:
        """Writes a whole line.

        Raises:
            OSError: it cannot be written, or not wholly, now.
        """
        data = text.encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        for start in range(0, len(data), _CHUNK):
            if not self._poll.poll(0):
                raise BlockingIOError("the log's reader does not keep up")
            os.write(self._number, data[start : start + _CHUNK])
            self._torn = True
        self._torn = False


class LossyHandler(logging.StreamHandler[Any]):
    """Writes to a stream; what cannot be written is counted and dropped."""

    def __init__(self, stream: TextIO) -> None:
        try:
            super().__init__(_Descriptor(stream.fileno()))
        except (AttributeError, OSError, ValueError):
            super().__init__(stream)  # held in memory: takes everything
        self.dropped = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - stdlib's name
        self.dropped += 1


def configure(verbosity: int, form: str, stream: TextIO | None = None) -> LossyHandler:
    """Sets up the root logger by the verbosity of klog, as the server has it.

    Args:
        verbosity: below 4 notable events only, from 4 on everything of ours but the queries, from
            6 on these too, from 8 on also what the libraries say.
        form: `text` or `json`.
        stream: standard error by default.
    """
    handler = _install(logging.DEBUG if verbosity >= 8 else logging.WARNING, form, stream)
    ours = logging.getLogger("metrics_apiserver")
    ours.setLevel(logging.DEBUG if verbosity >= 4 else logging.INFO)
    queries = logging.getLogger("metrics_apiserver.prometheus.queries")
    queries.setLevel(logging.DEBUG if verbosity >= 6 else logging.INFO)
    return handler


def configure_level(level: str, form: str, stream: TextIO | None = None) -> LossyHandler:
    """Sets up the root logger by the name of a level, as the exporter has it.

    Args:
        level: `debug`, `info`, `warning` or `error`, of every logger.
        form: `text` or `json`.
        stream: standard error by default.
    """
    return _install(level.upper(), form, stream)


def _install(level: int | str, form: str, stream: TextIO | None) -> LossyHandler:
    handler = LossyHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return handler
