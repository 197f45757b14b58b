"""The exporter as a process: HTTP, TLS, passwords, signals, and a node from end to end."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import pytest
import trustme

from tests.fakes.nvml.launch import Exporter, Node
from tests.fakes.nvml.rig import Text, parse
from tests.fakes.nvml.scenario import Scenario, gpu_uuid

Start = Callable[..., Exporter]
STOP_SECONDS = 2.5  # two as documented, plus what a busy machine needs to end a process


def poll(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met"
        time.sleep(0.05)


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    made = Scenario(tmp_path / "scenario").add_gpus(2, util=42)
    made.write()
    return made


@pytest.fixture
def start(tmp_path: Path, scenario: Scenario) -> Iterator[Start]:
    with ExitStack() as stack:

        def make(*flags: str, with_library: bool = True, **environment: str) -> Exporter:
            given = {"FAKE_NVML_SCENARIO": str(scenario.path), "NODE_NAME": "node-1"}
            exporter = Exporter(
                tmp_path,
                given | environment,
                ["--attribution=none", "--settle=0s", *flags],
                with_library=with_library,
            )
            exporter.start()
            stack.callback(exporter.stop)
            return exporter

        yield make


def text_of(exporter: Exporter) -> Text:
    return parse(exporter.get()[2])


def test_metrics_health_and_a_graceful_end(start: Start) -> None:
    exporter = start()
    exporter.wait_ready()
    poll(lambda: text_of(exporter).values("nvidia_gpu_duty_cycle") == [42, 42])
    found = text_of(exporter)
    assert found.value("gpu_exporter_up") == 1
    assert found.value("gpu_exporter_build_info", driver_version="550.54.15", cuda="12.4") == 1
    assert not any(name.endswith("_created") for name in found.types)
    status, answer, _ = exporter.get()
    assert status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert exporter.get("/healthz")[::2] == (200, b"ok\n")
    assert json.loads(exporter.get("/snapshot.json")[2])["node"] == "node-1"
    assert b"DCGM_EXP_GPU_HEALTH_STATUS" in exporter.get("/")[2]
    assert exporter.get("/elsewhere")[0] == 404
    started = time.monotonic()
    assert exporter.stop() == 0
    assert time.monotonic() - started < STOP_SECONDS
    assert "Traceback" not in exporter.log_text()


def test_compressed_text(start: Start) -> None:
    exporter = start()
    exporter.wait_ready()
    gzipped = {"Accept-Encoding": "gzip"}
    poll(lambda: exporter.get(headers=gzipped)[1].headers["Content-Encoding"] == "gzip")
    _, answer, body = exporter.get(headers=gzipped)
    assert answer.headers["Vary"] == "Accept-Encoding"
    found = parse(gzip.decompress(body))
    assert found.types.keys() == text_of(exporter).types.keys()


def test_promtool_reads_the_text(start: Start) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH")
    exporter = start("--collect=clocks,ecc,exp,memory")
    exporter.wait_ready()
    poll(lambda: text_of(exporter).values("nvidia_gpu_duty_cycle"))
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exporter.get()[2],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in (0, 3), "3 is lint: DCGM's counters lack _total by design"
    assert b"error while linting" not in done.stderr


def test_no_gpu_and_no_library(start: Start) -> None:
    exporter = start(with_library=False)
    exporter.wait_ready()
    found = text_of(exporter)
    assert found.value("gpu_exporter_up") == 0
    assert found.value("gpu_exporter_nvml_errors_total", code="12") == 1
    assert "nvidia_gpu_num_devices" not in found.types
    assert exporter.get("/healthz")[0] == 200
    assert exporter.process is not None
    assert exporter.process.poll() is None


def test_a_library_that_needs_another_process(start: Start, scenario: Scenario) -> None:
    exporter = start()
    exporter.wait_ready()
    scenario.set("*", "fail.nvmlDeviceGetMemoryInfo_v2", 18).write()
    assert exporter.process is not None
    assert exporter.process.wait(15) == 1
    assert "LIB_RM_VERSION_MISMATCH" in exporter.log_text()


def test_scrapes_do_not_wait_for_a_driver_that_hangs(start: Start, scenario: Scenario) -> None:
    exporter = start()
    exporter.wait_ready()
    poll(lambda: text_of(exporter).values("nvidia_gpu_duty_cycle"))
    scenario.set(0, "hang.nvmlDeviceGetMemoryInfo_v2", 60_000).write()
    time.sleep(1.5)  # the hang started
    before = text_of(exporter).value("gpu_exporter_last_sample_timestamp_seconds")
    took, found = [], text_of(exporter)
    for _ in range(200):
        started = time.perf_counter()
        found = text_of(exporter)
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.05
    assert max(took) < 1
    assert found.value("gpu_exporter_last_sample_timestamp_seconds") == before
    assert found.value("nvidia_gpu_duty_cycle", uuid=gpu_uuid(0)) == 42
    started = time.monotonic()
    assert exporter.stop() == 0, "also during a hang"
    assert time.monotonic() - started < STOP_SECONDS


def test_an_end_while_everything_hangs(start: Start, scenario: Scenario, tmp_path: Path) -> None:
    """The driver, the kubelet, a client that does not read and one that does not write."""
    scenario.add_gpus(16, util=5).write()
    sockets = tmp_path / "pod-resources"
    sockets.mkdir()
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(sockets / "kubelet.sock"))
    silent.listen()
    exporter = start("--attribution=daemonset", f"--kubelet-root={tmp_path}", "--interval=100ms")
    exporter.wait_ready()
    with silent, ExitStack() as clients:
        for words in (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b"GET /metrics HT"):
            client = socket.create_connection(("127.0.0.1", exporter.port))
            clients.enter_context(client)
            client.sendall(words)
        scenario.set(0, "hang.nvmlDeviceGetMemoryInfo_v2", 60_000).write()
        time.sleep(1)
        started = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - started < STOP_SECONDS
    assert "does not end" in exporter.log_text()


def test_wrong_flags_and_addresses(start: Start) -> None:
    exporter = start("--interval=1d")
    assert exporter.process is not None
    assert exporter.process.wait(15) == 2
    assert "is not a duration" in exporter.log_text()
    taken = start("--web.config.file=/nowhere/web.yml")
    assert taken.process is not None
    assert taken.process.wait(15) == 1
    assert "/nowhere/web.yml" in taken.log_text()


# --- the web configuration file ----------------------------------------------------------------


def basic(user: str, password: str) -> dict[str, str]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def test_tls_and_passwords(start: Start, tmp_path: Path, ca: trustme.CA) -> None:
    def issue(name: str) -> None:
        pair = ca.issue_cert("localhost", common_name=name)
        pair.private_key_pem.write_to_path(tmp_path / "key.new")
        pair.cert_chain_pems[0].write_to_path(tmp_path / "cert.new")
        (tmp_path / "key.new").replace(tmp_path / "key.pem")
        (tmp_path / "cert.new").replace(tmp_path / "cert.pem")

    issue("first")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS13}\n"
        "http_server_config: {headers: {X-Frame-Options: deny}}\n"
        f"basic_auth_users: {{prometheus: {hashed}}}\n"
    )
    exporter = start(f"--web.config.file={config}")
    client = ssl.create_default_context()
    ca.configure_trust(client)
    exporter.wait_ready(client)
    status, answer, _ = exporter.get(tls=client)
    assert status == 401
    assert answer.headers["WWW-Authenticate"] == "Basic"
    assert exporter.get(headers=basic("prometheus", "wrong"), tls=client)[0] == 401
    assert exporter.get(headers=basic("nobody", "secret"), tls=client)[0] == 401
    status, answer, _ = exporter.get(headers=basic("prometheus", "secret"), tls=client)
    assert status == 200
    assert answer.headers["X-Frame-Options"] == "deny"
    with pytest.raises(OSError, match=r"reset|closed|timed out|HTTP|remote|EOF"):
        exporter.get("/healthz")

    def served() -> str:
        pem = ssl.get_server_certificate(("localhost", exporter.port))
        return ssl.PEM_cert_to_DER_cert(pem).hex()

    before = served()
    issue("second")
    poll(lambda: served() != before)
    assert exporter.get(headers=basic("prometheus", "secret"), tls=client)[0] == 200
    config.write_text("tls_server_config: {cert_file: missing.pem, key_file: key.pem}\n")
    poll(lambda: "keeping the last good web configuration" in exporter.log_text())
    assert exporter.get(tls=client)[0] == 401, "the last good one stays"

    def successful() -> float | None:
        found = parse(exporter.get(headers=basic("prometheus", "secret"), tls=client)[2])
        return found.value("gpu_exporter_web_config_last_reload_successful")

    poll(lambda: successful() == 0)
    assert "secret" not in exporter.log_text()
    assert hashed not in exporter.log_text()


# --- a node ------------------------------------------------------------------------------------


def test_a_node_from_driver_to_pod(tmp_path: Path) -> None:
    with Node(tmp_path / "node", gpus=4, namespace="ai") as node:
        node.run({"bert-0": 80, "bert-1": 20})

        def numbers() -> dict[str, float]:
            found = text_of(node.exporter).samples.get("gpu_pod_utilization_percent", [])
            return {labels["pod_name"]: value for labels, value in found}

        poll(lambda: numbers() == {"bert-0": 80, "bert-1": 20})
        node.run({"bert-1": 55, "bert-2": 5})
        poll(lambda: numbers() == {"bert-1": 55, "bert-2": 5})
        document = json.loads(node.exporter.get("/snapshot.json")[2])
        first = document["items"][0]
        assert (first["namespace"], first["pod"], first["source"]) == ("ai", "bert-1", "device")
        assert first["metrics"]["gpu_pod_utilization_percent"] == 55
        assert document["window_s"] == 3
        assert abs(document["timestamp_ms"] / 1000 - time.time()) < 30  # noqa: TID251 - the wall
