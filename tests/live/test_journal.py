"""Journals: what a live run did is done again over the same rows, to the byte."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

import eventtime as et
from engine_runs import CutSource, batch_of, watermarked, windowed
from eventtime.journal.entries import Read, Told, Turn
from eventtime.journal.file import JournalWriter, LocalJournal, stored
from eventtime.sources.feed import Ended, Heartbeat, Stands
from eventtime.testing.simulation.disk import SimulatedDisk
from live.script import SCHEMA, Script, rows
from live.tape import Waits
from live.test_following import counted
from live.test_following import run as run_script
from live.test_live_properties import (
    Lives,
    Story,
    assert_same_run,
    at_once,
    cut_stories,
    lives,
    run,
    tape_of,
)

if TYPE_CHECKING:
    from live.tape import Event


def copy_of(story: Story) -> et.Stream:
    """The pipeline of a story over a copy of its rows, in batches of seven."""
    kept: dict[str, list[Any]] = {name: [] for name in "abcd"}
    for _, name, what in story.events:
        if isinstance(what, list):
            kept[name] += what
    batches = {
        name: [batch_of(told[i : i + 7]) for i in range(0, max(len(told), 1), 7)]
        for name, told in kept.items()
    }
    marked = watermarked(et.Stream.read(CutSource(batches)), story.spec, max_ahead=story.max_ahead)
    return windowed(marked, story.spec)


@given(cut_stories())
@settings(max_examples=max(1, settings().max_examples // 2))
def test_a_journal_gives_the_same_bytes(case: tuple[Story, list[Event], int]) -> None:
    """S4, S6, S11, S28: results, late and quarantined rows, the ledger; any cuts, any shards."""
    story, events, shards = case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.journal")
        ran, _ = at_once(story, events, journal=path)
        again = et.replay_journal(copy_of(story), path, shards=shards)
    assert again.is_finished
    assert_same_run(again, ran)


@given(lives())
@settings(max_examples=max(1, settings().max_examples // 6))
def test_a_journal_over_several_processes_is_that_of_one_run(lives: Lives) -> None:
    """S6, S28: downtime is no silence, and who left meanwhile holds nobody back."""
    story, tape = lives.story, tape_of(lives.story)
    waits = Waits(tape.clock, story.waits)
    with tempfile.TemporaryDirectory() as folder:
        where = et.checkpoints(Path(folder, "state"), every=None, every_rows=lives.every_rows)
        more: Any = {"checkpoint": where, "journal": Path(folder, "run.journal")}
        for turns in lives.stops:
            answers = iter([*[False] * (turns - 1), True])
            run(story, tape, waits, stop=partial(next, answers), **more)
        ran = run(story, tape, waits, **more)
        again = et.replay_journal(copy_of(story), more["journal"])
    assert_same_run(again, ran)


def script(*more: Any) -> Script:
    """Two partitions, one of which is told by a heartbeat only."""
    return Script(
        [
            (0, Stands("a", {"rows": 0})),
            (0, "a", rows(1, 5)),
            (1, Heartbeat("b", 12_000_000)),
            (2, "a", rows(25, 3)),
            *more,
            (4, Ended("a")),
            (4, Ended("b")),
        ],
        ("a", "b"),
    )


def kept(*batches: pa.RecordBatch) -> et.Stream:
    """The pipeline over a copy of the rows of partition a."""
    there = {"a": list(batches), "b": [rows()]}
    return counted(CutSource(there))  # type: ignore[arg-type]


def test_rows_are_counted_and_never_in_a_journal(tmp_path: Path) -> None:
    """A few bytes for each batch; heartbeats and positions are there, too."""
    path = tmp_path / "run.journal"
    ran = run_script(script(), journal=path)
    entries = stored(LocalJournal(path)).entries
    told = [entry.news for entry in entries if isinstance(entry, Told)]
    assert Stands("a", {"rows": 0}) in told
    assert Heartbeat("b", 12_000_000) in told
    assert [(read.partition, read.rows) for read in told if isinstance(read, Read)] == [
        ("a", 2), ("a", 2),
    ]  # fmt: skip
    again = et.replay_journal(kept(rows(1, 5, 25, 3)), path)
    assert_same_run(again, ran)
    assert again.side("late").num_rows == 1


def test_a_batch_costs_a_few_bytes(tmp_path: Path) -> None:
    """Of a batch a turn of its own: the turn, the batch, and the frame they are written in."""
    sizes = []
    for n in (10, 1_010):
        events: list[Any] = [(i, "a", rows(i)) for i in range(n)]
        path = tmp_path / f"{n}.journal"
        run_script(Script([*events, (n, Ended("a"))], ("a",)), journal=path)
        empty_turns = 4 * 9 * n  # ten turns a second of this clock, and nine are about nothing
        sizes.append(path.stat().st_size - empty_turns)
    assert (sizes[1] - sizes[0]) / 1_000 < 24


@pytest.mark.parametrize(
    ("batches", "what"),
    [
        ([rows()], "partition 'a' has 0 rows where the journal has 4"),
        ([rows(1, 5, 25)], "partition 'a' has 3 rows where the journal has 4"),
        ([rows(1, 5, 25, 4)], "rows 2 to 3 of partition 'a', counted from 0, are others"),
        ([rows(1, 5), rows(25, 3, x=2)], "rows 2 to 3 of partition 'a', counted from 0, are"),
    ],
)
def test_other_input_is_refused(tmp_path: Path, batches: list[pa.RecordBatch], what: str) -> None:
    path = tmp_path / "run.journal"
    run_script(script(), journal=path)
    with pytest.raises(et.JournalError, match=what):
        et.replay_journal(kept(*batches), path)


def test_a_value_inside_a_list_that_is_another_is_refused(tmp_path: Path) -> None:
    path, times = tmp_path / "run.journal", pa.array([1, 2, 3], pa.timestamp("s"))

    def pipeline(values: list[list[int]]) -> et.Stream:
        marked = et.from_arrow(pa.table({"t": times, "l": values}), time="t")
        windows = marked.watermark(et.ascending()).window(et.tumbling("1m"))
        return windows.aggregate(x=et.collect("l"))

    pipeline([[1], [2], [3]]).run(live=et.live(), journal=path)
    with pytest.raises(et.JournalError, match=r"rows 0 to 2 of partition .* are others"):
        et.replay_journal(pipeline([[100], [2], [300]]), path)


def test_rows_that_do_not_parse_count_apart(tmp_path: Path) -> None:
    """The two kinds arrive apart, so where one lies among the other is not known."""
    path, log = tmp_path / "run.journal", tmp_path / "log.jsonl"
    good, bad = '{"t": "2024-01-01T00:00:00"}\n', "not a row\n"

    def pipeline() -> et.Stream:
        lines = et.read_json_lines(log, time="t", on_malformed="quarantine")
        marked = lines.watermark(et.ascending())
        return marked.window(et.tumbling("10m")).aggregate(n=et.count())

    log.write_text(good + bad + good)
    pipeline().run(live=et.live(), journal=path)
    log.write_text(good + good)
    with pytest.raises(et.JournalError, match="has 0 malformed rows where the journal has 1"):
        et.replay_journal(pipeline(), path)
    log.write_text(good + "no row\n" + good)
    with pytest.raises(et.JournalError, match=r"malformed row 0 of partition .*, is another than"):
        et.replay_journal(pipeline(), path)


def test_another_pipeline_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    run_script(script(), journal=path)
    marked = et.Stream.read(script()).watermark(et.ascending())
    other = marked.window(et.tumbling("20s")).aggregate(n=et.count(), x=et.sum("x"))
    with pytest.raises(et.JournalError, match=r"of another pipeline(.|\n)*now: size 20s"):
        et.replay_journal(other, path)
    longer = marked.window(et.tumbling("10s"), allowed_lateness="1s")
    with pytest.raises(et.JournalError, match=r"allowed lateness: 0s\n    now: 1s\n  at"):
        et.replay_journal(longer.aggregate(n=et.count(), x=et.sum("x")), path)


def test_what_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with pytest.raises(et.JournalError, match="is no journal"):
        run_script(script(), journal=path)
    assert path.read_text() == "my notes"
    with pytest.raises(et.JournalError, match=r"there is no file '.*none\.journal'"):
        et.replay_journal(kept(rows(1)), tmp_path / "none.journal")
    (tmp_path / "old.journal").write_bytes(b"ETJ1" + bytes(20))
    with pytest.raises(et.JournalError, match="is of format 1, not 2"):
        et.replay_journal(kept(rows(1)), tmp_path / "old.journal")
    (tmp_path / "empty.journal").touch()
    with pytest.raises(et.JournalError, match="tells of no run"):
        et.replay_journal(kept(rows(1)), tmp_path / "empty.journal")
    with pytest.raises(et.PlanError, match="no place for a journal"):
        run_script(script(), journal=3)


def test_what_was_torn_is_told_and_cut(tmp_path: Path) -> None:
    """A process that is killed leaves a journal as far as its last whole turn."""
    path = tmp_path / "run.journal"
    ran = run_script(script(), journal=path)
    whole = path.read_bytes()
    for length in range(len(whole) - 9, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.warns(RuntimeWarning, match=r"the last \d+ bytes? of the journal"):
            again = et.replay_journal(kept(rows(1, 5, 25, 3)), path)
        assert not again.is_finished or again.table().equals(ran.table())
    with pytest.warns(RuntimeWarning, match="are cut away"):
        run_script(script(), journal=path)
    assert_same_run(et.replay_journal(kept(rows(1, 5, 25, 3)), path), ran)


def test_damage_is_no_torn_tail(tmp_path: Path) -> None:
    """A frame that is as long as it says was whole once; so was one with a whole one behind it."""
    path, again = tmp_path / "run.journal", kept(rows(1, 5, 25, 3))
    run_script(script(), journal=path)
    whole = path.read_bytes()
    ends = frame_ends(whole)
    last = ends[-2]
    assert ends[-1] == len(whole)
    lengths = [4, last, ends[-3]]  # where the lengths of some frames stand
    for at, place in [
        (20, 4), (len(whole) - 1, last), (last + 5, last),  # contents, and a checksum
        *((length + byte, length) for length in lengths for byte in range(4)),
    ]:  # fmt: skip
        data = bytearray(whole)
        data[at] ^= 0x40
        path.write_bytes(data)
        with pytest.raises(et.JournalError, match=f"damaged at byte {place:,} of {len(whole):,}"):
            et.replay_journal(again, path)
        with pytest.raises(et.JournalError, match="is damaged at byte"):
            run_script(script(), journal=path)
        assert path.read_bytes() == bytes(data)


def test_zeros_at_the_end_are_what_a_machine_that_failed_has_left(tmp_path: Path) -> None:
    """The file had grown when the power went, and its last bytes were not there yet."""
    path = tmp_path / "run.journal"
    ran = run_script(script(), journal=path)
    path.write_bytes(path.read_bytes() + bytes(4_000))
    with pytest.warns(RuntimeWarning, match="the last 4,000 bytes"):
        assert_same_run(et.replay_journal(kept(rows(1, 5, 25, 3)), path), ran)


def test_half_a_frame_with_zeros_behind_it_is_torn(tmp_path: Path) -> None:
    """When the power went the file had grown, and of its data the first sectors were written."""
    path = tmp_path / "run.journal"
    events: list[Any] = [(i / 10, "a", rows(i)) for i in range(150)]
    run_script(Script([*events, (20, Ended("a"))], ("a",)), journal=path)
    whole, file = path.read_bytes(), LocalJournal(path)
    ends = frame_ends(whole)
    halves = [at for at in range(2_048, len(whole), 512) if at not in ends]
    assert len(halves) > 3
    for at in halves:
        path.write_bytes(whole[:at] + bytes(len(whole) - at))
        found, last = stored(file), max(end for end in ends if end < at)
        assert (found.length, found.torn) == (last, len(whole) - last)
    # Where what is behind zeros was written, something else has damaged them.
    for damaged in (whole[: halves[-1]] + bytes(600) + b"x", whole[:-30] + bytes(29) + whole[-1:]):
        path.write_bytes(damaged)
        with pytest.raises(et.JournalError, match="is damaged at byte"):
            stored(file)


def test_whatever_a_crash_of_the_machine_leaves_of_a_journal_is_torn() -> None:
    """S28: of what was not synced some first sectors may be there, and zeros behind them."""
    disk = SimulatedDisk()
    writer = JournalWriter(LocalJournal("/journal", disk))
    turns = [Turn(1_000 * i) for i in range(170)]
    for turn in turns:
        writer.add(turn)
        writer.flush(durable=turn is turns[20])
    found = {
        len(stored(LocalJournal("/journal", state)).entries)
        for state in disk.crashed()
        if "/journal" in state.contents()
    }
    assert min(found) == 21
    assert max(found) == len(turns)
    assert len(found) > 3


def frame_ends(data: bytes) -> list[int]:
    """Where the frames of a journal end; its magic first."""
    ends = [4]
    while ends[-1] < len(data):
        ends.append(ends[-1] + 8 + int.from_bytes(data[ends[-1] : ends[-1] + 4], "little"))
    return ends


def test_a_run_that_fails_is_told_as_far_as_it_came(tmp_path: Path) -> None:
    """The turn in which it failed had no result, so it is not in the journal."""
    path, seen = tmp_path / "run.journal", []

    def failing(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append(batch.num_rows)
        if 25_000_000 in batch.column("t").cast(pa.int64()).to_pylist():
            msg = "as it happens"
            raise ValueError(msg)
        return batch

    def pipeline(source: Any) -> et.Stream:
        marked = et.Stream.read(source).map_batches(failing, schema=SCHEMA)
        windows = marked.watermark(et.ascending()).window(et.tumbling("10s"))
        return windows.aggregate(n=et.count())

    source = script()
    with pytest.raises(et.UserCodeError):
        run_script(source, pipeline(source), journal=path)
    again = et.replay_journal(pipeline(CutSource({"a": [rows(1, 5)], "b": [rows()]})), path)
    assert not again.is_finished
    assert again.ledger.total.windowed == 2


def test_a_replay_checks_that_its_rows_are_those_of_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    ran = kept(rows(1, 5), rows(25, 3)).run(journal=path)
    assert_same_run(et.replay_journal(kept(rows(1, 5, 25, 3)), path), ran)
    with pytest.raises(et.JournalError, match="partition 'a' has 3 rows where the journal has 4"):
        et.replay_journal(kept(rows(1, 5, 25)), path)


def test_a_file_that_grew_is_read_again(tmp_path: Path) -> None:
    """The real thing: threads, the machine's clock, lines written while it runs, one malformed."""
    path, log = tmp_path / "run.journal", tmp_path / "log.jsonl"

    def line(i: int) -> str:
        return "not a row\n" if i == 30 else f'{{"t": "2024-01-01T00:{i * 7 % 60:02}:00"}}\n'

    def pipeline() -> et.Stream:
        lines = et.read_json_lines(log, time="t", follow=True, on_malformed="quarantine")
        marked = lines.watermark(et.bounded_disorder("5m"), idle_after="1s")
        return marked.window(et.tumbling("10m")).aggregate(n=et.count())

    log.write_text("".join(map(line, range(20))))
    written = 20

    def stop() -> bool:
        nonlocal written
        with log.open("a") as file:
            file.write(line(written) if written < 60 else "")
        written += 1
        return written > 70

    ran = pipeline().run(live=et.live(latency="0s"), stop=stop, drain=True, journal=path)
    again = et.replay_journal(pipeline(), path)
    assert ran.side("late").num_rows > 5
    assert ran.ledger.total.malformed == 1
    assert_same_run(again, ran)
