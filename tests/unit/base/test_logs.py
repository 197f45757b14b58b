from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metrics_apiserver.base import logs

QUERIES = "metrics_apiserver.prometheus.queries"
EVIL = 'a\nb\r\x1b[31mred\x07\x00\u2028\u0085\u009b1m"q" \\ end'


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "metrics_apiserver", QUERIES)]
    handlers, levels = loggers[0].handlers[:], [logger.level for logger in loggers]
    yield
    loggers[0].handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def write(form: str, message: str, *arguments: object, **extra: object) -> str:
    stream = io.StringIO()
    logs.configure(4, form, stream)
    logging.getLogger("metrics_apiserver.x").info(message, *arguments, extra=extra)
    return stream.getvalue()


def test_text_is_time_level_logger_message_and_pairs() -> None:
    line = write("text", "started %d", 3, port=6443, note="two words", empty="", pair="a=b")
    stamp, rest = line.split(" ", 1)
    assert stamp.endswith("Z")
    assert stamp[10] == "T"
    assert rest == (
        'info metrics_apiserver.x: started 3 port=6443 note="two words" empty="" pair="a=b"\n'
    )


def test_json_is_one_object_a_line() -> None:
    document = json.loads(write("json", "started %d", 3, port=6443))
    assert document.pop("ts").endswith("Z")
    assert document == {
        "level": "info",
        "logger": "metrics_apiserver.x",
        "msg": "started 3",
        "port": "6443",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_in_a_record_starts_a_line_or_reaches_a_terminal(form: str) -> None:
    line = write(form, "path %s", EVIL, path=EVIL, surrogate="\ud800\udcff")
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert len(line.splitlines()) == 1


def test_json_gives_the_text_back_unchanged() -> None:
    assert json.loads(write("json", "m", path=EVIL, astral="\U000e0001"))["path"] == EVIL
    assert json.loads(write("json", "m", astral="\U000e0001"))["astral"] == "\U000e0001"


def test_text_quotes_quotes_and_backslashes() -> None:
    assert write("text", "m", value='say "x" \\').endswith('value="say \\"x\\" \\\\"\n')


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_stays_in_its_line(form: str) -> None:
    stream = io.StringIO()
    logs.configure(0, form, stream)
    try:
        int(EVIL)
    except ValueError:
        logging.getLogger("metrics_apiserver").exception("failed")
    [line] = stream.getvalue().splitlines()
    assert line.isprintable()
    assert "Traceback" in line
    assert "ValueError" in line


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "error"),
        (25, "debug"),
    ],
)
def test_levels(level: int, shown: str) -> None:
    record = logging.LogRecord("n", level, "p", 1, "m", (), None)
    assert logs.TextFormatter().format(record).split(" ")[1] == shown
    assert json.loads(logs.JsonFormatter().format(record))["level"] == shown


@pytest.mark.parametrize(
    ("verbosity", "ours", "queries", "libraries"),
    [
        (0, logging.INFO, logging.INFO, logging.WARNING),
        (3, logging.INFO, logging.INFO, logging.WARNING),
        (4, logging.DEBUG, logging.INFO, logging.WARNING),
        (6, logging.DEBUG, logging.DEBUG, logging.WARNING),
        (8, logging.DEBUG, logging.DEBUG, logging.DEBUG),
        (10, logging.DEBUG, logging.DEBUG, logging.DEBUG),
    ],
)
def test_verbosity(verbosity: int, ours: int, queries: int, libraries: int) -> None:
    logs.configure(verbosity, "text", io.StringIO())
    assert logging.getLogger("metrics_apiserver.api").getEffectiveLevel() == ours
    assert logging.getLogger(QUERIES).getEffectiveLevel() == queries
    assert logging.getLogger("aiohttp").getEffectiveLevel() == libraries


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_one_level_for_every_logger(level: str) -> None:
    stream = io.StringIO()
    logs.configure_level(level, "json", stream)
    logging.getLogger("x").log(getattr(logging, level.upper()) - 1, "no")
    logging.getLogger("x").log(getattr(logging, level.upper()), "yes", extra={"uuid": 1})
    document = json.loads(stream.getvalue())
    assert (document["msg"], document["level"], document["uuid"]) == ("yes", level, "1")


def test_configuring_again_replaces_the_handler() -> None:
    first = logs.configure(0, "text", io.StringIO())
    second = logs.configure(0, "json", io.StringIO())
    assert logging.getLogger().handlers == [second]
    assert first is not second


def test_standard_error_is_the_default(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(0, "text")
    logging.getLogger("metrics_apiserver").warning("seen")
    assert capfd.readouterr().err.endswith("warning metrics_apiserver: seen\n")


def test_a_file_takes_lines_of_any_length(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        handler = logs.configure(0, "text", stream)
        logging.getLogger("metrics_apiserver").info("x" * 100_000)
        logging.getLogger("metrics_apiserver").info("next")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["x" * 100_000, "next"]
    assert handler.dropped == 0


def test_a_record_that_cannot_be_formatted_is_dropped() -> None:
    stream = io.StringIO()
    handler = logs.configure(0, "text", stream)
    arguments: tuple[Any, ...] = ("two", "many")
    logging.getLogger("metrics_apiserver").info("one %d", *arguments)
    assert (stream.getvalue(), handler.dropped) == ("", 1)


class Pipe:
    """A pipe whose reader a test drives."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.stream = os.fdopen(write_end, "w")

    def drain(self) -> bytes:
        os.set_blocking(self.read_end, False)
        read = b""
        while True:
            try:
                part = os.read(self.read_end, 1 << 20)
            except BlockingIOError:
                return read
            read += part


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.stream.close()
    os.close(pipe.read_end)


def test_a_reader_that_stands_still_costs_lines_not_time(pipe: Pipe) -> None:
    handler = logs.configure(0, "text", pipe.stream)
    logger = logging.getLogger("metrics_apiserver")
    for _ in range(200):
        logger.info("y" * 1000)
    dropped = handler.dropped
    assert 0 < dropped < 200
    assert len(pipe.drain().splitlines()) == 200 - dropped
    logger.info("after")
    assert handler.dropped == dropped
    assert pipe.drain().endswith(b"after\n")


def test_a_line_cut_short_does_not_run_into_the_next(pipe: Pipe) -> None:
    handler = logs.configure(0, "text", pipe.stream)
    logger = logging.getLogger("metrics_apiserver")
    logger.info("z" * 200_000)
    assert handler.dropped == 1
    cut = pipe.drain()
    assert cut
    assert not cut.endswith(b"\n")
    logger.info("after")
    begin, line = pipe.drain().split(b"\n", 1)
    assert begin == b""
    assert line.endswith(b"after\n")


def test_a_reader_that_has_gone_costs_lines_only() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        handler = logs.configure(0, "json", stream)
        logging.getLogger("metrics_apiserver").info("lost")
        assert handler.dropped == 1


def test_a_full_disk_costs_lines_only() -> None:
    with Path("/dev/full").open("w") as stream:
        handler = logs.configure(0, "json", stream)
        logging.getLogger("metrics_apiserver").info("lost")
        assert handler.dropped == 1
