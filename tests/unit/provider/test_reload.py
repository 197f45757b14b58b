from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core.rules.config import RuleFile
from metrics_apiserver.provider import reload
from metrics_apiserver.provider.reload import Reloader

RULE = """\
- seriesQuery: '{name}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)
"""


def rules(*names: str) -> str:
    return "rules:\n" + "".join(RULE.format(name=name) for name in names)


class Watched:
    """A reloader with what it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used: list[list[str]] = []
        self.reports: list[bool] = []
        self.taken = asyncio.Event()
        self.reloader = Reloader(path, self.use, report=self.reports.append)

    def use(self, taken: RuleFile) -> None:
        self.used.append([rule.series_query for rule in taken.rules])
        self.taken.set()

    async def look_twice(self) -> bool:
        first = await self.reloader.reload_once()
        assert not first
        return await self.reloader.reload_once()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    path = tmp_path / "config.yaml"
    path.write_text(rules("a"))
    watched = Watched(path)
    watched.reloader.load_first()
    assert watched.used == [["a"]]
    assert watched.reports == [True]
    return watched


def test_the_first_load_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(errors.ConfigError) as refused:
        Reloader(missing, lambda _rules: None).load_first()
    assert str(refused.value) == f"{missing}: cannot read the rule file: No such file or directory"


def test_the_first_load_names_every_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("rules:\n- unknown: 1\n- unknown: 2\n")
    with pytest.raises(errors.ConfigError) as refused:
        Reloader(path, lambda _rules: None).load_first()
    assert {diagnostic.line for diagnostic in refused.value.diagnostics} >= {2, 3}


async def test_an_unchanged_file_is_left_alone(watched: Watched) -> None:
    assert not await watched.look_twice()
    assert len(watched.used) == 1
    assert watched.reports == [True]


async def test_a_large_file_is_read_beside_the_work_of_others(watched: Watched) -> None:
    watched.path.write_text(rules(*(f"m{number}" for number in range(2000))))
    await watched.reloader.reload_once()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while len(watched.used) == 1:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(count())
        assert await watched.reloader.reload_once()
    assert len(watched.used[-1]) == 2000
    assert turns > 10


async def test_a_changed_file_is_taken_at_the_second_look(watched: Watched) -> None:
    watched.path.write_text(rules("a", "b"))
    assert await watched.look_twice()
    assert watched.used[1:] == [["a", "b"]]
    assert watched.reports == [True, True]


async def test_a_file_that_is_being_written_is_not_validated(watched: Watched) -> None:
    """Each part parses, as fewer rules than are meant."""
    text = rules("a", "b", "c").encode()
    parts = [len(rules("a")), len(rules("a", "b")), len(text)]
    for end in parts:
        watched.path.write_bytes(text[:end])
        assert not await watched.reloader.reload_once()
    assert await watched.reloader.reload_once()
    assert watched.used[1:] == [["a", "b", "c"]]
    assert watched.reports == [True, True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules: [", "is not YAML"),
        ("rules: [{unknown: 1}]", "unknown"),
        ("rules: []\nrules: []", "there already"),
        ("#" * (1 << 20) + "\n", "larger than"),
        ("\x00", "control character"),
    ],
)
async def test_a_bad_file_leaves_the_last_good_one_in_use(
    watched: Watched, caplog: pytest.LogCaptureFixture, text: str, reason: str
) -> None:
    watched.path.write_text(text)
    assert not await watched.look_twice()
    assert watched.used == [["a"]]
    assert watched.reports == [True, False]
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert reason in record.error  # type: ignore[attr-defined]  # an extra


async def test_a_bad_file_is_reported_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.write_text("rules: [")
    for _ in range(5):
        assert not await watched.reloader.reload_once()
    assert watched.reports == [True, False]
    assert len(caplog.records) == 1


async def test_the_former_file_is_taken_again_after_a_bad_one(watched: Watched) -> None:
    watched.path.write_text("rules: [")
    assert not await watched.look_twice()
    watched.path.write_text(rules("a"))
    assert await watched.look_twice()
    assert watched.used == [["a"], ["a"]]
    assert watched.reports == [True, False, True]


async def test_a_removed_file_is_reported_and_taken_again_when_it_is_back(watched: Watched) -> None:
    watched.path.unlink()
    assert not await watched.look_twice()
    assert not await watched.reloader.reload_once()
    assert watched.reports == [True, False]
    watched.path.write_text(rules("b"))
    assert await watched.look_twice()
    assert watched.used == [["a"], ["b"]]


async def test_a_file_that_is_away_for_a_moment_alarms_nobody(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.unlink()
    assert not await watched.reloader.reload_once()
    watched.path.write_text(rules("a"))
    assert not await watched.look_twice()
    assert watched.reports == [True]
    assert not caplog.records


async def test_a_directory_in_its_place_is_refused(watched: Watched) -> None:
    watched.path.unlink()
    watched.path.mkdir()
    assert not await watched.look_twice()
    assert watched.reports == [True, False]


def test_a_device_is_no_rule_file() -> None:
    with pytest.raises(errors.ConfigError, match="not a regular file"):
        reload.load(Path("/dev/zero"))


class ConfigMapVolume:
    """A ConfigMap volume as the kubelet writes it: `..data` is swapped by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.turn = 0
        self.write(rules("start"))
        (root / "config.yaml").symlink_to("..data/config.yaml")

    def write(self, text: str) -> None:
        self.turn += 1
        content = self.root / f"..turn{self.turn}"
        content.mkdir()
        (content / "config.yaml").write_text(text)
        swap = self.root / "..data_tmp"
        swap.symlink_to(content.name)
        os.replace(swap, self.root / "..data")  # noqa: PTH105 - the very call of the kubelet


