"""What may be read, and values that follow their files."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import pytest

from metrics_apiserver.base import files
from metrics_apiserver.base.files import Reader, WatchedFiles

LONG_AGO_NS = 1_000_000_000 * 1_000_000_000


def replace(path: Path, text: str) -> None:
    """As a mounted Secret changes: another file under the same name."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def write_unseen(path: Path, text: str) -> None:
    """Writes so that the stamp tells nothing, as long as the size is the same."""
    path.write_text(text)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


class Numbers:
    """Numbers out of one file, and how often they were loaded."""

    def __init__(
        self,
        path: Path,
        *,
        limit: int = files.MAX_BYTES,
        interval_seconds: float = 0.0,
        reread_seconds: float = math.inf,
    ) -> None:
        self.path = path
        self.loads: list[str] = []
        self.now = 0.0
        self.watched = WatchedFiles(
            "numbers",
            self.load,
            limit=limit,
            interval_seconds=interval_seconds,
            reread_seconds=reread_seconds,
            clock=lambda: self.now,
        )

    def load(self, read: Reader) -> int:
        self.loads.append(read(self.path).decode())
        return int(self.loads[-1])


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    path = tmp_path / "file"
    path.write_text("1")
    return Numbers(path)


class TestRead:
    def test_the_size_is_bounded(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x" * files.MAX_BYTES)
        assert len(files.read(path)) == files.MAX_BYTES
        path.write_bytes(b"x" * (files.MAX_BYTES + 1))
        with pytest.raises(OSError, match="larger than 1048576 bytes"):
            files.read(path)
        with pytest.raises(OSError, match="larger than 7 bytes"):
            files.read(path, 7)

    def test_a_fifo_without_a_writer_is_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(OSError, match="not a regular file") as refused:
            files.read(tmp_path / "fifo")
        assert refused.value.strerror == "not a regular file"

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
    def test_a_device_is_refused(self, device: str) -> None:
        with pytest.raises(OSError, match="not a regular file"):
            files.read(Path(device))

    def test_a_directory_and_a_missing_file(self, tmp_path: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
        for _ in range(20):
            with pytest.raises(IsADirectoryError):
                files.read(tmp_path)
            with pytest.raises(FileNotFoundError):
                files.read(tmp_path / "none")
        assert len(os.listdir("/proc/self/fd")) == before, "every descriptor is closed"  # noqa: PTH208

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("text")
        (tmp_path / "link").symlink_to("file")
        assert files.read(tmp_path / "link") == b"text"


class TestWatchedFiles:
    def test_loaded_once_while_the_file_stays(self, numbers: Numbers) -> None:
        assert [numbers.watched.current() for _ in range(3)] == [1, 1, 1]
        assert numbers.loads == ["1"]
        assert numbers.watched.reread() == 1
        assert numbers.loads == ["1", "1"]

    def test_a_change_counts_at_the_next_use(self, numbers: Numbers) -> None:
        numbers.watched.current()
        replace(numbers.path, "2")
        assert numbers.watched.current() == 2

    def test_a_file_of_the_same_size_that_is_written_at_once(self, numbers: Numbers) -> None:
        """Time stamps are coarser than two writes."""
        for number in range(200):
            numbers.path.write_text(str(number % 10))
            assert numbers.watched.current() == number % 10

    def test_the_same_content_is_the_same_value(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("text")
        watched = WatchedFiles("text", lambda read: [read(path)])
        first = watched.current()
        replace(path, "text")
        assert watched.current() is first
        path.touch()
        assert watched.current() is first

    def test_a_change_behind_a_link_counts(self, tmp_path: Path) -> None:
        for name in ("old", "new"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "token").write_text(name)
        link, path = tmp_path / "..data", tmp_path / "token"
        link.symlink_to("old")
        path.symlink_to("..data/token")
        watched = WatchedFiles("token", lambda read: read(path))
        assert watched.current() == b"old"
        (tmp_path / "tmp").symlink_to("new")
        (tmp_path / "tmp").replace(link)
        assert watched.current() == b"new"

    def test_a_missing_file_leaves_the_last_good_value_and_is_logged_once(
        self, numbers: Numbers, caplog: pytest.LogCaptureFixture
    ) -> None:
        numbers.watched.current()
        numbers.path.unlink()
        with caplog.at_level(logging.INFO):
            assert [numbers.watched.current() for _ in range(3)] == [1, 1, 1]
            assert "No such file" in numbers.watched.error
            numbers.path.write_text("2")
            assert numbers.watched.current() == 2
        assert numbers.watched.error == ""
        kept, again = caplog.messages
        assert kept.startswith("keeping the last good numbers: [Errno 2] No such file")
        assert again == "the numbers can be used again"

    def test_a_bad_file_is_not_loaded_again_until_it_changes(self, numbers: Numbers) -> None:
        numbers.watched.current()
        replace(numbers.path, "x")
        assert [numbers.watched.current() for _ in range(3)] == [1, 1, 1]
        assert numbers.loads == ["1", "x"]
        replace(numbers.path, "2")
        assert numbers.watched.current() == 2

    def test_what_was_good_and_comes_back_is_good(self, numbers: Numbers) -> None:
        numbers.watched.current()
        replace(numbers.path, "x")
        numbers.watched.current()
        replace(numbers.path, "1")
        assert numbers.watched.current() == 1
        assert numbers.watched.error == ""

    def test_a_value_that_was_never_good_is_an_error_each_time(
        self, numbers: Numbers, caplog: pytest.LogCaptureFixture
    ) -> None:
        numbers.path.unlink()
        with pytest.raises(FileNotFoundError):
            numbers.watched.current()
        numbers.path.write_text("x")
        for _ in range(2):
            with pytest.raises(ValueError, match="invalid literal"):
                numbers.watched.current()
        assert "invalid literal" in numbers.watched.error
        replace(numbers.path, "3")
        assert numbers.watched.current() == 3
        assert not caplog.records, "whoever asks reports it"

    def test_all_files_that_were_read_are_watched(self, tmp_path: Path) -> None:
        """The first names the second, as a configuration names certificates."""
        for name in ("first", "second", "third"):
            (tmp_path / name).write_text(name)
        (tmp_path / "file").write_text("first")
        watched = WatchedFiles(
            "files", lambda read: read(tmp_path / read(tmp_path / "file").decode())
        )
        assert watched.current() == b"first"
        replace(tmp_path / "first", "changed")
        assert watched.current() == b"changed"
        replace(tmp_path / "file", "second")
        assert watched.current() == b"second"
        replace(tmp_path / "second", "again")
        assert watched.current() == b"again"

    def test_files_are_looked_at_once_an_interval(self, numbers: Numbers) -> None:
        numbers = Numbers(numbers.path, interval_seconds=1.0)
        assert numbers.watched.current() == 1
        replace(numbers.path, "2")
        numbers.now = 0.9
        assert numbers.watched.current() == 1
        numbers.now = 1.0
        assert numbers.watched.current() == 2
        replace(numbers.path, "3")
        assert numbers.watched.refresh() == 3

    def test_files_are_read_now_and_then_whatever_their_stamps_say(self, numbers: Numbers) -> None:
        write_unseen(numbers.path, "1")
        numbers = Numbers(numbers.path, reread_seconds=60.0)
        assert numbers.watched.current() == 1
        write_unseen(numbers.path, "2")
        numbers.now = 59.0
        assert numbers.watched.current() == 1
        numbers.now = 60.0
        assert numbers.watched.current() == 2

    def test_large_files_are_refused(self, numbers: Numbers) -> None:
        numbers = Numbers(numbers.path, limit=3)
        assert numbers.watched.current() == 1
        replace(numbers.path, "1000")
        assert numbers.watched.current() == 1
        assert "larger than 3 bytes" in numbers.watched.error


@pytest.mark.parametrize("in_memory", [True, False])
def test_private_files_leave_nothing(in_memory: bool) -> None:
    with files.private_file(b"SECRET", in_memory=in_memory) as name:
        path = Path(name)
        assert path.read_bytes() == b"SECRET"
        assert path.stat().st_mode & 0o077 == 0 or in_memory
    assert not path.exists()
