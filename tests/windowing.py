"""Small pipelines for unit tests: rows with times in seconds, results as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

import eventtime as et

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.stream import Stream

TIME = pa.timestamp("us")
SECOND = 1_000_000


def rows(seconds: Sequence[float | None], **columns: Any) -> pa.RecordBatch:
    """Lay out rows at times given in seconds; columns are lists or arrays."""
    times = [None if s is None else round(s * SECOND) for s in seconds]
    return pa.record_batch({"t": pa.array(times, pa.int64()).view(TIME), **_arrays(columns)})


def _arrays(columns: dict[str, Any]) -> dict[str, pa.Array]:
    return {n: c if isinstance(c, pa.Array) else pa.array(c) for n, c in columns.items()}


def pipeline(
    data: Any,
    assigner: Any = None,
    *,
    generator: Any = None,
    keys: Sequence[str] = (),
    watermark: dict[str, Any] | None = None,
    window: dict[str, Any] | None = None,
    **aggregates: et.Aggregate,
) -> Stream:
    """Windows of a minute over data in ascending order, unless something else is said."""
    stream = et.from_arrow(data, time="t")
    stream = stream.watermark(generator or et.ascending(), **(watermark or {}))
    grouped: Any = stream.key_by(*keys) if keys else stream
    windows = grouped.window(assigner or et.tumbling("1m"), **(window or {}))
    result: Stream = windows.aggregate(**(aggregates or {"n": et.count()}))
    return result


def one(aggregate: et.Aggregate, values: Any, seconds: Sequence[float] | None = None) -> Any:
    """Aggregate the values of one window, in arrival order; all at one time unless said."""
    times = [0.0] * len(values) if seconds is None else seconds
    data = rows(times, x=values)
    # A bound as wide as the window: nothing is late, whatever the order.
    stream = pipeline(data, generator=et.bounded_disorder("1m"), result=aggregate)
    (found,) = stream.to_table().column("result").to_pylist()
    return found


def in_slices(
    aggregate: et.Aggregate, slices: Sequence[Any], kind: pa.DataType | None = None
) -> Any:
    """Aggregate lists of values, each in a slice of its own, merged in one sliding window of all.

    Other windows hold the first, or the last, slice alone.
    """
    n = len(slices)
    seconds = [float(i) for i, values in enumerate(slices) for _ in values]
    flat = pa.array([v for values in slices for v in values], kind)
    windows = et.sliding(f"{n}s", slide=f"{n - 1}s")
    stream = pipeline(rows(seconds, x=flat), windows, result=aggregate)
    whole = [r for r in stream.to_table().to_pylist() if r["window_start"].timestamp() == 0]
    return whole[0]["result"] if whole else None
