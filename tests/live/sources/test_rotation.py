"""Files that grow and are rotated: what comes after what, late writers, gaps."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from live.sources.growing_files import Reading, append, csv, jsonl, line

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 40)),
        st.tuples(st.just("look"), st.integers(1, 3)),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("rotate"), st.integers(1, 3)),
        st.tuples(st.just("lag"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 25)),
    ),
    max_size=40,
)


class Rotating:
    """A writer and who rotates its file: by number, as ``log.1`` and on, or by time."""

    def __init__(self, folder: Path, form: str, names: str) -> None:
        self.folder, self.names = folder, names
        self.path = folder / f"log.{form}"
        self.head = b"t,x\n" if form == "csv" else b""
        self.lines = [line(n, form) + b"\n" for n in range(30)]
        self.left = list(self.lines)
        self.rest, self.files = b"", 0
        self.path.write_bytes(self.head)
        self.handle = self.path.open("ab", buffering=0)

    def write(self, size: int) -> None:
        while self.left and len(self.rest) < size:
            self.rest += self.left.pop(0)
        self.handle.write(self.rest[:size])
        self.rest = self.rest[size:]

    def rotate(self) -> None:
        """Rename; the writer goes on with its handle until `follow`."""
        if self.path.stat().st_size <= len(self.head):
            return
        self.files += 1
        if self.names == "numbered":
            for n in range(self.files - 1, 0, -1):
                (self.folder / f"log.{n}").rename(self.folder / f"log.{n + 1}")
            self.path.rename(self.folder / "log.1")
        else:
            self.path.rename(self.folder / f"log-2026-01-01T00:00:{self.files:02d}")
        self.path.write_bytes(self.head)

    def follow(self) -> None:
        """Finish the line with the old file, begin with the new one."""
        line, feed, self.rest = self.rest.partition(b"\n")
        self.handle.write(line + feed)
        self.handle.close()
        self.handle = self.path.open("ab", buffering=0)

    def finish(self) -> None:
        self.follow()
        self.write(1 << 20)
        self.handle.close()


@pytest.mark.timeout(1_800)  # the nightly profile
@pytest.mark.parametrize("names", ["numbered", "dated"])
@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(actions=ACTIONS)
def test_no_row_is_lost_or_doubled_however_it_is_written_rotated_and_restarted(
    form: str, names: str, actions: list[tuple[str, int]]
) -> None:
    """S4, S28: any cut of the bytes, stops at any place, rotations at any byte, late writers."""
    folder = Path(tempfile.mkdtemp())
    writer = Rotating(folder, form, names)
    reading = Reading(lambda: (jsonl if form == "jsonl" else csv)(writer.path))
    # Files that were rotated away before the first look are none of ours.
    writer.write(20)
    reading.look()
    for action, n in actions:
        if action == "write":
            writer.write(n)
        elif action == "lag":
            # It was told to take the new file, and still writes to the old one.
            writer.rotate()
            writer.write(n)
            writer.follow()
        elif action == "look":
            reading.look(n)
        elif action == "restart":
            reading.restart()
        elif action == "wait":
            reading.look_later(n)
        else:
            for _ in range(n):
                writer.rotate()
                writer.follow()
                writer.write(20)
    writer.finish()
    reading.look()
    reading.restart()
    reading.look_later()
    shutil.rmtree(folder)
    assert sorted(reading.seen[f"log.{form}"]) == list(range(30))


@pytest.mark.timeout(1_800)  # the nightly profile
@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(actions=ACTIONS, bad=st.sets(st.integers(0, 12)))
def test_without_rotation_rows_come_as_they_are_written(
    form: str, actions: list[tuple[str, int]], bad: set[int]
) -> None:
    """S4, S28: those that do not parse are set aside in their place."""
    folder = Path(tempfile.mkdtemp())
    writer = Rotating(folder, form, "numbered")
    writer.left = [b"{bad\n" if n in bad else text for n, text in enumerate(writer.lines)]
    wanted = ["bad {bad" if n in bad else n for n in range(30)]
    reading = Reading(lambda: (jsonl if form == "jsonl" else csv)(writer.path))
    for action, n in actions:
        if action == "write":
            writer.write(n)
        elif action == "look":
            reading.look(n)
        elif action == "restart":
            reading.restart()
    writer.finish()
    reading.look()
    shutil.rmtree(folder)
    assert reading.seen[f"log.{form}"] == wanted


def test_a_file_that_was_renamed_is_not_a_new_one(tmp_path: Path) -> None:
    """Rotation inside the folder that is followed, also over a restart."""
    append(tmp_path / "log.jsonl", line(1) + b"\n")
    reading = Reading(lambda: jsonl(tmp_path))
    reading.look()
    append(tmp_path / "log.jsonl", line(2) + b"\n" + line(3))
    (tmp_path / "log.jsonl").rename(tmp_path / "log-1.jsonl")
    append(tmp_path / "log.jsonl", line(4) + b"\n")
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 2, 4, 3]}
    reading.restart()
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 2, 4, 3]}


def test_rotation_while_nobody_looked_is_made_up_for(tmp_path: Path) -> None:
    """S28: the old file is found by what it is."""
    append(tmp_path / "log.jsonl", line(1) + b"\n")
    reading = Reading(lambda: jsonl(tmp_path / "log.jsonl"))
    reading.look()
    append(tmp_path / "log.jsonl", line(2) + b"\n")
    (tmp_path / "log.jsonl").rename(tmp_path / "log.jsonl.1")
    append(tmp_path / "log.jsonl", line(3) + b"\n")
    reading.restart()
    reading.look()
    assert reading.seen == {"log.jsonl": [1, 2, 3]}


def rotated(path: Path, n: int) -> Path:
    """Rename a file to that number, and begin a new one with a row of it."""
    old = path.with_name(f"{path.name}.{n}")
    path.rename(old)
    append(path, line(10 * n) + b"\n")
    return old


def begun(tmp_path: Path, **more: Any) -> tuple[Path, Reading]:
    """A file with a row that was read."""
    path = tmp_path / "log.jsonl"
    append(path, line(1) + b"\n")
    reading = Reading(lambda: jsonl(path, **more))
    reading.look()
    return path, reading


@pytest.mark.parametrize("restarts", [False, True])
def test_what_a_writer_adds_to_the_file_before_is_read(tmp_path: Path, *, restarts: bool) -> None:
    """S26, S28: it goes on with it until it was told of the new one."""
    path, reading = begun(tmp_path)
    old = rotated(path, 1)
    append(old, line(2)[:5])
    for added in (line(2)[5:] + b"\n", line(3) + b"\n"):
        reading.look_later(3)
        if restarts:
            reading.restart()
        append(old, added)
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 2, 3]}


def test_the_file_before_is_followed_until_the_next_rotation(tmp_path: Path) -> None:
    """S26: also by a writer that sleeps longer than others; the last line may have no end."""
    path, reading = begun(tmp_path)
    old = rotated(path, 1)
    for n in (2, 3):
        append(old, line(n))
        reading.look_later()
        reading.restart()
    append(old, b"\n" + line(4) + b"\n")
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 2, 3, 4]}
    rotated(path, 2)
    for _ in range(2):
        reading.look_later()
    append(old, line(5) + b"\n")
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 2, 3, 4, 20]}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_file_that_was_read_may_be_removed_in_time(tmp_path: Path, *, restarts: bool) -> None:
    path, reading = begun(tmp_path)
    old = rotated(path, 1)
    reading.look_later()
    old.unlink()
    if restarts:
        reading.restart()
    append(path, line(11) + b"\n")
    reading.look_later()
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 11]}
    assert [file["old"] for file in reading.positions.values()] == [[]]


def test_a_file_removed_while_its_writer_may_go_on_is_told(tmp_path: Path) -> None:
    """S26: nobody knows whether it had more rows; who sets rows aside finds that there."""
    path, reading = begun(tmp_path)
    old = rotated(path, 1)
    reading.look_later(3)
    old.unlink()
    reading.restart()
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, "bad "]}
    reading.make = lambda: jsonl(path, on_malformed="error")
    reading.positions["log.jsonl"]["old"] = []
    old = rotated(path, 2)
    reading.look()
    old.unlink()
    reading.restart()
    with pytest.raises(et.SourceError, match=r"up to byte .* is gone\n.*\n.*delaycompress"):
        reading.look()


def test_an_open_file_is_read_when_it_has_no_name_any_more(tmp_path: Path) -> None:
    """S26: compressed as soon as it was renamed, while its writer goes on with it."""
    path, reading = begun(tmp_path)
    old = rotated(path, 1)
    with old.open("ab", buffering=0) as writer:
        reading.look()
        old.unlink()
        writer.write(line(2) + b"\n")
        reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 2]}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    "names",
    [("1", "2", "3"), ("3", "2", "1"), ("20260101", "20260102", "20260103T04"), ("2", "1", "old")],
)
def test_files_that_came_and_went_between_two_looks_are_read(
    tmp_path: Path, names: tuple[str, ...], *, restarts: bool
) -> None:
    """S28: rotated three times while nobody looked, whatever the names."""
    path, reading = begun(tmp_path)
    before = path.with_name("log.jsonl.0")
    append(before, line(0) + b"\n")
    os.utime(before, ns=(0, 0))
    append(path.with_name("log.jsonl.audit"), line(7) + b"\n")
    for n, name in enumerate(names, start=1):
        path.rename(path.with_name(f"log.jsonl.{name}"))
        append(path, line(10 * n) + b"\n")
        # The clock of files is coarse, and names do not say which of 1 and 3 is the older.
        os.utime(path, ns=(2 * 10**18 + n, 2 * 10**18 + n))
    if restarts:
        reading.restart()
    reading.look()
    assert reading.seen == {"log.jsonl": [1, 10, 20, 30]}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("name", ["log.jsonl.bak", "log.jsonl~", "log-2026-01-01.jsonl"])
def test_a_copy_of_the_file_before_is_not_in_between(
    tmp_path: Path, name: str, *, is_late: bool, restarts: bool
) -> None:
    """S28: a backup, made before the rotation or after it, holds no row that was not read."""
    path, reading = begun(tmp_path)
    if not is_late:
        shutil.copy(path, tmp_path / name)
    path.rename(tmp_path / "log.jsonl.1")
    if is_late:
        shutil.copy(tmp_path / "log.jsonl.1", tmp_path / name)
    append(path, line(10) + b"\n")
    if restarts:
        reading.restart()
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10]}


def test_a_copy_of_a_file_read_long_ago_is_not_in_between(tmp_path: Path) -> None:
    """The current file had no row since the copy was made."""
    path, reading = begun(tmp_path)
    path.rename(tmp_path / "log.jsonl.1")
    append(path, line(10) + b"\n")
    reading.look_later()
    shutil.copy(tmp_path / "log.jsonl.1", tmp_path / "log-2026-01-01.jsonl")
    (tmp_path / "log.jsonl.1").rename(tmp_path / "log.jsonl.2")
    path.rename(tmp_path / "log.jsonl.1")
    append(path, line(20) + b"\n")
    reading.look_later()
    assert reading.seen == {"log.jsonl": [1, 10, 20]}


def test_files_that_are_partitions_of_their_own_are_not_in_between(tmp_path: Path) -> None:
    append(tmp_path / "log.jsonl", line(1) + b"\n")
    reading = Reading(lambda: jsonl(tmp_path))
    reading.look()
    for n in (1, 2):
        (tmp_path / "log.jsonl").rename(tmp_path / f"log-{n}.jsonl")
        append(tmp_path / "log.jsonl", line(10 * n) + b"\n")
    for _ in range(2):
        reading.look()
    assert reading.seen == {"log.jsonl": [1, 20], "log-2.jsonl": [10]}


def test_files_that_may_be_gone_between_two_looks_are_an_error(tmp_path: Path) -> None:
    """S26: only one is kept, so the one read last was removed by the rotation after it."""
    path, reading = begun(tmp_path)
    for n in (1, 2):
        path.rename(tmp_path / "log.jsonl.1")
        append(path, line(10 * n) + b"\n")
    with pytest.raises(et.SourceError, match=r"1 file followed \(log.jsonl.1\), others may be"):
        reading.look()


@pytest.mark.parametrize("is_renamed", [False, True])
def test_a_path_that_leads_nowhere_after_a_restart_is_waited_for(
    tmp_path: Path, *, is_renamed: bool
) -> None:
    """S28: what comes there is the next file if the one before is found."""
    path, reading = begun(tmp_path)
    append(path, line(2) + b"\n")
    path.rename(tmp_path / "log.jsonl.1")
    if not is_renamed:
        (tmp_path / "log.jsonl.1").unlink()
    reading.restart()
    reading.look()
    append(path, line(3) + b"\n")
    if is_renamed:
        reading.look()
        assert reading.seen == {"log.jsonl": [1, 2, 3]}
    else:
        # The new file may have got the place of the old one on the disk.
        with pytest.raises(et.SourceError, match=r"is gone|other ones now|and now has"):
            reading.look()
