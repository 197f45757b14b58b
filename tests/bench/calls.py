"""How much code one event runs through: distinct functions and files of metrics_apiserver.

    make bench-calls

A standalone server runs in this process over a fake Prometheus; `sys.setprofile` notes every
function that is entered while a read, a relist turn or a rule reload is under way. Each event is
repeated and the smallest count is shown, because periodic work may fall into any one of them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import re
import runpy
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.fakes.subprocesses import free_port

REPEATS = 5
PACKAGE = f"{Path(__file__).resolve().parents[2] / 'metrics_apiserver'}/"
EVENTS = ("first pods/* read", "warm pods/* read", "relist turn", "rule reload")
INLINED = frozenset({"<module>", "<listcomp>", "<dictcomp>", "<setcomp>"})
RULE = """\
- seriesQuery: 'metric_{number}{{pod!=""}}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
"""
Entered = set[tuple[str, str, int]]


class Recorder:
    """Notes entered functions while `entered` is a set."""

    def __init__(self) -> None:
        self.entered: Entered | None = None

    def profile(self, frame: FrameType, event: str, _arg: object) -> None:
        entered = self.entered
        if entered is None or event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE) and code.co_name not in INLINED:
            entered.add((code.co_filename, code.co_name, code.co_firstlineno))

    def during(self, event: Callable[[], object]) -> Entered:
        found: Entered = set()
        self.entered = found
        event()
        time.sleep(0.005)  # the server finishes after its client has the answer
        self.entered = None
        return found


class FakePrometheus(BaseHTTPRequestHandler):
    """Two pods of every metric that is asked for."""

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, parameters: str) -> None:
        given = parse_qs(parameters)
        text = " ".join([*given.get("match[]", []), *given.get("query", [])])
        names = sorted(set(re.findall(r"metric_\d+", text)))
        path = urlsplit(self.path).path
        data: Any = []
        if path == "/api/v1/query":
            labels = [{"namespace": "default", "pod": pod} for pod in ("a", "b")]
            result = [{"metric": one, "value": [0, "1"]} for one in labels]
            data = {"resultType": "vector", "result": result}
        elif path == "/api/v1/labels":
            data = ["__name__", "namespace", "pod"] if names else []
        elif path == "/api/v1/label/__name__/values":
            data = names
        elif path.startswith("/api/v1/label/") and names:
            data = ["a", "b"]
        elif path == "/api/v1/series":
            data = [{"__name__": name, "namespace": "default", "pod": "a"} for name in names]
        body = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the server stops in the middle of a turn
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Running:
    """The relister and the reloader of the server, and its event loop."""

    def __init__(self) -> None:
        from metrics_apiserver.provider.relist import Relister
        from metrics_apiserver.provider.reload import Reloader

        self.loop: asyncio.AbstractEventLoop | None = None
        self.relister: Any = None
        self.reloader: Any = None
        relist, reload = Relister.run, Reloader.run

        async def run_relister(relister: Any) -> None:
            self.relister, self.loop = relister, asyncio.get_running_loop()
            await relist(relister)

        async def run_reloader(reloader: Any) -> None:
            self.reloader = reloader
            await reload(reloader)

        Relister.run = run_relister  # type: ignore[assignment, method-assign]
        Reloader.run = run_reloader  # type: ignore[assignment, method-assign]

    def call(self, work: Callable[[], Any]) -> Any:
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(20)

    async def reload(self) -> None:
        """A change counts when it is found twice."""
        for _ in range(10):
            if await self.reloader.reload_once():
                return
        raise AssertionError("the rule file was not taken over")


def write_rules(path: Path, numbers: range) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text("rules:\n" + "".join(RULE.format(number=number) for number in numbers))
    fresh.replace(path)


def connect(kubeconfig: Path, port: int) -> http.client.HTTPSConnection:
    document = yaml.safe_load(kubeconfig.read_text())
    user, cluster = document["users"][0]["user"], document["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)


class Measurement(threading.Thread):
    """Waits for the server, measures it, and ends the process."""

    def __init__(self, recorder: Recorder, directory: Path, port: int) -> None:
        super().__init__()
        self.recorder = recorder
        self.running = Running()
        self.directory = directory
        self.port = port
        self.found: dict[str, list[Entered]] = {}

    def run(self) -> None:
        try:
            self._measure()
        finally:
            self.recorder.entered = None
            os.kill(os.getpid(), signal.SIGTERM)

    def _measure(self) -> None:
        running, during = self.running, self.recorder.during
        deadline = time.monotonic() + 20
        while running.relister is None or running.relister.snapshot is None:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not start")
            time.sleep(0.1)
        connection = connect(self.directory / "kubeconfig", self.port)

        def get(path: str) -> None:
            connection.request("GET", path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise AssertionError((path, answer.status, body))

        get("/version")
        columns: dict[str, list[Entered]] = {
            name: []
            for name in ("first pods/* read", "warm pods/* read", "relist turn", "rule reload")
        }
        for number in range(REPEATS):
            read = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default/pods/*/"
            path = f"{read}metric_{number}"
            columns["first pods/* read"].append(during(partial(get, path)))
            get(path)
            columns["warm pods/* read"].append(during(partial(get, path)))
            columns["relist turn"].append(
                during(partial(running.call, running.relister.relist_once))
            )
            write_rules(self.directory / "rules.yaml", range(REPEATS + number + 1))
            columns["rule reload"].append(during(partial(running.call, running.reload)))
        connection.close()
        self.found = columns


def main() -> int:
    recorder = Recorder()
    prometheus = ThreadingHTTPServer(("127.0.0.1", 0), FakePrometheus)
    threading.Thread(target=prometheus.serve_forever, daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_rules(directory / "rules.yaml", range(REPEATS))
        sys.argv = [
            "metrics-apiserver",
            *("serve", "--standalone", "--bind-address=127.0.0.1", f"--secure-port={port}"),
            f"--config={directory / 'rules.yaml'}",
            f"--write-kubeconfig={directory / 'kubeconfig'}",
            f"--prometheus-url=http://127.0.0.1:{prometheus.server_port}",
            *("--metrics-relist-interval=10m", "--metrics-max-age=10m", "--shutdown-drain=0s"),
        ]
        measurement = Measurement(recorder, directory, port)
        threading.setprofile(recorder.profile)
        sys.setprofile(recorder.profile)
        measurement.start()
        with contextlib.suppress(SystemExit):
            runpy.run_module("metrics_apiserver", run_name="__main__")
        sys.setprofile(None)
        measurement.join()
    prometheus.shutdown()
    if not measurement.found:
        return 1
    print(f"{'event':<20} {'functions':>9} {'files':>5}")
    for event, sets in measurement.found.items():
        least = min(sets, key=len)
        print(f"{event:<20} {len(least):>9} {len({file for file, _, _ in least}):>5}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
