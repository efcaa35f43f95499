"""Small pipelines of every kind: what the testing kit is tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import eventtime as et
from engine_runs import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from eventtime.stream import Stream

__all__ = ("NOTHING", "TOLD", "ZOO", "Lagging", "Limited", "Total")

NOTHING: Final = et.from_arrow(SCHEMA.empty_table(), time="t")


class Total:
    """A sum of one's own."""

    def create(self, n: int) -> tuple[NDArray[Any], ...]:
        return np.zeros(n), np.zeros(n, np.int64)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (values,) = columns
        known = values.is_valid().to_numpy(zero_copy_only=False)
        np.add.at(state[0], slots[known], values.drop_null().to_numpy().astype(float))
        np.add.at(state[1], slots[known], 1)

    def merge(self, state: Any, into: Any, source: Any) -> None:
        for part in state:
            part[into] += part[source]

    def result(self, state: Any, slots: Any) -> pa.Array:
        return pa.array(state[0][slots], mask=state[1][slots] == 0)

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        return pa.float64()


class Lagging:
    """A watermark of one's own: three seconds behind every second row."""

    def __init__(self) -> None:
        self.rows = 0

    def on_batch(self, timestamps_us: Any) -> list[int]:
        marks = []
        for t in timestamps_us.tolist():
            self.rows += 1
            marks.append(t - 3_000_000 if self.rows % 2 else -(2**63))
        return marks

    def get_state(self) -> int:
        return self.rows

    def set_state(self, state: int) -> None:
        self.rows = state


class Limited(et.ProcessFunction):
    """Tells of each row the limit of its name at the time, and how many came; so do timers."""

    limits: Any = et.broadcast_state(pa.string(), pa.int64())
    rows: Any = et.value_state(pa.int64(), default=0)

    def on_broadcast(self, ctx: Any, name: str, row: Any) -> None:
        self.limits[row["name"] or ""] = row["n"]

    def on_row(self, ctx: Any, row: Any) -> None:
        self.rows.value += 1
        ctx.emit(limit=self.limits.get(row["name"] or ""), rows=self.rows.value)
        ctx.set_timer(ctx.time_us + 4_000_000)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        ctx.emit(limit=self.limits.get("a"), rows=-self.rows.value)


SOME: Final[Mapping[str, et.Aggregate]] = {
    "rows": et.count(),
    "sum_n": et.sum("n"),
    "sum_x": et.sum("x"),
    "last_name": et.last("name"),
}
MANY: Final[Mapping[str, et.Aggregate]] = {
    "mean_x": et.mean("x"),
    "spread": et.stddev("n", ddof=0),
    "least": et.min("name"),
    "greatest": et.max(pc.field("n") * 2),
    "first_x": et.first("x"),
    "names": et.collect("name"),
    "distinct": et.count_distinct("n"),
    "some_b": et.any("b"),
    "all_b": et.all("b"),
}


def _two_keys() -> Stream:
    return (
        NOTHING.watermark(et.bounded_disorder("3s"))
        .key_by("key", "name")
        .window(et.tumbling("10s"))
        .aggregate(**SOME)
    )


def _sliding() -> Stream:
    return (
        NOTHING.watermark(et.ascending(), idle_after="4s")
        .key_by("key")
        .window(et.sliding("10s", slide="4s", offset="3s"), allowed_lateness="6s")
        .aggregate(**SOME, **MANY)
    )


def _retracting() -> Stream:
    return (
        NOTHING.watermark(et.bounded_disorder("2s"), idle_after="3s", all_idle="flush_max")
        .key_by("name")
        .window(et.tumbling("8s"), allowed_lateness="13s", mode="retracting")
        .aggregate(**SOME)
    )


def _discarding() -> Stream:
    return (
        NOTHING.watermark(et.punctuated(where=pc.field("is_mark")), max_future="20s")
        .key_by("b")
        .window(et.sliding("12s", slide="6s"), allowed_lateness="9s", mode="discarding")
        .aggregate(**SOME)
    )


def _punctuated() -> Stream:
    return (
        NOTHING.watermark(et.punctuated(column="mark"))
        .window(et.tumbling("5s", offset="1s"), allowed_lateness="5s")
        .aggregate(**MANY)
    )


def _steps() -> Stream:
    return (
        NOTHING.filter(pc.field("n") < 8)
        .with_columns(n=pc.field("n") * 2)
        .watermark(et.bounded_disorder("1s"), idle_after="2s")
        .filter(pc.field("is_mark"))
        .key_by("key")
        .window(et.tumbling("6s"), late_columns=["n"])
        .aggregate(**SOME)
        .filter(pc.field("rows") > 1)
        .select("key", "window_start", "rows", "sum_n")
    )


def _mapped() -> Stream:
    def twice(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(3, "n", pc.multiply(batch.column("n"), 2))

    return (
        NOTHING.map_batches(twice)
        .watermark(et.percentile(0.5, initial="2s", warm_up=2, every=2))
        .key_by("key")
        .window(et.tumbling("6s"), late=et.DROP)
        .aggregate(**SOME)
    )


def _chained() -> Stream:
    first = (
        NOTHING.watermark(et.bounded_disorder("2s"), idle_after="4s")
        .key_by("key", "b")
        .window(et.tumbling("4s"), allowed_lateness="6s", mode="discarding")
        .aggregate(rows=et.count(), sum_n=et.sum("n"))
    )
    return (
        first.with_columns(twice=pc.field("rows") * 2)
        .filter(pc.field("version") < 3)
        .key_by("key")
        .window(et.sliding("16s", slide="8s"), allowed_lateness="4s", mode="retracting")
        .aggregate(rows=et.sum("twice"), sums=et.collect("sum_n"))
    )


def _global() -> Stream:
    return (
        NOTHING.watermark(et.ascending(), idle_after="3s")
        .key_by("name")
        .window(et.global_window())
        .aggregate(**SOME)
    )


def _own() -> Stream:
    return (
        et.union(NOTHING, NOTHING)
        .watermark(et.custom(Lagging), idle_after="5s")
        .key_by("key")
        .window(et.sliding("9s", slide="3s"), allowed_lateness="3s", mode="retracting")
        .aggregate(total=et.user(Total(), "x"), rows=et.count("n"))
    )


def _told() -> Stream:
    schema = pa.schema({"since": pa.timestamp("ms"), "name": pa.string(), "n": pa.int64()})
    output = pa.schema({"limit": pa.int64(), "rows": pa.int64()})
    keyed = NOTHING.watermark(et.bounded_disorder("3s"), idle_after="4s").key_by("key")
    limits = et.from_arrow(schema.empty_table(), time="since")
    return keyed.process(Limited(), output=output, columns=["name"], broadcast={"limits": limits})


TOLD: Final = _told()
"""A process function that listens to a broadcast stream: there is no oracle of it."""
ZOO: Final[dict[str, Stream]] = {
    "two keys": _two_keys(),
    "sliding": _sliding(),
    "retracting": _retracting(),
    "discarding": _discarding(),
    "punctuated": _punctuated(),
    "steps": _steps(),
    "mapped": _mapped(),
    "chained": _chained(),
    "global": _global(),
    "own": _own(),
}
"""By name; each has lateness, idleness, filters or the like of its own."""
