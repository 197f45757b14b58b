"""One line a record, whatever it carries."""

from __future__ import annotations

import json
import logging

import pytest

from metrics_apiserver.exporter.logs import JsonFormatter, TextFormatter, configure


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "WARNING", "created": 0.5})
    for name, value in extra.items():
        setattr(made, name, value)
    return made


def test_text() -> None:
    line = TextFormatter().format(record("call\nfailed", uuid='GPU-"1"\n'))
    assert line == '1970-01-01T00:00:00.500+00:00 warning call\\nfailed uuid="GPU-\\"1\\"\\n"'


def test_json_with_a_traceback() -> None:
    made = record("broken")
    with pytest.raises(ValueError, match="why") as caught:
        raise ValueError("why")
    made.exc_info = (caught.type, caught.value, caught.tb)
    found = json.loads(JsonFormatter().format(made))
    assert found["level"] == "warning"
    assert "ValueError: why" in found["traceback"]


def test_configure(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure("warning", "json")
        logging.getLogger("x").info("no")
        logging.getLogger("x").warning("yes", extra={"a": 1})
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert json.loads(capsys.readouterr().err)["a"] == "1"
