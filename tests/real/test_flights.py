"""A year of real flights by the hour: equal, row for row, to DuckDB over what was not late."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from flight_data import (
    HOUR,
    IS_YEAR,
    ROWS,
    SQL_VALUES,
    VALUES,
    WITHOUT_TIME,
    assert_same,
    by_duckdb,
    flights,
    hourly,
    missed,
    own,
    window_end_us,
)

OWN = (
    "reported", "scheduled", "departed", "origin", "dest", "carrier", "flight", "tailnum",
    "dep_delay", "arr_delay", "air_time", "distance",
)  # fmt: skip
WORDS = ["n", "known", "total", "miles", "low", "high", "average"]
KEYS = [("origin",), ("origin", "carrier"), ("carrier",), ()]


@cache
def run_of(*keys: str, shards: int = 1) -> et.Run:
    return hourly(own(), *keys).run(shards=shards)


def in_windows() -> str:
    """Rows that have a time and are not among the late ones that the run reported.

    Rows that agree in all columns are equals: as many of them are taken away as were late.
    """
    same = " AND ".join(f"kept.{c} IS NOT DISTINCT FROM gone.{c}" for c in OWN)
    nth = f"row_number() OVER (PARTITION BY {', '.join(OWN)})"
    return f"""
        SELECT * FROM (SELECT *, {nth} AS nth FROM flights WHERE departed IS NOT NULL) AS kept
        ANTI JOIN (SELECT *, {nth} AS nth FROM late) AS gone ON {same} AND kept.nth = gone.nth
    """


def test_every_row_is_windowed_late_or_without_a_time() -> None:
    run = run_of("origin")
    run.ledger.assert_balanced()
    total = run.ledger.total
    assert total.rows_in == ROWS
    assert total.null_time == WITHOUT_TIME == run.side("quarantine").num_rows
    assert total.late == run.side("late").num_rows
    assert total.windowed + total.late + total.null_time == ROWS
    assert pc.sum(run.table()["n"]).as_py() == total.windowed
    if IS_YEAR:
        assert total.late == 20_262


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: "+".join(keys) or "no key")
def test_hourly_equals_duckdb_over_the_rows_that_were_not_late(keys: tuple[str, ...]) -> None:
    run = run_of(*keys)
    by = "".join(f"{key}, " for key in keys)
    theirs = by_duckdb(
        f"""
        SELECT {by} date_trunc('hour', t) AS window_start,
            date_trunc('hour', t) + INTERVAL 1 HOUR AS window_end, {SQL_VALUES}
        FROM ({in_windows()}) GROUP BY ALL ORDER BY window_end, {by} 1
        """,
        late=run.side("late"),
    )
    assert_same(run.table().select(theirs.column_names), theirs)
    assert run.table()["version"].unique().to_pylist() == [1]
    assert run.table()["timing"].unique().to_pylist() == ["on_time"]
    assert run.table()["is_final"].unique().to_pylist() == [True]


def test_late_rows_are_those_behind_the_watermark_and_say_by_how_much() -> None:
    ends = window_end_us(HOUR)
    late = missed(ends)
    theirs = flights().filter(pa.array(late))
    watermark = theirs["watermark_us"].to_numpy()
    ours = run_of("origin").side("late")
    assert_same(ours.select(OWN), theirs.select(OWN))
    assert ours["partition"].to_pylist() == theirs["part"].to_pylist()
    for name, expected in {
        "window_start": ends[late] - HOUR,
        "window_end": ends[late],
        "watermark": watermark,
        "late_by": watermark - ends[late],
    }.items():
        np.testing.assert_array_equal(ours[name].cast(pa.int64()).to_numpy(), expected, name)
    assert set(ours["windows_missed"].to_pylist()) == {1} == set(ours["windows_total"].to_pylist())
    # All of replay is in order of the watermarks: no partition is late because of another.
    assert set(ours["reason"].to_pylist()) == {"beyond_lateness"}


def test_rows_without_a_time_are_set_aside_as_they_are() -> None:
    ours = run_of("origin").side("quarantine")
    theirs = flights().filter(pc.field("departed").is_null())
    columns = ["part", "row", *OWN]
    by_place = theirs.select(columns).sort_by([("part", "ascending"), ("row", "ascending")])
    pieces = [
        ours.filter(pc.field("partition") == p) for p in sorted(set(theirs["part"].to_pylist()))
    ]
    assert_same(pa.concat_tables(pieces).select(OWN), by_place.select(OWN))
    assert set(ours["reason"].to_pylist()) == {"null_time"}


@pytest.mark.parametrize("keys", [("origin",), ("origin", "carrier")], ids="+".join)
def test_two_shards_give_the_same_bytes(keys: tuple[str, ...]) -> None:
    one, two = run_of(*keys), run_of(*keys, shards=2)
    assert one.table().equals(two.table())
    for tag in ("late", "quarantine"):
        assert one.side(tag).equals(two.side(tag))
    assert str(one.ledger) == str(two.ledger)


@pytest.mark.parametrize(
    ("size", "slide", "names"),
    [("3h", "1h", list(VALUES)), ("90m", "1h", WORDS), ("1h", "25m", WORDS)],
)
def test_sliding_equals_duckdb_window_by_window(size: str, slide: str, names: list[str]) -> None:
    """A row is in each window that holds it and was open for it: judged apart for each of them."""
    size_us, slide_us = (et.sliding(s, slide=s).size_us for s in (size, slide))
    windows = (
        own()
        .key_by("origin")
        .window(et.sliding(size, slide=slide))
        .aggregate(**{name: VALUES[name] for name in names})
    )
    run = windows.run()
    theirs = by_duckdb(f"""
        WITH timed AS (SELECT *, epoch_us(t) AS us FROM flights WHERE t IS NOT NULL),
        pairs AS (
            SELECT *, unnest(generate_series(0, {size_us // slide_us})) AS back,
                (us // {slide_us} - back) * {slide_us} AS start FROM timed)
        SELECT origin, make_timestamp(start) AS window_start,
            make_timestamp(start + {size_us}) AS window_end, {SQL_VALUES}
        FROM pairs WHERE us < start + {size_us} AND start + {size_us} > watermark_us
        GROUP BY ALL ORDER BY window_end, origin
    """).select(["origin", "window_start", "window_end", *names])
    assert_same(run.table().select(theirs.column_names), theirs)
    run.ledger.assert_balanced()


def test_hours_feed_days() -> None:
    run = (
        own().key_by("origin").window(et.tumbling("1h"))
        .aggregate(flights=et.count(), worst=et.max("dep_delay"), total=et.sum("dep_delay"))
        .key_by("origin").window(et.tumbling("1d"))
        .aggregate(
            hours=et.count(), flights=et.sum("flights"), worst=et.max("worst"),
            total=et.sum("total"), busiest=et.max("flights"),
        )
        .run()
    )  # fmt: skip
    theirs = by_duckdb("""
        WITH hourly AS (
            SELECT origin, date_trunc('hour', t) AS hour_start, count(*) AS flights,
                max(dep_delay) AS worst, sum(dep_delay) AS total
            FROM flights WHERE t IS NOT NULL
                AND epoch_us(date_trunc('hour', t) + INTERVAL 1 HOUR) > watermark_us
            GROUP BY ALL)
        SELECT origin, date_trunc('day', hour_start)::TIMESTAMP AS window_start,
            window_start + INTERVAL 1 DAY AS window_end, count(*) AS hours,
            sum(flights)::BIGINT AS flights, max(worst) AS worst,
            sum(total) AS total, max(flights) AS busiest
        FROM hourly GROUP BY ALL ORDER BY window_end, origin
    """)
    assert_same(run.table().select(theirs.column_names), theirs)
    run.ledger.assert_balanced()
