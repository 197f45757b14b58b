"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.exporter import flags
from metrics_apiserver.exporter.flags import Asked


def test_defaults_and_the_downward_api() -> None:
    environment = {"NODE_NAME": "n", "POD_NAME": "p", "POD_NAMESPACE": "ns"}
    found = flags.parse([], environment)
    assert found.exposition.node == found.holders.node == "n"
    assert (found.holders.pod, found.holders.namespace) == ("p", "ns")
    assert found.holders.socket == Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    assert found.sampling.exit_without_driver_seconds is None


def test_all_kinds_of_values() -> None:
    words = [
        "--interval=500ms",
        "--window=2m",
        "--exit-without-driver-after=1h",
        "--families=pods,dcgm",
        "--collect=exp,ecc",
        "--extra-label=NodePoolId=np1",
        "--extra-label=PodSource=ecs=1",
        "--web.listen-address=127.0.0.1:1",
        "--web.listen-address=[::1]:2",
        "--resource-name=aliyun.com/gpu",
        "--shared-fallback=device",
        "--kubelet-root=/k",
    ]
    found = flags.parse(words, {})
    assert found.sampling.interval_seconds == 0.5
    assert found.sampling.window_seconds == 120
    assert found.sampling.exit_without_driver_seconds == 3600
    assert found.exposition.families == {"pods", "dcgm"}
    assert found.exposition.groups == {"exp", "ecc", "clocks"}, "exp counts clock events"
    assert found.exposition.extra_labels == {"NodePoolId": "np1", "PodSource": "ecs=1"}
    assert found.web.listen == (("127.0.0.1", 1), ("::1", 2))
    assert found.holders.resource_names == {"aliyun.com/gpu"}
    assert found.exposition.fall_back_to_device
    assert found.holders.socket == Path("/k/pod-resources/kubelet.sock")


def diagnostics(*words: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as wrong:
        flags.parse(words, environment)
    return tuple(f"{one.path}: {one.message}" for one in wrong.value.diagnostics)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("--interval=10ms", "between 100ms and 60s"),
        ("--interval=1d", "not a duration"),
        ("--window=x", "not a duration"),
        ("--window=0s", "between 1s and 5m"),
        ("--families=pods,other", "'other' is not one of"),
        ("--label-style=mine", "must be dcgm, dcgm-old or alibaba, not 'mine'"),
        ("--extra-label=a b=c", "no label"),
        ("--extra-label=gpu=0", "the label gpu is taken"),
        ("--max-series=0", "must be greater than 0"),
        ("--web.listen-address=9445", "no address"),
        ("--web.listen-address=:70000", "no address"),
        ("--web.telemetry-path=metrics", "no path"),
        ("--attribution=sidecar", "needs POD_NAME and POD_NAMESPACE"),
        ("--gpu-uuids=a", "needs --attribution=sidecar"),
        ("--resource-slices", "needs NODE_NAME"),
        ("--unknown", "unknown flag; see --help"),
        ("--familes=pods", "unknown flag; did you mean --families?"),
    ],
)
def test_what_cannot_be_used(word: str, complaint: str) -> None:
    (diagnostic,) = diagnostics(word)
    assert complaint in diagnostic


def test_all_diagnostics_at_once() -> None:
    found = diagnostics(
        "--interval=x", "--families=y", "--web.listen-address", "z", "--max-series=-1"
    )
    assert [one.partition(":")[0] for one in found] == [
        "--interval",
        "--families",
        "--web.listen-address",
        "--max-series",
    ]


def test_values_beside_and_behind_their_flags() -> None:
    words = ["--window", "20s", "--per-process", "--extra-label", "a=b", "--extra-label=c=d"]
    found = flags.parse(words, {})
    assert found.sampling.window_seconds == 20
    assert found.exposition.per_process
    assert found.exposition.extra_labels == {"a": "b", "c": "d"}


def test_a_word_that_is_no_flag_is_shown_by_its_beginning() -> None:
    found = diagnostics("stray-secret", "--window=20s", "--log.level=loud", "more")
    assert found == (
        "--log.level: must be debug, info, warning or error, not 'loud'",
        "arguments: unexpected argument 'str…' (word 1)",
        "arguments: unexpected argument 'mor…' (word 4)",
    )


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_what_is_asked_for_is_shown_whatever_else_is_wrong(word: str) -> None:
    with pytest.raises(Asked) as asked:
        flags.parse(["--window=x", word, "--unknown"], {})
    assert asked.value.flag is (flags.VERSION if word == "--version" else flags.HELP)


def test_a_flag_stands_over_the_downward_api() -> None:
    found = flags.parse(["--node-name=m"], {"NODE_NAME": "n"})
    assert found.exposition.node == found.holders.node == "m"


@pytest.mark.parametrize("flag", flags.TABLE, ids=lambda flag: flag.name)
def test_a_flag_says_what_it_is_for(flag: Flag) -> None:
    assert len(flag.help) > 10, "a default alone explains nothing"
    assert flag.group
    assert flag.validate(flag.default) == [] if flag.default is not None else True


def test_the_downward_api_fills_names() -> None:
    variables = {flag.name: flag.environment for flag in flags.TABLE if flag.environment}
    assert variables == {
        "node-name": "NODE_NAME",
        "pod-name": "POD_NAME",
        "pod-namespace": "POD_NAMESPACE",
    }
