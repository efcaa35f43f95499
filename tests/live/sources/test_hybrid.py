"""First what is stored, then what goes on: the switch, restarts around it, other columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.sources.feed import Ended, Silent
from live.script import SCHEMA, SECOND, Accepted, Alarm, Script, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventtime.sources.hybrid import HybridSource

AT = datetime(1970, 1, 1, 0, 0, 50, tzinfo=UTC)


def behind(n: int) -> Iterator[pa.RecordBatch]:
    """Live rows of seconds 40 to 99, behind so many."""
    yield rows(*range(40 + n, 100))


def stored(*partitions: range) -> et.Stream:
    return et.from_arrow({f"p{n}": rows(*part) for n, part in enumerate(partitions)}, time="t")


def windows(first: et.Stream, then: et.Stream, at: datetime | None = AT) -> et.Stream:
    stream = et.hybrid(first, then, at=at).watermark(et.ascending())
    return stream.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"))


def live(make: Any = behind) -> et.Stream:
    return et.from_batches(make, schema=SCHEMA, time="t")


def test_each_row_counts_once_on_its_side_of_the_switch() -> None:
    """S8, S9: both hold rows of the other's side; nothing is late, every window has its ten."""
    ran = windows(stored(range(0, 60, 2), range(1, 60, 2)), live()).run()
    ran.assert_balanced()
    assert ran.table().column("n").to_pylist() == [10] * 10
    assert ran.side("late").num_rows == 0
    assert sorted(ran.ledger.partitions) == ["batches", "first/p0", "first/p1"]


def test_without_a_time_all_rows_of_both_count() -> None:
    ran = windows(stored(range(40)), live(), at=None).run()
    assert ran.table().column("n").to_pylist() == [10] * 10


def test_the_second_source_hears_that_there_are_checkpoints(tmp_path: Path) -> None:
    """S28: whoever gives partitions away waits for one, also before the next is due."""
    script = Script([(0, "a", rows(60)), (1, "a", rows(70))], ("a",))
    windows(stored(range(40)), et.Stream.read(script)).run(
        live=et.live(clock=script.clock, alarm=Alarm(script.clock)),
        checkpoint=et.checkpoints(tmp_path, every="1h"),
        # What is stored is read in a thread, which a clock moved by hand does not wait for.
        stop=lambda: bool(script.heard) and script.clock.now_us() >= 2_000_000,
    )
    assert script.told == [{}, {"a": {"rows": 2}}]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=40), st.integers(0, 100))
def test_the_switch_is_a_union_cut_at_a_time(seconds: list[int], at: int) -> None:
    """S4: wherever the switch is, the result is that of all rows."""
    seconds = sorted(seconds)
    whole = et.from_arrow(rows(*seconds), time="t").watermark(et.ascending())
    moment = datetime.fromtimestamp(at, UTC)
    ran = windows(
        et.from_arrow(rows(*seconds), time="t"), live(lambda n: [rows(*seconds[n:])]), moment
    ).run()
    expected = whole.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x")).run()
    assert ran.table().equals(expected.table())


@pytest.mark.parametrize("stop", [5, 30, 49, 50, 51, 60, 95])
def test_a_run_stopped_anywhere_goes_on(tmp_path: Path, stop: int) -> None:
    """S28: in the first, at the switch, in the second."""
    whole = windows(stored(range(60)), live()).run().table()

    def slowly(n: int) -> Iterator[pa.RecordBatch]:
        for second in range(40 + n, 100):
            yield rows(second)

    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    first = et.from_arrow({"p0": [rows(n) for n in range(60)]}, time="t")
    windows(first, live(slowly)).run(
        checkpoint=tmp_path, progress=watch, stop=lambda: seen[0] >= stop
    )
    ran = windows(first, live(slowly)).run(checkpoint=tmp_path)
    ran.assert_balanced()
    assert ran.table().equals(whole)


