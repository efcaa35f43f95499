"""Files that grow and folders that get new ones: whole lines, restarts, changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from eventtime.sources.feed import Arrived, Found, Left
from live.sources.growing_files import TYPES, Reading, append, csv, jsonl, line, source
from live.sources.waiting import taken_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.sources.feed import News
    from eventtime.sources.followed_files import FollowedFiles


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, line(1) + b"\n" + line(2)[:7])
    reading = Reading(lambda: jsonl(path))
    reading.look()
    assert reading.seen == {"a.jsonl": [1]}
    append(path, line(2)[7:])
    reading.look()
    assert reading.seen == {"a.jsonl": [1]}
    append(path, b"\n")
    reading.look()
    assert reading.seen == {"a.jsonl": [1, 2]}


@pytest.mark.parametrize("size", [9, 3, 2])
def test_a_file_written_anew_is_an_error_whatever_its_size(tmp_path: Path, size: int) -> None:
    """S26: `copytruncate`, and as many bytes as before or more when somebody looks again."""
    path = tmp_path / "log.jsonl"
    append(path, b"".join(line(n) + b"\n" for n in (1, 4)))
    reading = Reading(lambda: jsonl(path))
    reading.look()
    path.write_bytes(b"".join(line(7) + b"\n" for n in range(size)))
    os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    with pytest.raises(et.SourceError, match="bytes are other ones now"):
        reading.look()


def test_a_file_that_begins_as_before_is_known_by_what_was_read_last(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    banner = line(1) + b" " * 2_000 + b"\n"
    append(path, banner + line(4) + b"\n")
    reading = Reading(lambda: jsonl(path))
    reading.look()
    path.write_bytes(banner + line(7) + b"\n" + line(8) + b"\n")
    with pytest.raises(et.SourceError, match=r"before byte .* are other ones now"):
        reading.look()


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append(path, line(1) + b"\n" + line(2) + b"\n")
    reading = Reading(lambda: jsonl(path))
    reading.look()
    path.write_bytes(b"")
    with pytest.raises(et.SourceError, match="had been read up to byte"):
        reading.look()
    append(path, b"{")
    with pytest.raises(et.SourceError, match="and now has 1"):
        reading.restart()


def test_other_contents_and_a_lost_old_file_are_errors(tmp_path: Path) -> None:
    """S28: nothing is read on from a place that means nothing."""
    path = tmp_path / "log.jsonl"
    append(path, line(1) + b"\n")
    reading = Reading(lambda: jsonl(path))
    reading.look()
    with path.open("r+b") as file:
        file.write(line(9))
    with pytest.raises(et.SourceError, match="bytes are other ones now"):
        reading.restart()
    path.unlink()
    append(tmp_path / "other", b"")  # takes the place of the old one on the disk
    append(path, line(2) + b"\n")
    with pytest.raises(et.SourceError, match=r"is gone|other ones now|and now has"):
        reading.restart()


def test_a_folder_in_place_of_the_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    append(path, line(1) + b"\n")
    reading = Reading(lambda: jsonl(path))
    reading.look()
    path.unlink()
    path.mkdir()
    with pytest.raises(et.SourceError, match="cannot be read: Is a directory") as raised:
        reading.look()
    assert raised.value.place == str(path)


def test_a_file_in_place_of_the_folder_leaves_it_quiet(tmp_path: Path) -> None:
    """As a folder that is gone: what was read of its files stays."""
    folder = tmp_path / "logs"
    folder.mkdir()
    append(folder / "a.jsonl", line(1) + b"\n")
    reading = Reading(lambda: jsonl(folder))
    reading.look()
    (folder / "a.jsonl").unlink()
    folder.rmdir()
    folder.touch()
    reading.readers["a.jsonl"].read()
    assert reading.seen == {"a.jsonl": [1]}


def test_a_file_that_may_not_be_read_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permission may be lost while the run is down, or its disk fail."""
    path = tmp_path / "a.jsonl"
    append(path, line(1) + b"\n")

    def refused(*given: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("eventtime.sources.open_files.FileIO", refused)
    with pytest.raises(et.SourceError, match="cannot be read: Permission denied") as raised:
        Reading(lambda: jsonl(path)).look()
    assert raised.value.place == str(path)


def test_a_csv_goes_on_with_its_own_header(tmp_path: Path) -> None:
    """S28: columns in another order than the schema's."""
    path = tmp_path / "a.csv"
    append(path, b'x,t\n"",1\nb,2\nc')
    reading = Reading(lambda: csv(path))
    reading.look()
    reading.restart()
    append(path, b",3\n")
    reading.look()
    assert reading.seen == {"a.csv": [1, 2, 3]}


def test_a_header_without_a_column_is_an_error(tmp_path: Path) -> None:
    append(tmp_path / "a.csv", b"t,x\n1,a\n")
    append(tmp_path / "b.csv", b"t,y")
    reading = Reading(lambda: csv(tmp_path))
    append(tmp_path / "b.csv", b"\n1,2\n")
    with pytest.raises(et.SchemaError, match="has no column 'x'"):
        reading.look()


def test_files_of_a_folder_are_one_partition_in_the_order_of_their_names(tmp_path: Path) -> None:
    """A later name says that the one before is whole, its last line too."""
    append(tmp_path / "1.jsonl", line(1) + b"\n" + line(2))
    reading = Reading(lambda: jsonl(tmp_path, partition_by="folder"))
    reading.look()
    assert reading.seen == {tmp_path.name: [1]}
    append(tmp_path / "2.jsonl", line(3) + b"\n")
    reading.look()
    reading.restart()
    append(tmp_path / "2.jsonl", line(4) + b"\n")
    reading.look()
    assert reading.seen == {tmp_path.name: [1, 2, 3, 4]}
    append(tmp_path / "0.jsonl", line(0) + b"\n")
    with pytest.raises(et.SourceError, match=r"'0.jsonl' came when '2.jsonl' had been begun"):
        reading.look()


def test_a_file_of_a_folder_that_grows_behind_a_later_one_is_an_error(tmp_path: Path) -> None:
    """S26: its writer was late, and nobody reads those rows any more."""
    append(tmp_path / "1.jsonl", line(1) + b"\n")
    reading = Reading(lambda: jsonl(tmp_path, partition_by="folder"))
    append(tmp_path / "2.jsonl", line(2) + b"\n")
    for _ in range(2):
        reading.look()
    append(tmp_path / "1.jsonl", line(3) + b"\n")
    with pytest.raises(et.SourceError, match=r"'1.jsonl' grew after '2.jsonl' had been begun"):
        reading.look()


def write(path: Path, *numbers: int) -> None:
    table = pa.table({"t": pa.array(numbers, pa.int64()), "x": ["x"] * len(numbers)})
    hidden = path.with_name(f".{path.name}.tmp")
    pq.write_table(table, hidden)
    hidden.rename(path)


@pytest.mark.parametrize("by", ["file", "folder"])
def test_whole_files_are_read_once_they_have_their_names(tmp_path: Path, by: str) -> None:
    """S28: hidden ones are left out; a restart anywhere doubles nothing."""
    (tmp_path / ".3.parquet").write_bytes(b"half of")
    (tmp_path / "4.parquet.part").write_bytes(b"half of")

    def make() -> FollowedFiles:
        more: Any = {"partition_by": by, "schema": TYPES, "follow": True}
        return source(et.read_parquet(tmp_path, time="t", time_unit="s", **more))

    reading = Reading(make)
    reading.look()
    assert reading.seen == {}
    for n in range(1, 4):
        write(tmp_path / f"{n}.parquet", 2 * n, 2 * n + 1)
        reading.look()
        reading.restart()
        reading.look()
    assert sorted(n for rows in reading.seen.values() for n in rows) == [2, 3, 4, 5, 6, 7]
    assert len(reading.seen) == (3 if by == "file" else 1)


def test_a_file_with_other_columns_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", 1)
    stream = et.read_parquet(tmp_path, time="t", time_unit="s", follow=True, partition_by="folder")
    reading = Reading(lambda: source(stream))
    reading.look()
    pq.write_table(pa.table({"t": [1], "y": [2]}), tmp_path / "2.parquet")
    with pytest.raises(et.SchemaError, match="column 'x'"):
        reading.look()


def has(kind: type, *names: str) -> Callable[[list[News]], bool]:
    def looked(news: list[News]) -> bool:
        told = {getattr(item, "partition", None) for item in news if isinstance(item, kind)}
        return set(names) <= told

    return looked


def test_new_files_are_found_while_running_and_leave_when_read(tmp_path: Path) -> None:
    """S8: the watermark does not go to its end when all files of now have been read."""
    write(tmp_path / "1.parquet", 1)
    feed = source(et.read_parquet(tmp_path, time="t", time_unit="s", follow=True)).follow(
        None, None, et.SystemClock()
    )
    assert list(feed.known) == ["1.parquet"]
    feed.start(lambda: None)
    taken_until(feed, has(Left, "1.parquet"))
    write(tmp_path / "2.parquet", 2)
    news = taken_until(feed, has(Left, "2.parquet"))
    assert Found("2.parquet") in news
    assert has(Arrived, "2.parquet")(news)
    assert not feed.is_over
    feed.close()


def test_a_run_over_a_growing_file_is_a_replay_of_it(tmp_path: Path) -> None:
    """S4, S28: stopped in the middle and gone on with."""
    path = tmp_path / "in.jsonl"
    whole = [line(n) + b"\n" for n in range(0, 400, 7)]

    def windows(*, follow: bool) -> et.WindowedStream:
        read = et.read_json_lines(path, time="t", time_unit="s", follow=follow)
        return read.watermark(et.ascending()).window(et.tumbling("1m"))

    path.write_bytes(b"".join(whole[:30]))
    seen = [0]

    def run(rows: int, **more: Any) -> et.Run:
        def watch(report: et.ProgressReport) -> None:
            seen[0] = report.rows

        live = windows(follow=True).aggregate(n=et.count())
        return live.run(
            checkpoint=tmp_path / "state", progress=watch, stop=lambda: seen[0] >= rows, **more
        )

    run(30)
    append(path, b"".join(whole[30:]))
    ran = run(len(whole), drain=True)
    ran.assert_balanced()
    assert ran.table().equals(windows(follow=False).aggregate(n=et.count()).run().table())


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("a.jsonl.gz", {}, "is compressed"),
        ("a.jsonl", {"partition_by": et.by_column("x")}, "needs all values"),
        ("a.jsonl", {"follow": 1}, "neither True nor False"),
    ],
)
def test_what_cannot_be_followed_is_refused(name: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(et.PlanError, match=says):
        et.read_json_lines(name, time="t", **{"follow": True, **more})


def test_columns_must_be_known(tmp_path: Path) -> None:
    """An empty folder, and a file of which no line is whole."""
    append(tmp_path / "a.jsonl", line(1))
    with pytest.raises(et.SourceError, match="no row yet that tells the columns"):
        source(et.read_json_lines(tmp_path, time="t", follow=True)).schema()
    with pytest.raises(et.PlanError, match="not there yet"):
        et.read_parquet(tmp_path, time="t", schema=TYPES)
