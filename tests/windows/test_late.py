"""The late side output: which window a row missed, by how much, of how many, and why (S20, D4)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.timestamp import PLUS_INFINITY
from windowing import SECOND, pipeline, rows


def late_rows(stream: et.Stream, tag: str = "late") -> list[dict[str, Any]]:
    run = stream.run()
    run.assert_balanced()
    found: list[dict[str, Any]] = run.side(tag).to_pylist()
    return found


def seconds(row: dict[str, Any], *names: str) -> list[float]:
    return [(row[n] - EPOCH).total_seconds() for n in names]


EPOCH = pa.scalar(0, pa.timestamp("us")).as_py()


def test_a_row_whose_every_window_is_expired_is_late_once() -> None:
    # size 60, slide 20, row at 25: [-20, 40) [0, 60) [20, 80); the watermark is 200.
    (row,) = late_rows(pipeline(rows([200, 25]), et.sliding("60s", slide="20s")))
    assert seconds(row, "window_start", "window_end", "watermark") == [20, 80, 200]
    assert (row["windows_missed"], row["windows_total"]) == (3, 3)
    assert row["late_by"].total_seconds() == 120


def test_a_row_that_missed_some_windows_is_late_and_in_the_others() -> None:
    # The watermark is 61: [-20, 40) and [0, 60) are gone, [20, 80) is open.
    stream = pipeline(rows([61, 25]), et.sliding("60s", slide="20s"))
    (row,) = late_rows(stream)
    assert seconds(row, "window_start", "window_end") == [0, 60]
    assert (row["windows_missed"], row["windows_total"]) == (2, 3)
    ledger = stream.run().ledger
    assert (ledger.total.late, ledger.total.windowed) == (1, 1)
    assert (ledger.operators[0].assigned, ledger.operators[0].missed) == (6, 2)
    counts = {r["window_start"]: r["n"] for r in stream.to_table().to_pylist()}
    assert [counts[k] for k in sorted(counts)] == [2, 1, 1]


@pytest.mark.parametrize(("at", "late"), [(69.999999, False), (70, True)])
def test_a_window_takes_rows_until_its_end_plus_the_allowed_lateness(at: float, late: bool) -> None:  # noqa: FBT001
    found = late_rows(pipeline(rows([at, 0]), window={"allowed_lateness": "10s"}))
    assert len(found) == late
    if late:
        assert found[0]["late_by"].total_seconds() == 0


def test_a_size_that_is_no_multiple_of_the_slide_counts_the_windows_there_are() -> None:
    # size 50, slide 30: a row is in one or two windows.
    found = late_rows(pipeline(rows([500, 5, 25]), et.sliding("50s", slide="30s")))
    assert [r["windows_total"] for r in found] == [2, 1]


def test_late_rows_keep_replay_order_and_their_own_columns() -> None:
    data = {"a": rows([100, 1, 2], i=[0, 1, 2]), "b": rows([100, 3], i=[3, 4])}
    found = late_rows(pipeline(data))
    # Each partition is judged by the minimum, so only what comes behind both is late.
    assert [(r["partition"], r["i"]) for r in found] == [("a", 1), ("a", 2), ("b", 4)]


def test_only_the_chosen_columns_go_along() -> None:
    stream = pipeline(rows([100, 1], i=[0, 1], j=[2, 3]), window={"late_columns": ["j"]})
    assert stream.run().side("late").column_names[:2] == ["j", "window_start"]
    bare = pipeline(rows([100, 1], i=[0, 1]), window={"late_columns": []})
    assert bare.run().side("late").column_names[0] == "window_start"


def test_bounds_of_integer_times_are_int64_in_their_unit() -> None:
    data = pa.record_batch({"t": pa.array([100, 1], pa.int32())})
    stream = et.from_arrow(data, time="t", time_unit="s").watermark(et.ascending())
    side = stream.window(et.tumbling("1m")).aggregate(n=et.count()).run().side("late")
    assert side.schema.field("window_end").type == side.schema.field("watermark").type == pa.int64()
    assert side.column("window_end").to_pylist() == [60]


def test_a_row_behind_an_infinite_watermark_is_late_for_ever() -> None:
    class Over:
        def on_batch(self, timestamps_us: Any) -> list[int]:
            return [PLUS_INFINITY] * len(timestamps_us)

    (row,) = late_rows(pipeline(rows([0, 1]), generator=et.custom(Over)))
    assert (row["watermark"], row["late_by"], row["windows_missed"]) == (None, None, 1)


def test_at_the_ends_of_the_admitted_range_nothing_overflows() -> None:
    times = pa.array([2**62, -(2**62), 2**62], pa.int64()).view(pa.timestamp("us"))
    side = pipeline(pa.record_batch({"t": times}), et.sliding("1h", slide="7m")).run().side("late")
    hour = 3600 * SECOND
    assert side["late_by"].cast(pa.int64()).to_pylist()[0] == pytest.approx(2**63, abs=hour)
    assert side["windows_missed"].to_pylist() == side["windows_total"].to_pylist()


def test_dictionaries_of_several_partitions_go_along() -> None:
    data = {
        name: rows([100, 1], d=pa.array(values).dictionary_encode())
        for name, values in (("a", ["x", "y"]), ("b", ["z", "y"]))
    }
    assert [r["d"] for r in late_rows(pipeline(data))] == ["y", "y"]
