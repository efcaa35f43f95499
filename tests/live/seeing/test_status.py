"""What a live run tells of itself: partitions, who holds the watermark, rates, latency."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.clock import ManualClock
from eventtime.holding import holding
from eventtime.latency import BOUNDS_US, Latencies, Latency
from eventtime.sight import Rates
from eventtime.sources.feed import Ended, Found, Left, Silent
from live.script import SECOND, Script, rows
from live.seeing.watching import Seen, counted, run

if TYPE_CHECKING:
    from pathlib import Path


def states(status: et.Status) -> dict[str, str]:
    return {p.name: p.state for p in status.partitions}


def test_who_holds_the_watermark_back_is_said_in_words() -> None:
    """S5: the partition that is the furthest behind, by how much, and when it was heard."""
    script = Script(
        [
            (1, "JFK", rows(10)),
            (2, "EWR", rows(730)),
            (40, "EWR", rows(740)),
            (50, Ended("JFK")),
            (50, Ended("EWR")),
        ],
        ("JFK", "EWR"),
    )
    seen = Seen()
    run(script, seen)
    first, *_ = seen.statuses
    assert holding(first) == "Waiting for the first row of 2 partitions"
    assert holding(seen.at(1.9)) == "EWR holds the watermark back: no row of it has come yet"
    assert holding(seen.at(41)).startswith("JFK holds the watermark back: 12 min behind the next,")
    assert holding(seen.at(41)).endswith(("last row 39 s ago", "last row 40 s ago"))
    assert seen.at(41).held_by == 0
    last = seen.statuses[-1]
    assert holding(last) == "All partitions have ended, and every window has fired"
    assert last.life.state == "finished"


def test_a_single_partition_and_level_ones_hold_nobody_back() -> None:
    script = Script(
        [
            (1, "a", rows(1)),
            (1, "b", rows(1.2)),
            (5, Ended("b")),
            (9, Ended("a")),
        ],
        ("a", "b"),
    )
    seen = Seen()
    run(script, seen)
    assert holding(seen.at(3)).startswith("2 partitions advance together; a is the last: last row")
    assert holding(seen.at(8)).startswith("a alone moves the watermark (1 ended): last row")


def test_the_states_of_a_partition() -> None:
    """S6, S8, S9: idle after silence, left, found again, held while it is too far ahead."""
    script = Script(
        [
            (0, "a", rows(1)),
            (0, "b", rows(1)),
            (1, "a", rows(90)),
            (2, "a", rows(200)),
            (3, Silent(["b"])),
            (12, Left("a")),
            (20, Found("c")),
            (22, "b", rows(2)),
            (30, Ended("a")),
            (30, Ended("b")),
            (30, Ended("c")),
        ],
        ("a", "b"),
    )
    seen = Seen()
    run(script, seen, stream=counted(script, max_ahead="30s", idle_after="5s"))
    assert states(seen.at(2.9)) == {"a": "held", "b": "active"}
    assert "1 partition far ahead waits for it" in holding(seen.at(2.9))
    assert states(seen.at(10)) == {"a": "active", "b": "idle"}
    assert states(seen.at(15)) == {"a": "left", "b": "idle"}
    assert holding(seen.at(15)).startswith("All partitions are idle: the watermark stands still")
    assert states(seen.at(21))["c"] == "active"
    assert "b is back, 3 min behind the watermark" in holding(seen.at(24))
    assert states(seen.statuses[-1]) == dict.fromkeys("abc", "ended")
    assert seen.statuses[-1].late_by_idleness == 1


def test_the_figures_are_those_of_the_ledger() -> None:
    """S26: rows, late ones by reason, results; windows that fill up, and are gone at the end."""
    script = Script(
        [
            (1, "a", rows(1, 2, 15)),
            (2, "a", rows(3)),
            (9, Ended("a")),
        ],
        ("a",),
    )
    seen = Seen()
    ran = run(script, seen)
    status = seen.at(5)
    assert [(s.start_us, s.end_us, s.keys, s.rows) for s in status.slices] == [
        (10 * SECOND, 20 * SECOND, 1, 1)
    ]
    assert (status.total.late, status.late_since_start, status.late_by_idleness) == (1, 1, 0)
    assert status.state_bytes > 0
    last = seen.statuses[-1]
    assert last.total == ran.ledger.total
    assert list(last.operators) == ran.ledger.operators
    assert last.report.results == ran.report.results == 2
    assert (last.n_slices, last.slices) == (0, ())


class Remembers(et.ProcessFunction):
    """Keeps of each key how often it came, and texts."""

    n = et.value_state(pa.int64(), default=0)
    texts = et.list_state(pa.string())

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        self.n.value += 1
        self.texts.append("x" * 1_000)
        ctx.set_timer(60 * SECOND)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        """The end of the input is before."""


def test_state_of_process_functions_is_seen_about() -> None:
    """2,000 keys, each with a timer and a text of a kilobyte, then three; nothing at the end."""
    several = rows(*[1.0] * 2_000).set_column(1, "x", pa.array(range(2_000)))
    script = Script(
        [(1, "a", several), (3, "a", several), (3, "a", several), (5, Ended("a"))], ("a",)
    )
    stream = et.Stream.read(script).watermark(et.ascending()).key_by("x")
    seen = Seen()
    run(script, seen, stream=stream.process(Remembers(), output=pa.schema({"n": pa.int64()})))
    begun, once, thrice = (seen.at(second).state_bytes for second in (0.9, 2.5, 4.5))
    assert begun == seen.statuses[-1].state_bytes == 0
    assert 2_000 * 1_500 < once < 2_000 * 2_000
    assert 2_000 * 2_000 < thrice - once < 2_000 * 2_300


def test_windows_of_many_keys_tell_their_keys_only() -> None:
    """To add up rows of very many keys would hold up the loop."""
    clock = ManualClock()
    table = [(1, Ended("a"))]
    batch = rows(*[1.0] * 60_000)
    batch = batch.set_column(1, "x", pa.array(range(60_000)))
    script = Script([(0, "a", batch), *table], ("a",), clock)
    marked = et.Stream.read(script).watermark(et.ascending()).key_by("x")
    seen = Seen()
    run(script, seen, stream=marked.window(et.tumbling("10s")).aggregate(n=et.count()))
    assert [(s.keys, s.rows) for s in seen.statuses[0].slices] == [(60_000, None)]


def test_checkpoints_show_their_number_age_and_size(tmp_path: Path) -> None:
    script = Script([(0, "a", rows(1)), (40, Ended("a"))], ("a",))
    seen = Seen()
    run(script, seen, checkpoint=et.checkpoints(tmp_path, every="10s"))
    written = seen.statuses[-1].report.checkpoint
    assert written is not None
    assert written.number >= 2
    assert written.new_bytes > 0
    assert 0 <= written.age_us <= 10 * SECOND


class Broken:
    """A sink whose first commit of rows fails."""

    delivery = guarantee = "exactly_once"
    failures = 1

    def open(self, schema: Any) -> Any:
        return self

    def open_epochs(self, schema: Any, job: str) -> Any:
        return self

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: Any, token: int) -> None:
        if any(batch.num_rows for batch in batches) and self.failures:
            self.failures -= 1
            msg = "the disk is full"
            raise et.SinkError(msg)

    def close(self) -> None:
        pass

    def describe(self) -> str:
        return "broken"


def test_a_failed_checkpoint_and_a_restart_are_counted(tmp_path: Path) -> None:
    """S28: the same run goes on, and shows what went wrong."""
    script = Script([(0, "a", rows(1, 12)), (40, Ended("a"))], ("a",))
    seen = Seen()
    policy = et.restart(sleep=lambda seconds: None, told=lambda text: None)
    checkpoint = et.checkpoints(tmp_path, every="10s")
    run(script, seen, sink=Broken(), checkpoint=checkpoint, restart=policy)
    states = [s.life.state for s in seen.statuses]
    assert "restarting" in states
    last = seen.statuses[-1]
    assert (last.life.failed_checkpoints, last.report.restarts) == (1, 1)
    assert last.life.error == "the disk is full"
    assert last.life.state == "finished"


@pytest.mark.parametrize("attempts", [None, 1])
def test_a_run_that_nobody_starts_again_is_not_said_to_be_restarting(
    tmp_path: Path, attempts: int | None
) -> None:
    """Nor is one that has failed too often."""
    script = Script([(0, "a", rows(1, 12)), (40, Ended("a"))], ("a",))
    seen, sink = Seen(), Broken()
    sink.failures = 9
    policy = None
    if attempts is not None:
        policy = et.restart(attempts, sleep=lambda seconds: None, told=lambda text: None)
    checkpoint = et.checkpoints(tmp_path, every="10s")
    with pytest.raises(et.SinkError):
        run(script, seen, sink=sink, checkpoint=checkpoint, restart=policy)
    states = [state for state, _ in groupby(s.life.state for s in seen.statuses)]
    assert states.count("restarting") == (attempts or 0)
    assert (states[-1], seen.statuses[-1].life.error) == ("failed", "the disk is full")


def test_an_observer_that_raises_says_where_it_comes_from() -> None:
    def broken(status: et.Status) -> None:
        msg = "no"
        raise ValueError(msg)

    script = Script([(0, "a", rows(1)), (1, Ended("a"))], ("a",))
    with pytest.raises(et.UserCodeError, match=r"function broken raised ValueError: no"):
        run(script, broken)


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()
    assert rates.note(0, [0]) == [0]
    assert rates.note(SECOND, [100]) == [100]
    assert rates.note(2 * SECOND, [100, 8]) == [50, 4]
    assert rates.note(4 * SECOND, [400, 8]) == [150, 0]
    assert rates.note(SECOND, [500, 9]) == [0, 0]  # a clock that was stepped back


def test_latency_is_from_the_arrival_to_the_commit() -> None:
    """The earliest arrival of a turn counts for all its results, up to where they are seen."""
    latencies = Latencies()
    latencies.arrived(1_000)
    latencies.arrived(400)
    latencies.fired(3)
    assert latencies.is_waiting
    latencies.committed(10_400)
    assert latencies.now().count == 3
    assert latencies.now().sum_us == 30_000
    assert latencies.now().quantile_us(0.5) == 10_000
    latencies.fired(5)  # the clock let them fire, not a row
    assert not latencies.is_waiting


def test_results_that_wait_for_a_checkpoint_count_when_it_is_durable() -> None:
    latencies = Latencies()
    latencies.arrived(0)
    latencies.fired(2)
    latencies.cut()
    latencies.arrived(5_000_000)
    latencies.fired(1)
    latencies.settled(8_000_000)
    assert latencies.now().count == 2
    assert latencies.now().quantile_us(1) == 10_000_000


def test_latency_above_all_bounds_has_no_figure() -> None:
    counts = (0,) * len(BOUNDS_US) + (1,)
    assert Latency(counts, 1).quantile_us(0.5) is None
    assert Latency().quantile_us(0.5) is None


def test_latency_of_a_run_is_what_the_clock_says() -> None:
    """From the script's second 0, when the row came that let the first window fire."""
    script = Script([(0, "a", rows(1, 12)), (40, Ended("a"))], ("a",))
    seen = Seen()
    run(script, seen)
    assert seen.at(30).latency.count == 1
    assert seen.at(30).latency.quantile_us(0.5) == 500
