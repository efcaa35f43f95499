"""The live loop on a clock moved by hand: who holds the watermark, is idle, is held back."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.sources.feed import Ended, Found, Heartbeat, Left, Silent, Stands, Unpolled
from live.probe import Probe
from live.script import Accepted, Alarm, Script, rows

if TYPE_CHECKING:
    from pathlib import Path


def counted(script: Script, **watermark: Any) -> et.Stream:
    marked = et.Stream.read(script).watermark(et.ascending(), **watermark)
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"))


def run(script: Script, stream: et.Stream | None = None, **more: Any) -> et.Run:
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    return (stream or counted(script)).run(live=live, **more)


def starts(table: pa.Table) -> list[float]:
    return [t.timestamp() for t in table.column("window_start").to_pylist()]


def rows_in(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM out").fetchone()[0])


def test_a_live_run_gives_what_a_replay_gives() -> None:
    """S4, S9: sources that end let every window fire."""
    script = Script(
        [
            (0, "a", rows(1, 5)),
            (1, "b", rows(2)),
            (2, "a", rows(25)),
            (3, "b", rows(31)),
            (4, Ended("a")),
            (4, Ended("b")),
        ],
        ("a", "b"),
    )
    ran = run(script)
    table = ran.table()
    assert list(zip(starts(table), table.column("n").to_pylist(), strict=True)) == [
        (0, 3), (20, 1), (30, 1),
    ]  # fmt: skip
    ran.assert_balanced()
    assert ran.is_finished


def test_a_silent_partition_falls_idle_after_its_time() -> None:
    """S6: only then do the others go on; late rows of the one that returns say why."""
    script = Script(
        [
            (0, "a", rows(1)),
            (0, Silent(["b"])),
            (1, "a", rows(25)),
            (4, "a", rows(26)),
            (7, "b", rows(3)),
            (8, Ended("a")),
            (8, Ended("b")),
        ],
        ("a", "b"),
    )
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, report.results))

    ran = run(script, counted(script, idle_after="5s"), progress=watch)
    first = next(second for second, results in seen if results)
    assert first == 5
    late = ran.side("late").to_pylist()
    assert [row["reason"] for row in late] == ["idle_partition"]


def test_time_in_which_nobody_polled_is_no_silence() -> None:
    """S6: unpolled from second 2 to second 10, so that 5 s of silence end at 13."""
    script = Script(
        [
            (0, "a", rows(25)),
            (0, Silent(["b"])),
            (2, Unpolled(["b"])),
            (10, Silent(["b"])),
            (20, Ended("a")),
            (20, Ended("b")),
        ],
        ("a", "b"),
    )
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, report.watermark_us))

    run(script, counted(script, idle_after="5s"), progress=watch)
    assert next(second for second, reached in seen if reached == 25_000_000) == 13


def test_a_partition_far_ahead_is_held_until_the_others_come() -> None:
    """Alignment: its rows stay in the feed, so that state does not pile up."""
    script = Script(
        [
            (0, "a", rows(1)),
            (0, "b", rows(1)),
            (1, "a", rows(100)),
            (2, "a", rows(200)),
            (5, "b", rows(95)),
            (6, "b", rows(210)),
            (7, Ended("a")),
            (7, Ended("b")),
        ],
        ("a", "b"),
    )
    ran = run(script, counted(script, max_ahead="30s"))
    assert {"a"} in script.heard
    assert starts(ran.table()) == [0, 90, 100, 200, 210]
    assert ran.side("late").num_rows == 0


def test_a_partition_found_while_running_starts_at_the_watermark() -> None:
    """S8: and counts from then on; one that left holds nobody back until it is found again."""
    script = Script(
        [
            (0, "a", rows(50)),
            (1, Found("b")),
            (2, "a", rows(80)),
            (3, "b", rows(61)),
            (4, Left("b")),
            (5, "a", rows(95)),
            (6, Found("b")),
            (7, "b", rows(99)),
            (8, Ended("a")),
            (8, Ended("b")),
        ],
        ("a",),
    )
    ran = run(script)
    assert starts(ran.table()) == [50, 60, 80, 90]
    assert ran.side("late").num_rows == 0


def test_where_a_partition_stands_is_saved_before_its_first_row(tmp_path: Path) -> None:
    """S27: or what came to a partition that began at its end would be passed over."""
    script = Script(
        [(0, Stands("b", {"rows": 0})), (0, "a", rows(1, 5)), (9, "a", rows(6))], ("a", "b")
    )
    run(script, checkpoint=tmp_path, stop=lambda: script.clock.now_us() >= 1_500_000)
    assert script.told[-1] == {"a": {"rows": 2}, "b": {"rows": 0}}


def test_a_run_that_is_suspended_goes_on_where_it_was(tmp_path: Path) -> None:
    """S9, S27, S28: nothing fires at the end of the first; results are those of one run."""
    events: list[Any] = [
        (0, "a", rows(1, 5)),
        (1, "a", rows(12)),
        (2, "a", rows(15)),
        (3, "a", rows(21)),
        (4, Ended("a")),
    ]
    whole = run(Script(events, ("a",))).table()

    first = Script(events, ("a",))
    stopped = run(first, checkpoint=tmp_path, stop=lambda: first.clock.now_us() >= 1_500_000)
    assert not stopped.is_finished
    assert first.told[-1] == {"a": {"rows": 3}}

    second = run(Script(events, ("a",)), checkpoint=tmp_path)
    assert second.table().equals(whole)
    second.assert_balanced()


def test_who_left_holds_nobody_back_from_then_on() -> None:
    """S5: also where no row comes any more; the slowest of the others says how far all are."""
    script = Script(
        [
            (0, "a", rows(50)),
            (0, "b", rows(1)),
            (1, Left("b")),
            (9, Ended("a")),
            (9, Ended("b")),
        ],
        ("a", "b"),
    )
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, report.watermark_us))

    run(script, progress=watch)
    assert next(second for second, reached in seen if reached == 50_000_000) == 1


def watermark_at(script: Script, second: int) -> int:
    """The watermark in seconds at a second of the clock, with flush_max."""
    seen: dict[int, int] = {}

    def watch(report: et.ProgressReport) -> None:
        seen[script.clock.now_us() // 1_000_000] = report.watermark_us // 1_000_000

    run(script, counted(script, idle_after="5s", all_idle="flush_max"), progress=watch)
    return seen[second]


def test_flush_max_counts_who_left_with_the_silent_and_waits_while_all_have_left() -> None:
    """S7: b goes while a is silent; and both go, as when a group shares its partitions anew."""
    begin: list[Any] = [(0, "a", rows(1, 8)), (0, "b", rows(15))]
    end: list[Any] = [(20, Ended("a")), (20, Ended("b"))]
    silent: list[Any] = [(0, Silent(["a"])), (10, Left("b"))]
    assert watermark_at(Script([*begin, *silent, *end], ("a", "b")), 12) == 15
    gone: list[Any] = [(1, Left("b")), (1, Left("a"))]
    assert watermark_at(Script([*begin, *gone, *end], ("a", "b")), 12) == 8


def test_who_was_held_back_still_is_after_a_restart(tmp_path: Path) -> None:
    """S28: what waits in the feed does not slip in first."""
    events: list[Any] = [
        (0, "a", rows(1)),
        (0, "b", rows(100)),
        (1, "b", rows(200)),
        (5, "a", rows(95)),
        (6, Ended("a")),
        (6, Ended("b")),
    ]
    first = Script(events, ("a", "b"))
    held = counted(first, max_ahead="30s")
    run(first, held, checkpoint=tmp_path, stop=lambda: first.clock.now_us() >= 2_000_000)
    second = Script(events, ("a", "b"))
    run(second, counted(second, max_ahead="30s"), checkpoint=tmp_path)
    assert second.heard[0] == {"b"}


def test_what_is_to_arrive_at_least_once_does_so_before_the_checkpoint(tmp_path: Path) -> None:
    events: list[Any] = [(0, "a", rows(1)), (1, "a", rows(12)), (60, Ended("a"))]
    script = Script(events, ("a",))
    sink = et.to_sqlite(tmp_path / "out.db", table="out", delivery="at_least_once")
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, rows_in(tmp_path / "out.db")))

    checkpoint = et.checkpoints(tmp_path / "state", every="30s")
    run(script, sink=sink, checkpoint=checkpoint, progress=watch)
    assert next(second for second, n in seen if n) == 1


def test_without_checkpoints_results_are_committed_as_they_come(tmp_path: Path) -> None:
    events: list[Any] = [(0, "a", rows(1)), (1, "a", rows(12)), (60, Ended("a"))]
    script = Script(events, ("a",))
    sink = et.to_sqlite(tmp_path / "out.db", table="out")
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, rows_in(tmp_path / "out.db")))

    run(script, sink=sink, progress=watch)
    assert next(second for second, n in seen if n) == 1
    assert rows_in(tmp_path / "out.db") == 2


def test_a_run_without_checkpoints_can_be_drained() -> None:
    """S9: all input is taken as ended, and every window fires."""
    script = Script([(0, "a", rows(1)), (1, "a", rows(12)), (60, Ended("a"))], ("a",))
    ran = run(script, stop=lambda: script.clock.now_us() >= 5_000_000, drain=True)
    assert (ran.is_finished, starts(ran.table())) == (True, [0, 10])
    assert script.clock.now_us() < 6_000_000


def test_a_run_without_checkpoints_is_not_suspended() -> None:
    script = Script([(0, "a", rows(1))], ("a",))
    with pytest.raises(et.PlanError, match="its work would be lost"):
        run(script, stop=lambda: True)


class Above(et.ProcessFunction):
    """Lets rows through that are above the limit told last."""

    limit = et.broadcast_state(pa.string(), pa.int64())

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        if row["x"] > self.limit.get("limit", 0):
            ctx.emit(x=row["x"])

    def on_broadcast(self, ctx: Any, name: str, row: dict[str, Any]) -> None:
        self.limit["limit"] = row["x"]


def above(script: Script, told: et.Stream) -> et.Stream:
    output = pa.schema([("x", pa.int64())])
    marked = et.Stream.read(script).watermark(et.ascending())
    return marked.key_by("x").process(Above(), output=output, broadcast={"limits": told})


def test_a_live_broadcast_stream_changes_what_comes_after_it(tmp_path: Path) -> None:
    """S9, S28: also when the run was suspended in between; what is told is not told twice."""
    events: list[Any] = [
        (0, "a", rows(1, x=5)),
        (2, "a", rows(12, x=5)),
        (4, "a", rows(25, x=9)),
        (5, "a", rows(26, x=5)),
        (6, Ended("a")),
    ]
    told: list[Any] = [(1, "r", rows(10, x=6))]
    first = Script(events, ("a",))
    stream = above(first, et.Stream.read(Script(told, ("r",), first.clock)))
    halted = run(first, stream, checkpoint=tmp_path, stop=lambda: first.clock.now_us() >= 3_000_000)
    assert halted.table().column("x").to_pylist() == [5, 5]
    again = Script(events, ("a",))
    stream = above(again, et.Stream.read(Script(told, ("r",), again.clock)))
    assert run(again, stream, checkpoint=tmp_path).table().column("x").to_pylist() == [5, 5, 9]


def test_what_a_broadcast_stream_accepted_is_in_the_run_that_is_suspended(tmp_path: Path) -> None:
    """S9, S28: nobody sends it again."""
    events: list[Any] = [(0, "a", rows(1, x=5)), (4, "a", rows(25, x=9)), (5, "a", rows(26, x=5))]
    first = Script([*events, (6, Ended("a"))], ("a",))
    told = Accepted([], ("r",), first.clock, queue=("r", rows(10, x=6)))
    stream = above(first, et.Stream.read(told))
    run(first, stream, checkpoint=tmp_path, stop=lambda: first.clock.now_us() >= 3_000_000)
    again = Script([*events, (6, Ended("a"))], ("a",))
    stream = above(again, et.Stream.read(Script([], ("r",), again.clock)))
    assert run(again, stream, checkpoint=tmp_path).table().column("x").to_pylist() == [5, 9]


def test_a_bounded_broadcast_stream_is_read_when_a_live_run_begins() -> None:
    script = Script([(0, "a", rows(12, x=5)), (1, "a", rows(13, x=9)), (2, Ended("a"))], ("a",))
    told = et.from_arrow(rows(10, x=6), time="t")
    ran = run(script, above(script, told))
    assert ran.table().column("x").to_pylist() == [5, 9]


def turns_of_a_second(latency: str) -> int:
    """Rows come every 10 ms."""
    events: list[Any] = [(i / 100, "a", rows(i)) for i in range(100)]
    script = Script([*events, (1, Ended("a"))], ("a",))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock, 10_000), latency=latency)
    counted(script).run(live=live)
    return len(script.heard)


def test_rows_wait_for_others_as_long_as_they_may() -> None:
    assert turns_of_a_second("0s") > 100
    assert turns_of_a_second("200ms") < 12


def test_a_turn_that_found_nothing_makes_no_row_wait() -> None:
    script = Script([(0, "a", rows(1)), (1.005, "a", rows(15)), (2, Ended("a"))], ("a",))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock, 1_000), latency="500ms")
    seen_us: list[int] = []
    counted(script).run(Probe(then=lambda: seen_us.append(script.clock.now_us())), live=live)
    assert 1_005_000 <= seen_us[0] < 1_010_000


def test_a_heartbeat_moves_the_watermark_without_rows() -> None:
    """S2, S5: the partition counts as heard, and holds the others back no more."""
    script = Script(
        [
            (0, "a", rows(1)),
            (0, "b", rows(2)),
            (1, "a", rows(15)),
            (2, Heartbeat("b", 12_000_000)),
            (3, "b", rows(11)),
            (60, Ended("a")),
            (60, Ended("b")),
        ],
        ("a", "b"),
    )
    seen: list[tuple[int, int]] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append((script.clock.now_us() // 1_000_000, report.results))

    ran = run(script, progress=watch)
    assert next(second for second, results in seen if results) == 2
    assert ran.table().column("n").to_pylist() == [2, 2]
    assert ran.side("late").num_rows == 0


def test_progress_is_told_of_when_the_clock_was_stepped_back() -> None:
    """It does not wait for the clock to catch up."""
    script = Script([*[(i, "a", rows(i)) for i in range(4)], (4, Ended("a"))], ("a",))
    seen: list[int] = []

    def watch(report: et.ProgressReport) -> None:
        seen.append(script.clock.now_us())
        if len(seen) == 3:
            script.clock.advance(-2_000_000)

    run(script, progress=watch)
    assert len([now_us for now_us in seen if now_us < 0]) >= 10
