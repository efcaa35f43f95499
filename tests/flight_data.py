"""The real flights, where they lie, and what independent tools say about them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

import eventtime as et
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventtime.stream import Stream, WindowedStream

_YEAR: Final = ROOT.parent / "shared" / "data" / "flights"
_MONTH: Final = ROOT / "eventtime" / "data" / "flights"
IS_YEAR: Final = _YEAR.is_dir()
FOLDER: Final = _YEAR if IS_YEAR else _MONTH
"""All flights of 2013 beside the repository, or else the January that ships with it."""

ROWS: Final = 336_776 if IS_YEAR else 26_661
WITHOUT_TIME: Final = 8_255 if IS_YEAR else 512
FILES: Final = ("EWR.parquet", "JFK.parquet", "LGA.parquet")
HOUR: Final = 3_600_000_000
BOUND: Final = 4 * HOUR

Ints = NDArray[np.int64]

VALUES: Final = {
    "n": et.count(),
    "known": et.count("arr_delay"),
    "total": et.sum("dep_delay"),
    "miles": et.sum("distance"),
    "low": et.min("distance"),
    "high": et.max("arr_delay"),
    "first_tail": et.min("tailnum"),
    "average": et.mean("dep_delay"),
    "tails": et.count_distinct("tailnum"),
    "opened": et.first("air_time"),
    "closed": et.last("tailnum"),
}
"""Aggregates that `SQL_VALUES` says in the words of DuckDB."""

SQL_VALUES: Final = """
    count(*) AS n, count(arr_delay) AS known, sum(dep_delay) AS total,
    sum(distance)::BIGINT AS miles, min(distance) AS low, max(arr_delay) AS high,
    min(tailnum) AS first_tail, avg(dep_delay) AS average, count(DISTINCT tailnum) AS tails,
    first(air_time ORDER BY t, arrival) FILTER (air_time IS NOT NULL) AS opened,
    last(tailnum ORDER BY t, arrival) FILTER (tailnum IS NOT NULL) AS closed
"""


@cache
def flights() -> pa.Table:
    """Read all rows, each with its partition, place, `t` (time without zone) and `watermark_us`.

    The watermark that a row met is the latest time before it in its partition, less the bound. It
    is the combined one too: replay always takes the partition that is furthest behind, so what that
    one says is the minimum (S5, S10). Sorted by it, rows are in the order of replay.
    """
    parts = []
    for name in FILES:
        table = pq.read_table(FOLDER / name).replace_schema_metadata(None)
        at = table["departed"].cast(pa.timestamp("us"))
        times = pc.fill_null(at.cast(pa.int64()), -(2**62)).to_numpy()
        latest = np.concatenate([[-(2**62)], np.maximum.accumulate(times)[:-1]])
        parts.append(
            table.append_column("t", at)
            .append_column("watermark_us", pa.array(latest - BOUND))
            .append_column("part", pa.array([name] * len(table)))
            .append_column("row", pa.array(np.arange(len(table))))
        )
    whole = pa.concat_tables(parts)
    order = whole.select(["watermark_us", "part", "row"]).sort_by(
        [("watermark_us", "ascending"), ("part", "ascending"), ("row", "ascending")]
    )
    ranks = order.append_column("arrival", pa.array(np.arange(len(order))))
    whole = whole.join(ranks.select(["part", "row", "arrival"]), ["part", "row"])
    return whole.sort_by("arrival").combine_chunks()


def missed(end_us: Ints, lateness_us: int = 0) -> NDArray[np.bool_]:
    """Say which rows met a watermark that had passed the end of their window and the lateness."""
    behind: NDArray[np.bool_] = end_us + lateness_us <= flights()["watermark_us"].to_numpy()
    return behind


def window_end_us(size_us: int) -> Ints:
    """Return the end of each row's window; without a time one that is never missed."""
    times = pc.fill_null(flights()["t"].cast(pa.int64()), 2**61).to_numpy()
    ends: Ints = (times // size_us + 1) * size_us
    return ends


def own(path: Any = FOLDER, **how: Any) -> Stream:
    """Read flights under the watermark of these tests."""
    return et.read_parquet(path, time="departed", **how).watermark(et.bounded_disorder("4h"))


def hourly(stream: Stream, *keys: str, **window: Any) -> Stream:
    """Compute all of `VALUES` by hour."""
    grouped: Any = stream.key_by(*keys) if keys else stream
    windows: WindowedStream = grouped.window(et.tumbling("1h"), **window)
    return windows.aggregate(**VALUES)


def by_duckdb(query: str, **tables: pa.Table) -> pa.Table:
    """Ask DuckDB, on one thread; tables are known by their names, `flights` always."""
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, table in {"flights": flights(), **tables}.items():
            connection.register(name, table)
        return connection.sql(query).to_arrow_table()


def plain(table: pa.Table, columns: Iterable[str] | None = None) -> pa.Table:
    """Take columns in one chunk and without zones, as DuckDB gives them back."""
    table = table.select(list(columns)) if columns is not None else table
    fields = [
        (f.name, pa.timestamp("us") if pa.types.is_timestamp(f.type) else f.type)
        for f in table.schema
    ]
    return table.cast(pa.schema(fields)).combine_chunks()


def assert_same(ours: pa.Table, theirs: pa.Table) -> None:
    """Compare tables row for row, in order, and show the first row that differs."""
    ours, theirs = plain(ours), plain(theirs)
    assert ours.schema == theirs.schema
    assert ours.num_rows == theirs.num_rows
    if not ours.equals(theirs):
        pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
        place, (left, right) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        assert left == right, f"row {place}"
