"""A scrape target on loopback whose text a test may change at any time.

`text` is served as it is. `fixture` lines follow tests/conformance: `name{…} VALUE`, or
`name{…} rate=R base=B` for a counter whose value is `B + R x seconds since the target started`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

_COUNTER = re.compile(r"(?P<series>.*\S)\s+rate=(?P<rate>\S+)\s+base=(?P<base>\S+)")


def render_fixture(text: str, seconds: float) -> str:
    """Exposition text of a fixture, `seconds` after its target started."""
    lines = []
    for line in text.splitlines():
        if counter := _COUNTER.fullmatch(line):
            value = float(counter["base"]) + float(counter["rate"]) * seconds
            lines.append(f"{counter['series']} {value:.6f}")
        elif line and not line.startswith("#"):
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


class Exposition:
    """Serves while it is entered.

    Attributes:
        text: what is exposed, besides the fixture.
        fixture: lines in the fixture format.
        scrapes: how often it was read.
    """

    def __init__(
        self, text: str = "", *, fixture: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.text = text
        self.fixture = fixture
        self.scrapes = 0
        self._clock = clock
        self._started = clock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> str:
        """`host:port`, as a scrape configuration takes it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def render(self) -> str:
        return render_fixture(self.fixture, self._clock() - self._started) + self.text

    def __enter__(self) -> Exposition:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.scrapes += 1
                body = target.render().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - base's name
                pass

        return Handler