async def test_a_config_map_is_followed_through_its_swapped_link(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path)
    watched = Watched(tmp_path / "config.yaml")
    watched.reloader.load_first()
    volume.write(rules("next"))
    assert await watched.look_twice()
    for turn in range(20):
        volume.write(rules(f"swap{turn}"))
        assert not await watched.reloader.reload_once()
    assert await watched.reloader.reload_once()
    assert watched.used == [["start"], ["next"], ["swap19"]]


@pytest.mark.looptime
async def test_run_takes_a_change_within_two_looks(watched: Watched) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.reloader.run())
        await asyncio.sleep(10)
        assert len(watched.used) == 1
        watched.taken.clear()
        watched.path.write_text(rules("b"))
        async with asyncio.timeout(reload.POLL_SECONDS + reload.SETTLE_SECONDS + 0.05):
            await watched.taken.wait()
        running.cancel()
    assert watched.used[1:] == [["b"]]


@pytest.mark.looptime
async def test_a_signal_asks_for_a_look_at_once(watched: Watched) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watched.reloader.run())
        await asyncio.sleep(0.1)
        watched.taken.clear()
        watched.path.write_text(rules("b"))
        watched.reloader.wake()
        async with asyncio.timeout(reload.SETTLE_SECONDS + 0.05):
            await watched.taken.wait()
        running.cancel()


FAULTY = "- seriesQuery: broken\n  resources: {overrides: {pod: {resource: pod}}}\n"


def test_a_faulty_rule_is_set_aside_at_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(rules("a") + FAULTY)
    watched = Watched(path)
    taken = watched.reloader.load_first()
    assert watched.used == [["a"]]
    assert [rule.metric for rule in taken.quarantined] == ["broken"]
    (record,) = [one for one in caplog.records if one.message.startswith("rule quarantined")]
    assert vars(record)["code"] == "MA106"
    assert vars(record)["field"] == "rules[1].metricsQuery"
    assert vars(record)["line"] == 5


async def test_a_change_to_a_faulty_rule_is_refused(watched: Watched) -> None:
    watched.path.write_text(rules("a") + FAULTY)
    assert not await watched.look_twice()
    assert watched.used == [["a"]]
    assert watched.reports == [True, False]


@pytest.mark.parametrize(
    "left", ["", "# nothing\n", "rules:\n", "\n\n", "---\n", "externalRules: ~"]
)
async def test_a_file_emptied_of_its_rules_is_refused(watched: Watched, left: str) -> None:
    watched.path.write_text(left)
    assert not await watched.look_twice()
    assert watched.used == [["a"]]
    assert watched.reports == [True, False]


@pytest.mark.parametrize("left", ["rules: []\n", "externalRules: []\n"])
async def test_an_empty_list_that_is_written_out_is_taken(watched: Watched, left: str) -> None:
    watched.path.write_text(left)
    assert await watched.look_twice()
    assert watched.used == [["a"], []]
    watched.path.write_text("# still nothing\n")
    assert await watched.look_twice()


def test_an_empty_file_is_taken_at_start(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("")
    assert Watched(path).reloader.load_first().empty


async def test_warnings_are_logged_with_their_place_at_each_load(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    odd = rules("a") + RULE.format(name="b").replace("<<.LabelMatchers>>", "")
    for number in (1, 2):
        watched.path.write_text(odd + "#" * number)
        assert await watched.look_twice()
        found = [vars(one) for one in caplog.records if one.message == "rule file warning"]
        assert [(one["code"], one["kind"], one["line"], one["field"]) for one in found] == [
            ("MA153", "same-for-all", 7, "rules[1].metricsQuery")
        ] * number
    assert not await watched.look_twice()
    assert len(caplog.records) == 2
