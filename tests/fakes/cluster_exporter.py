"""Scrape targets for a real Prometheus: an HTTP server on loopback, and series to serve with it.

`Exporter` serves whatever its `render` gives at that moment. `Fixture` renders the series of the
conformance cases: constant series, and counters that rise with the time since they were loaded.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

_COUNTER = re.compile(r"(?P<head>.*\S)\s+rate=(?P<rate>\S+)\s+base=(?P<base>\S+)")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def series(name: str, value: float, /, **labels: str) -> str:
    """One line of the text exposition format."""
    pairs = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value:.6f}\n"


@dataclass(frozen=True)
class _Line:
    """A series whose value is `base + rate * seconds`; the text of a constant is kept as it is."""

    head: str
    constant: str = ""
    rate: float = 0.0
    base: float = 0.0

    def at(self, seconds: float) -> str:
        return f"{self.head} {self.constant or f'{self.base + self.rate * seconds:.6f}'}\n"


def _parse(text: str) -> _Line:
    if counter := _COUNTER.fullmatch(text):
        return _Line(counter["head"], rate=float(counter["rate"]), base=float(counter["base"]))
    head, _, constant = text.rpartition(" ")
    return _Line(head, constant)


class Fixture:
    """The series of a file: `name{labels} VALUE` or `name{labels} rate=R base=B`.

    Args:
        path: the file; empty lines and lines beginning with # say nothing.
        clock: seconds, whose zero is taken now.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        rows = path.read_text(encoding="utf-8").splitlines()
        self._lines = [_parse(row) for row in rows if row and not row.startswith("#")]
        self._clock = clock
        self._start = clock()

    @property
    def age(self) -> float:
        """Seconds for which the counters have been rising."""
        return self._clock() - self._start

    def render(self) -> str:
        age = self.age
        return "".join(line.at(age) for line in self._lines)


class Exporter:
    """An HTTP server on a free loopback port that answers every GET with `render()`."""

    def __init__(self, render: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = render().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._serve, name="exporter", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    @property
    def target(self) -> str:
        """`host:port` for a scrape configuration."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
