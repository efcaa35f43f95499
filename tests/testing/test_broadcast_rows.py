"""Rows of broadcast streams are drawn among others, and what forgets them is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, given, settings

import eventtime as et
from eventtime.process.broadcast import Changes
from eventtime.testing import Harness, Push, Streams, check, check_restores, timeline
from eventtime.testing import strategies as kit
from zoo import NOTHING, TOLD, Limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.stream import Stream

FEW = settings(max_examples=max(1, settings().max_examples // 10))


def told(streams: Streams) -> list[Any]:
    pushes = [step for step in streams.steps if isinstance(step, Push)]
    return [row for step in pushes if step.partition == "limits" for row in step.rows]


def limits_at(times: pa.DataType) -> Stream:
    schema = pa.schema({"since": times, "name": pa.string(), "n": pa.int64()})
    return et.from_arrow(schema.empty_table(), time="since")


def listening(function: Any, limits: Stream, name: str = "limits") -> Stream:
    keyed = NOTHING.watermark(et.bounded_disorder("3s")).key_by("key")
    output = pa.schema({"limit": pa.int64(), "rows": pa.int64()})
    return keyed.process(function, output=output, columns=["name"], broadcast={name: limits})


def first_error(pipeline: Stream, check: Callable[[Stream, Streams], None]) -> str:
    @given(kit.streams(pipeline))
    @settings(max_examples=200, phases=[Phase.generate], derandomize=True, database=None)
    def look(streams: Streams) -> None:
        check(pipeline, streams)

    with pytest.raises(AssertionError) as error:
        look()
    return str(error.value)


@given(kit.streams(TOLD, max_rows=8))
@FEW
def test_rows_of_broadcast_streams_come_and_the_checks_hold(streams: Streams) -> None:
    """S4, S24, S28: between others, wherever these are cut, and over restarts."""
    check(TOLD, streams, without=["oracle"])


def test_they_take_effect_early_late_and_not_yet() -> None:
    seen: set[str] = set()

    @given(kit.streams(TOLD))
    @settings(max_examples=300, derandomize=True, database=None)
    def look(streams: Streams) -> None:
        with Harness(TOLD, streams.partitions, start=streams.start_us) as harness:
            for step in streams.steps:
                if isinstance(step, Push) and step.partition == "limits":
                    times = [row["since"] * 1_000 for row in step.rows]
                    seen.update("at once" for t in times if t <= harness.watermark_us)
                    seen.update("waits" for t in times if t > harness.watermark_us)
                harness.do(step)
            limits = harness.all_results.column("limit").to_pylist()
            seen.update("shows" for limit in limits if limit is not None)
        seen.update("null" for row in told(streams) if row["n"] is None)

    look()
    assert seen == {"at once", "waits", "shows", "null"}


@given(kit.streams(TOLD, broadcasts=False))
@FEW
def test_they_can_be_left_out(streams: Streams) -> None:
    assert not told(streams)


@given(kit.streams(listening(Limited(), limits_at(pa.timestamp("s")), name="a"), nulls=False))
@FEW
def test_partitions_are_called_otherwise(streams: Streams) -> None:
    rows = [r for s in streams.steps if isinstance(s, Push) and s.partition == "a" for r in s.rows]
    assert "a" not in streams.partitions
    assert all(list(row) == ["since", "name", "n"] and None not in row.values() for row in rows)


def test_times_that_steps_make_are_not_drawn() -> None:
    schema = pa.schema({"second": pa.int64(), "name": pa.string(), "n": pa.int64()})
    source = et.from_arrow(schema.empty_table(), time="since")
    pipeline = listening(
        Limited(), source.with_columns(since=pc.field("second").cast(pa.timestamp("s")))
    )
    with pytest.raises(et.PlanError, match="times of the broadcast stream 'limits' are made by"):
        kit.streams(pipeline)
    kit.streams(pipeline, broadcasts=False)


def test_waiting_rows_that_are_forgotten_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """S28: an engine that does not take over what waited for the watermark."""

    def forget(self: Any, saved: Any) -> list[int]:
        return []

    monkeypatch.setattr(Changes, "restore", forget)
    error = first_error(TOLD, lambda p, s: check(p, s, without=["oracle"]))
    assert error.startswith("check_restores (S27, S28): ")
    assert "push limits" in error


class Cached(Limited):
    """Keeps the table in itself, so that whoever goes on begins without it."""

    def __init__(self) -> None:
        self.of, self.known = None, dict[str, Any]()

    def on_broadcast(self, ctx: Any, name: str, row: Any) -> None:
        self.known[row["name"] or ""] = row["n"]

    def on_row(self, ctx: Any, row: Any) -> None:
        if self.of is not ctx:
            self.of, self.known = ctx, {}
        ctx.emit(limit=self.known.get(row["name"] or ""), rows=1)


def test_a_function_that_forgets_what_it_was_told_is_found() -> None:
    error = first_error(listening(Cached(), limits_at(pa.date32())), check_restores)
    assert "restored" in error or "is lost and comes again" in error


def test_the_time_line_shows_them() -> None:
    pipeline = listening(Limited(), limits_at(pa.timestamp("s")))
    row = dict.fromkeys(NOTHING.schema.names) | {"t": 20_000_000, "name": "x"}
    steps = (Push("limits", [{"since": 5, "name": "x", "n": 3}]), Push("a", [row]))
    lines = timeline(pipeline, Streams(("a",), steps), width=100).splitlines()
    assert any(line.startswith("  1 push limits  5s") for line in lines)
