"""Scrape targets on loopback for a real Prometheus, and the text that they expose.

A fixture follows tests/conformance: a line is `name{…} VALUE`, or `name{…} rate=R base=B` for a
counter whose value is `B + R x seconds`. Empty lines and comments are left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self

_COUNTER = re.compile(r"(?P<series>.*\S)\s+rate=(?P<rate>\S+)\s+base=(?P<base>\S+)")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def series(name: str, value: float, /, **labels: str) -> str:
    """One line of the text exposition format."""
    pairs = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value:.6f}\n"


def render_fixture(text: str, seconds: float) -> str:
    """Exposition text of a fixture whose counters have been rising for so many seconds."""
    lines = []
    for line in text.splitlines():
        if counter := _COUNTER.fullmatch(line):
            value = float(counter["base"]) + float(counter["rate"]) * seconds
            lines.append(f"{counter['series']} {value:.6f}")
        elif line and not line.startswith("#"):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


class Fixture:
    """The series of a fixture file, from now on.

    Args:
        path: the file.
        clock: seconds, whose zero is taken now.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._text = path.read_text(encoding="utf-8")
        self._clock = clock
        self._start = clock()

    @property
    def age(self) -> float:
        """Seconds for which the counters have been rising."""
        return self._clock() - self._start

    def render(self) -> str:
        return render_fixture(self._text, self.age)


class ScrapeTarget:
    """An HTTP server on a free loopback port that answers every GET with `render()`.

    Attributes:
        scrapes: how often it was read.
    """

    def __init__(self, render: Callable[[], str]) -> None:
        self.scrapes = 0
        self._render = render
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

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

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.scrapes += 1
                body = target._render().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler


class Exposition(ScrapeTarget):
    """A target whose text a test may change at any time.

    Attributes:
        text: what is exposed, besides the fixture.
        fixture: lines in the fixture format; counters rise from when the target was made.
    """

    def __init__(
        self, text: str = "", *, fixture: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.text = text
        self.fixture = fixture
        started = clock()
        super().__init__(lambda: render_fixture(self.fixture, clock() - started) + self.text)
