"""Asking why: rows, late rows and windows by name, in words, on the command line."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import eventtime as et
from eventtime.cli.main import main
from eventtime.sources.feed import Ended, Found, Left, Silent
from eventtime.testing import Harness
from live.script import Script, rows
from live.test_following import counted
from live.test_following import run as run_script

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pa.table(
    {
        "t": pa.array([0, None, 70, 30, 65, 130, 75], pa.timestamp("s", "UTC")),
        "key": ["a", "a", "a", "a", "b", "a", "a"],
    }
)


def stream(**more: Any) -> et.Stream:
    marked = et.from_arrow(ROWS, time="t").watermark(et.ascending())
    windows = marked.key_by("key").window(et.tumbling("1m"), **more)
    return windows.aggregate(n=et.count())


def chain(source: et.Stream) -> et.Stream:
    """Two windows: the first sends a correction that is late for the second."""
    marked = source.watermark(et.ascending()).key_by("key")
    minutes = marked.window(et.tumbling("1m"), allowed_lateness="5m", mode="discarding")
    shown = minutes.aggregate(n=et.count()).filter(pc.field("n") < 3).key_by("key")
    return shown.window(et.tumbling("2m")).aggregate(total=et.sum("n"))


LATER = pa.table(
    {
        "t": pa.array([5, 70, 70, 70, 130, 260, 5, 700], pa.timestamp("s", "UTC")),
        "key": ["a", "b", "b", "b", "a", "a", "a", "a"],
    }
)


def test_a_late_row_is_named_by_its_number_or_as_late() -> None:
    """S18, S20: the watermark, who set it, and by how much it was missed."""
    why = et.explain_row(stream(), partition="memory", row=3)
    assert why == et.explain_row(stream(), late=0)
    assert (why.verdict, why.watermark_us, why.late_by_us) == ("late", 70_000_000, 10_000_000)
    assert why.set_by == "row 2 of partition 'memory'"
    assert why.standing.held_by == "memory"
    assert "late by 10 s: it missed 1 of 1 window" in str(why)
    assert why.late["reason"] == "beyond_lateness"


def test_a_row_in_time_and_one_at_the_door_say_so() -> None:
    """S12, S19, S21."""
    assert "in time: its windows were open" in str(
        et.explain_row(stream(), partition="memory", row=0)
    )
    why = et.explain_row(stream(), partition="memory", row=1)
    assert (why.verdict, why.windows) == ("null_time", ())
    assert "it has no event time" in str(why)
    late = et.explain_row(stream(allowed_lateness="1m"), partition="memory", row=3)
    assert (late.verdict, late.windows[0].state) == ("windowed", "closed")
    assert "it corrects a window that had fired" in str(late)


def test_before_the_first_row_nobody_had_been_heard() -> None:
    """S5: so the watermark was minus infinity, and that of the partition too."""
    why = str(et.explain_row(stream(), partition="memory", row=0))
    assert (
        "  held back by         nobody: no partition had been heard, so the watermark was still"
        " minus infinity\n    'memory' at the beginning of time\n"
    ) in why


def test_rows_count_as_the_source_has_them() -> None:
    """Filters in front of the watermark leave rows out, and their numbers stay."""
    kept = et.from_arrow(ROWS, time="t").filter(pc.field("key") == "a").watermark(et.ascending())
    filtered = kept.window(et.tumbling("1m")).aggregate(n=et.count())
    assert et.explain_row(filtered, partition="memory", row=5).time_us == 130_000_000
    with pytest.raises(et.PlanError, match="row 4 of partition 'memory' did not come"):
        et.explain_row(filtered, partition="memory", row=4)


def test_a_window_tells_its_life() -> None:
    """S18, S21: opened, extended, fired, corrected, gone, missed."""
    why = et.explain_window(stream(allowed_lateness="15s"), 0, "a")
    assert (why.rows, why.missed) == ((("memory", 0), ("memory", 3)), ())
    assert [fired.result["version"] for fired in why.fired] == [1, 2]
    assert why.fired[0].by == "row 2 of partition 'memory'"
    assert why.expired_by == "row 5 of partition 'memory'"
    text = str(et.explain_window(stream(), 60_000_000, "a"))
    assert text == str(et.explain_window(stream(), "1970-01-01T00:01:00Z", "a"))
    assert "opened    by row 2 of partition 'memory'" in text
    assert "missed    by row 6 of partition 'memory'" in text
    assert "never: no row came" in str(et.explain_window(stream(), 0, "z"))


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(et.PlanError, match="there is no late row 9: 2 late rows came"):
        et.explain_row(stream(), late=9)
    with pytest.raises(et.PlanError, match="no partition 'x' with rows"):
        et.explain_row(stream(), partition="x", row=0)
    with pytest.raises(et.PlanError, match="one row is to be named"):
        et.explain_row(stream())
    with pytest.raises(et.PlanError, match="of which partition is row 3"):
        et.explain_row(stream(), row=3)
    with pytest.raises(et.PlanError, match="no window starts at 1970-01-01T00:00:01Z"):
        et.explain_window(stream(), "1970-01-01T00:00:01Z", "a")
    with pytest.raises(et.PlanError, match="'noon' is no instant"):
        et.explain_window(stream(), "noon", "a")
    with pytest.raises(et.PlanError, match="no values of the key columns: key"):
        et.explain_window(stream(), 0)
    for key in (("a",), 5):
        with pytest.raises(et.PlanError, match="is no string, the type of 'key'"):
            et.explain_window(stream(), 0, key)


def test_a_key_may_be_given_as_its_column_takes_it() -> None:
    """Whole units for a time, bytes for a text; it is the same window."""
    rows = {
        "t": pa.array([5, 70], pa.timestamp("s", "UTC")),
        "day": pa.array([1, 1], pa.date32()),
        "at": pa.array([7, 7], pa.timestamp("s", "UTC")),
        "name": pa.array(["a", "a"]).dictionary_encode(),
    }
    marked = et.from_arrow(pa.table(rows), time="t").watermark(et.ascending())
    grouped = marked.key_by("day", "at", "name").window(et.tumbling("1m"))
    stream, at = grouped.aggregate(n=et.count()), datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
    told = et.explain_window(stream, 0, date(1970, 1, 2), at, "a")
    assert told.rows == (("memory", 0),)
    for key in ((1, 7, b"a"), (1, at.replace(tzinfo=None), "a")):
        assert et.explain_window(stream, 0, *key) == told


def test_a_later_operator_is_asked_by_its_name() -> None:
    """S25: its rows are the results of the one before; what a filter leaves out says so."""
    stream = chain(et.from_arrow(LATER, time="t"))
    late = stream.run().side("late_2").to_pylist()
    why = et.explain_row(stream, late=0, operator="window 2")
    assert why == et.explain_row(stream, row=3, operator="window 2")
    assert why == et.explain_row(stream, partition="window 1", row=3, operator="window 2")
    assert (why.verdict, why.late_by_us, [why.late]) == ("late", 120_000_000, late)
    assert (why.by, why.set_by) == ("row 7 of partition 'memory'", "row 5 of partition 'memory'")
    assert why.watermark_us == 240_000_000
    assert "before which window 1 sends nothing on time" in str(why)
    left_out = et.explain_row(stream, row=1, operator="window 2")
    assert (left_out.verdict, left_out.values["n"]) == ("filtered", 3)
    window = et.explain_window(stream, 0, "a", operator="window 2")
    assert (window.rows, window.missed) == ((("window 1", 0),), (("window 1", 3),))
    assert [fired.result["total"] for fired in window.fired] == [1]
    assert "opened    by row 0 of the results of window 1" in str(window)
    assert "of key 'a' of window 2" in str(window)
    assert "there is no late row 1" in refused(stream, late=1, operator="window 2")
    assert "window 1 has no result 9: 6 results came" in refused(stream, row=9, operator="window 2")
    assert "they are 'window 1', 'window 2'" in refused(stream, late=0, operator="window 3")
    assert "do not come to window 2" in refused(
        stream, partition="memory", row=0, operator="window 2"
    )


def refused(stream: et.Stream, **asked: Any) -> str:
    with pytest.raises(et.PlanError) as error:
        et.explain_row(stream, **asked)
    return str(error.value)


def test_the_first_of_two_windows_tells_its_own_results() -> None:
    """S21, S25: not those of the second, which may start at the same time."""
    window = et.explain_window(chain(et.from_arrow(LATER, time="t")), 0, "a")
    assert [(f.result["n"], f.result["version"]) for f in window.fired] == [(1, 1), (1, 2)]


class Both(et.ProcessFunction):
    """Hands rows on."""

    def on_row(self, context: Any, row: Any) -> None:
        context.emit(**row)


def test_a_process_function_has_rows_and_no_windows() -> None:
    """S25: windows behind one take what it sends, and windows in front of one hand over to it."""
    output = pa.schema({"t": pa.timestamp("s", "UTC"), "key": pa.string()})
    marked = et.from_arrow(ROWS, time="t").watermark(et.ascending()).key_by("key")
    sent = marked.process(Both(), output=output, time="t").key_by("key")
    stream = sent.window(et.tumbling("1m")).aggregate(n=et.count())
    with pytest.raises(et.PlanError, match=r"no windows(.|\n)*operator='window 2'"):
        et.explain_window(stream, 0, "a")
    why = et.explain_row(stream, late=0, operator="window 2")
    assert (why.partition, why.row, why.by) == ("process 1", 2, "row 3 of partition 'memory'")
    counts = marked.window(et.tumbling("1m")).aggregate(n=et.count()).key_by("key")
    kept = pa.schema({"key": pa.string(), "n": pa.int64()})
    last = counts.process(Both(), output=kept, columns=["key", "n"])
    given = et.explain_row(last, row=0, operator="process 2")
    assert (given.values["n"], given.in_words) == (1, "given to the process function")


def test_what_came_before_an_error_is_told(tmp_path: Path) -> None:
    """Of a replay and of a harness; without a first row there is nothing to tell."""
    times = pa.array([5, 65, 70, 75, 130], pa.timestamp("s", "UTC"))
    large = pa.table({"t": times, "x": [1, 2**62, 2**62, 1, 1]})

    def totals(source: et.Stream) -> et.Stream:
        windows = source.watermark(et.ascending()).window(et.tumbling("1m"))
        return windows.aggregate(x=et.sum("x"))

    pipeline = totals(et.from_arrow(large, time="t"))
    told = et.explain_window(pipeline, 60_000_000)
    assert told.rows == tuple(("memory", row) for row in (1, 2, 3))
    assert told.error.startswith("AggregateOverflowError: x = sum(x) is 9223372036854775809")
    lines = str(told).splitlines()
    assert lines[3] == "  fired     never: the run stopped"
    assert lines[-1] == f"  stopped   by an error: {told.error}"
    assert et.explain_window(pipeline, 0).fired[0].result["x"] == 1
    with Harness(pipeline) as harness:
        with pytest.raises(et.AggregateOverflowError):
            harness.push("a", large)
        assert harness.explain_window(60_000_000).error == told.error
    with pytest.raises(et.SourceError):
        et.explain_window(totals(et.read_csv(tmp_path / "none.csv", time="t")), 0)


def test_a_harness_explains_what_it_went_through() -> None:
    """S4, S28: as a replay of the same rows does; restarts do not show."""
    stream = chain(et.from_arrow(LATER.schema.empty_table(), time="t"))
    with Harness(stream, ["a", "b"], start="2024-01-01") as harness:
        harness.push("a", LATER.slice(0, 3))
        harness.advance_watermark("b", "1970-01-01T00:01:30Z")
        harness.restart()
        harness.finish("b")
        harness.push("a", LATER.slice(3))
        why = harness.explain_row(late=0, operator="window 2")
        assert (why.verdict, why.by) == ("late", "row 7 of partition 'a'")
        assert harness.explain_row("a", 3).set_by == "a heartbeat of partition 'b'"
        window = harness.explain_window("1970-01-01T00:00:00Z", "a")
        assert window.fired[0].by == "a heartbeat of partition 'b'"
        with pytest.raises(et.PlanError, match="no partition 'c'"):
            harness.explain_row("c", 0)
        saved = harness.snapshot()
    with (
        Harness.restore(stream, saved) as later,
        pytest.raises(et.PlanError, match="what came before the snapshot is not known"),
    ):
        later.explain_row("a", 0)


def test_a_partition_that_left_is_no_silent_one(tmp_path: Path) -> None:
    """S6, S20: it was given to somebody else, and came back."""
    events: list[Any] = [
        (0, "b", rows(1)),
        (0, "a", rows(25)),
        (1, Left("b")),
        (9, Found("b")),
        (9, "b", rows(3)),
        (10, Left("b")),
        (11, "a", rows(26)),
        (12, Ended("a")),
        (12, Ended("b")),
    ]
    script, path = Script(events, ("a", "b")), tmp_path / "run.journal"
    run_script(script, counted(script, idle_after="2s"), journal=path)
    kept: list[Any] = [(0, *event[1:]) for event in events if len(event) == 3]
    again = counted(Script(kept, ("a", "b")), idle_after="2s")
    why = et.explain_row(again, late=0, journal=path)
    assert (why.partition, why.row, why.set_by) == ("b", 1, "partition 'b', which left")
    assert "while that was with somebody else: it had left (idle_partition)" in str(why)
    window = et.explain_window(again, 0, journal=path)
    assert window.fired[0].by == window.expired_by == "partition 'b', which left"
    assert "left: it is with somebody else" in str(
        et.explain_row(again, partition="a", row=1, journal=path)
    )


def test_a_live_run_says_whose_silence_moved_the_watermark(tmp_path: Path) -> None:
    """S6: the partition that was silent comes back, and its row is late because of that."""
    events: list[Any] = [
        (0, "b", rows(1)),
        (0, "a", rows(25)),
        (1, Silent(["b"])),
        (9, "b", rows(3)),
        (10, Ended("a")),
        (10, Ended("b")),
    ]
    script, path = Script(events, ("a", "b")), tmp_path / "run.journal"
    ran = run_script(script, counted(script, idle_after="2s"), journal=path)
    assert ran.side("late").num_rows == 1
    kept: list[Any] = [(0, *event[1:]) for event in events if event[0] != 1]
    again = Script(kept, ("a", "b"))
    why = et.explain_row(counted(again, idle_after="2s"), late=0, journal=path)
    assert (why.partition, why.row) == ("b", 1)
    assert why.set_by == "the silence of partition 'b'"
    assert [state.is_idle for state in why.standing.partitions] == [False, True]
    assert why.late["reason"] == "idle_partition"
    assert "while that was silent (idle_partition)" in str(why)
    window = et.explain_window(counted(again, idle_after="2s"), 0, journal=path)
    assert window.fired[0].by == window.expired_by == "the silence of partition 'b'"


def test_the_command_line_asks_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    ask = ["explain-row", str(tmp_path / "rows.parquet"), "--time", "t", "--key", "key"]
    ask += ["--window", "1m", "--agg", "count()", "--ascending"]
    assert main([*ask, "--late", "0"]) == 0
    assert "late by 10 s" in capsys.readouterr().out
    assert main([*ask, "--partition", "rows.parquet", "--row", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "windowed"
    assert main([*ask, "--window-at", "1970-01-01T00:01:00Z", "--of", "b"]) == 0
    assert "opened    by row 4" in capsys.readouterr().out
    later = [*ask, "--operator", "window 2", "--late", "0"]
    assert main(later) == 2
    assert "they are 'window 1'" in capsys.readouterr().err
    assert main([*ask, "--window-at", "1970-01-01T00:01:00Z"]) == 2
    assert "--of VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ([], "--partition P and --row N, or --late N, or --window-at START"),
        (["--partition", "rows.parquet"], "--partition P and --row N"),
        (["--row", "0"], "add --partition P"),
    ],
)
def test_a_command_that_names_nothing_is_told_the_options(
    named: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    ask = ["explain-row", str(tmp_path / "rows.parquet"), "--time", "t", "--window", "1m"]
    assert main([*ask, "--agg", "count()", "--ascending", *named]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "options", "flag"),
    [
        ("p.py", "--window 1h --partition a --row 0", "--window"),
        ("p.py", "--row 0 --partition a --of b", "--of"),
        ("p.py", "--window-at 1970-01-01T00:01:00Z --row 0", "--row"),
        ("p.py", "--window-at 1970-01-01T00:01:00Z --late 0", "--late"),
        ("rows.parquet", "--name p --late 0", "--name"),
        ("p.py", "--late 0 --row 1", "--row"),
        ("p.py", "--late 0 --partition a", "--partition"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(
    file: str, options: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain-row", file, *options.split()]) == 2
    assert f"{flag} has no meaning" in capsys.readouterr().err