def test_behind_the_switch_what_is_stored_may_be_gone(tmp_path: Path) -> None:
    """S28: nothing of it is read any more."""
    path, seen = tmp_path / "stored.arrow", [0]
    with pa.ipc.new_file(path, SCHEMA) as writer:
        writer.write(rows(*range(60)))

    def gone_on(**more: Any) -> et.Run:
        state = {"checkpoint": tmp_path / "state", **more}
        return windows(et.read_ipc(path, time="t"), live(slowly)).run(**state)

    def slowly(n: int) -> Iterator[pa.RecordBatch]:
        yield from (rows(second) for second in range(40 + n, 100))

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    gone_on(progress=watch, stop=lambda: seen[0] >= 80)
    path.unlink()
    ran = gone_on()
    ran.assert_balanced()
    assert ran.table().column("n").to_pylist() == [10] * 10


def test_before_the_switch_what_is_stored_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "stored.arrow"
    with pa.ipc.new_file(path, SCHEMA) as writer:
        # More than one turn takes, so the first is not over when it stops.
        writer.write(rows(*range(100_000)))

    def stopped() -> None:
        stream = windows(et.read_ipc(path, time="t"), live(), None)
        stream.run(checkpoint=tmp_path / "state", stop=lambda: True)

    stopped()
    path.unlink()
    with pytest.raises(et.SourceError, match="there is no file"):
        stopped()


def test_news_of_the_second_go_through_and_the_first_ends_at_last() -> None:
    """S6, S8: one that knows no partition at the switch."""
    script = Script([(0, Silent(["a"])), (1, "a", rows(70)), (2, Ended("a"))], ("a",))
    stream = windows(stored(range(60)), et.Stream.read(script))
    ran = stream.run(live=et.live(clock=script.clock, alarm=Alarm(script.clock)))
    assert ran.table().column("n").to_pylist() == [10, 10, 10, 10, 10, 1]
    assert ran.is_finished
    assert script.clock.now_us() >= 2 * SECOND


@pytest.mark.parametrize("drain", [False, True])
def test_what_the_second_accepted_is_in_the_run_that_is_stopped(
    tmp_path: Path, *, drain: bool
) -> None:
    """S9: nobody sends it again."""
    script = Accepted([(0, Silent(["a"]))], ("a",), queue=("a", rows(70, 71, 20)))
    stream = windows(stored(range(60)), et.Stream.read(script))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    ran = stream.run(live=live, checkpoint=tmp_path, drain=drain, stop=lambda: bool(script.heard))
    assert ran.ledger.total.rows_in == 52
    assert ran.ledger.partitions["a"].rows_in == 2


def test_a_stop_in_the_first_opens_no_second(tmp_path: Path) -> None:
    """S9: it would accept rows that nobody takes."""
    script = Accepted([], ("a",), queue=("a", rows(70)))
    # More than one turn takes, so the first is not over when it stops.
    stream = windows(stored(range(100_000)), et.Stream.read(script), None)
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    ran = stream.run(live=live, checkpoint=tmp_path, stop=lambda: True)
    assert "a" not in ran.ledger.partitions
    ran = stream.run(live=live, checkpoint=tmp_path, stop=lambda: bool(script.heard))
    assert ran.ledger.partitions["a"].rows_in == 1


def source(stream: et.Stream) -> HybridSource:
    read: Any = stream.node
    found: HybridSource = read.source
    return found


def test_other_columns_are_refused() -> None:
    other = et.from_batches([], schema=SCHEMA.append(pa.field("y", pa.int8())), time="t")
    with pytest.raises(et.SchemaError, match="column 'y'"):
        source(et.hybrid(stored(range(3)), other)).schema()


@pytest.mark.parametrize(
    ("first", "then", "at"),
    [
        (live(), live(), AT),
        (stored(range(3)), stored(range(3)), AT),
        (stored(range(3)).select("t"), live(), AT),
        (stored(range(3)), None, AT),
        (stored(range(3)), live(), datetime(2024, 1, 1)),  # noqa: DTZ001 - that is refused
        (stored(range(3)), live(), "2024-01-01"),
        (stored(range(3)), et.generate(1), AT),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(first: Any, then: Any, at: Any) -> None:
    with pytest.raises(et.PlanError):
        et.hybrid(first, then, at=at)
