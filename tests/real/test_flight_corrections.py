"""Corrections of late flights: whatever the mode, versions fold to the same last answer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import eventtime as et
from flight_data import (
    BOUND,
    FOLDER,
    HOUR,
    assert_same,
    by_duckdb,
    missed,
    own,
    window_end_us,
)

if TYPE_CHECKING:
    from eventtime.windows.accumulation import AccumulationMode

LATENESS = 2 * HOUR
SUMS = {"n": et.count(), "miles": et.sum("distance"), "delay": et.sum("dep_delay")}
FOLDS: dict[AccumulationMode, str] = {
    "accumulating": """
        SELECT origin, carrier, window_start, n, miles, delay FROM results
        QUALIFY version = max(version) OVER (PARTITION BY origin, carrier, window_start)
    """,
    "discarding": """
        SELECT origin, carrier, window_start, sum(n)::BIGINT AS n, sum(miles)::BIGINT AS miles,
            sum(delay) AS delay
        FROM results GROUP BY ALL
    """,
    "retracting": """
        SELECT origin, carrier, window_start, sum(diff * n)::BIGINT AS n,
            sum(diff * miles)::BIGINT AS miles, sum(diff * delay) AS delay
        FROM results GROUP BY ALL
    """,
}
ORDER = "ORDER BY window_start, origin, carrier"


@cache
def run_in(mode: AccumulationMode) -> et.Run:
    stream = own().key_by("origin", "carrier")
    return (
        stream.window(et.tumbling("1h"), allowed_lateness="2h", mode=mode).aggregate(**SUMS).run()
    )


def with_plain_times(table: pa.Table) -> pa.Table:
    index = table.schema.get_field_index("window_start")
    return table.set_column(index, "window_start", table["window_start"].cast(pa.timestamp("us")))


@cache
def final_answer() -> pa.Table:
    return by_duckdb(f"""
        SELECT origin, carrier, date_trunc('hour', t) AS window_start, count(*) AS n,
            sum(distance)::BIGINT AS miles, sum(dep_delay) AS delay
        FROM flights WHERE epoch_us(date_trunc('hour', t)) + {HOUR + LATENESS} > watermark_us
        GROUP BY ALL {ORDER}
    """)


@pytest.mark.parametrize("mode", FOLDS)
def test_versions_fold_to_the_answer_over_all_rows_not_late(mode: AccumulationMode) -> None:
    run = run_in(mode)
    run.ledger.assert_balanced()
    theirs = by_duckdb(f"{FOLDS[mode]} {ORDER}", results=with_plain_times(run.table()))
    assert_same(theirs, final_answer())
    assert run.ledger.total.late == int(missed(window_end_us(HOUR), LATENESS).sum())


@pytest.mark.parametrize("mode", FOLDS)
def test_every_window_has_versions_from_one_up_and_one_last_word(mode: AccumulationMode) -> None:
    results = with_plain_times(run_in(mode).table())
    forward = "WHERE diff = 1" if mode == "retracting" else ""
    odd = by_duckdb(
        f"""
        SELECT origin, carrier, window_start FROM results {forward} GROUP BY ALL
        HAVING min(version) <> 1 OR max(version) <> count(*) OR count(DISTINCT version) <> count(*)
        """,
        results=results,
    )
    assert odd.num_rows == 0
    # The corrections are there at all, and only the first version can be on time.
    timings = by_duckdb(
        "SELECT DISTINCT timing::VARCHAR AS timing, version = 1 AS is_first FROM results",
        results=results,
    )
    assert ("late", False) in {(row["timing"], row["is_first"]) for row in timings.to_pylist()}
    assert ("on_time", False) not in {
        (row["timing"], row["is_first"]) for row in timings.to_pylist()
    }


def test_a_retraction_takes_back_the_row_before_word_for_word() -> None:
    results = with_plain_times(run_in("retracting").table())
    values = ", ".join(SUMS)
    unmatched = by_duckdb(
        f"""
        SELECT origin, carrier, window_start, version, {values}, timing::VARCHAR, is_final
        FROM results WHERE diff = -1
        EXCEPT ALL
        SELECT origin, carrier, window_start, version, {values}, timing::VARCHAR, is_final
        FROM results WHERE diff = 1
        """,
        results=results,
    )
    assert unmatched.num_rows == 0
    taken_back = by_duckdb("SELECT count(*) AS n FROM results WHERE diff = -1", results=results)
    corrected = by_duckdb(
        "SELECT count(*) AS n FROM results WHERE version > 1 AND diff = 1", results=results
    )
    assert taken_back.equals(corrected)


def test_the_first_versions_are_the_answer_without_any_lateness() -> None:
    strict = own().key_by("origin", "carrier").window(et.tumbling("1h")).aggregate(**SUMS).run()
    first = by_duckdb(
        f"""
        SELECT origin, carrier, window_start, n, miles, delay FROM results
        WHERE timing = 'on_time' {ORDER}
        """,
        results=with_plain_times(run_in("accumulating").table()),
    )
    assert_same(strict.table().select(first.column_names), first)


def test_a_bound_and_lateness_trade_for_one_another() -> None:
    """Four hours of disorder and two of lateness let in what six of disorder do."""
    assert BOUND + LATENESS == 6 * HOUR
    patient = et.read_parquet(FOLDER, time="departed").watermark(et.bounded_disorder("6h"))
    run = patient.key_by("origin", "carrier").window(et.tumbling("1h")).aggregate(**SUMS).run()
    assert_same(run.table().select(final_answer().column_names), final_answer())
