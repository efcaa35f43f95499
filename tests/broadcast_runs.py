"""The function that `broadcast_model` computes, for the engine: row by row, and by batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import eventtime as et
from broadcast_model import SETS, WIPES
from engine_runs import SCHEMA, CutSource, batch_of, watermarked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broadcast_model import Told
    from eventtime.stream import Stream
    from eventtime.testing.reference import Row, Spec

__all__ = ("limited", "told")

VALUES = {"what": pa.string(), "at": pa.int64(), "limit": pa.int64(), "count": pa.int64(),
          "seen": pa.int64()}  # fmt: skip
MISSED = pa.schema({"t": pa.int64(), "limit": pa.int64()})


class Limited(et.ProcessFunction):
    """Counts rows by key and window, and tells of each the limit of its name."""

    limits: Any = et.broadcast_state(pa.string(), pa.int64())
    seen: Any = et.operator_state(et.value_state(pa.int64(), default=0))
    counts: Any = et.map_state(pa.int64(), pa.int64())
    on_timer: Any
    on_timers: Any

    def __init__(self, how: Told) -> None:
        self.size = how.size
        if not how.has_timers:
            self.on_timer = self.on_timers = None

    def on_broadcast(self, ctx: Any, name: str, row: Row) -> None:
        kind = 7 if name == WIPES else 1
        self.seen.value = (31 * self.seen.value + (row["n"] or 0) + kind) % 1_000_003
        if name == WIPES:
            self.limits.clear()
        elif row["n"] is not None:
            self.limits[row["name"] or ""] = row["n"]
        elif (row["name"] or "") in self.limits:
            del self.limits[row["name"] or ""]


class ByRow(Limited):
    def on_row(self, ctx: Any, row: Row) -> None:
        t, limit = ctx.time_us, self.limits.get(row["name"] or "")
        start = t - t % self.size
        if start + self.size <= ctx.watermark_us:
            ctx.side("missed", t=t, limit=limit)
            return
        self.counts[start] = self.counts.get(start, 0) + 1
        self.emit(ctx, "row", t, limit, self.counts[start])
        if self.on_timer is not None:
            ctx.set_timer(start + self.size)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        start = time_us - self.size
        self.emit(ctx, "timer", time_us, self.limits.get("a"), self.counts[start])
        del self.counts[start]

    def emit(self, ctx: Any, what: str, at: int, limit: int | None, count: int) -> None:
        keys = {f"k{i}": value for i, value in enumerate(ctx.key)}
        ctx.emit(**keys, what=what, at=at, limit=limit, count=count, seen=self.seen.value)


class ByBatch(Limited):
    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        t, limits = ctx.times_us, self.limits.get_rows(pc.fill_null(batch["name"], ""))
        starts = t - t % self.size
        missed = starts + self.size <= ctx.watermarks_us
        ctx.side_rows("missed", {"t": t[missed], "limit": limits.filter(missed)}, missed)
        for some in ctx.rounds():
            rows = some[~missed[some]]
            counts = pc.add(pc.fill_null(self.counts.get_rows(starts[rows], rows), 0), 1)
            self.counts.set_rows(starts[rows], counts, rows)
            self.emit(ctx, "row", rows, limits.take(pa.array(rows)), counts)
        if self.on_timers is not None:
            ctx.set_timers(starts[~missed] + self.size, ~missed)

    def on_timers(self, ctx: Any) -> None:
        rows = np.arange(len(ctx))
        counts = self.counts.get_rows(ctx.times_us - self.size)
        self.emit(ctx, "timer", rows, self.limits.get_rows("a"), counts)

    def emit(self, ctx: Any, what: str, rows: Any, limits: pa.Array, counts: pa.Array) -> None:
        keys = {f"k{i}": column for i, column in enumerate(ctx.keys(rows))}
        values = {"at": ctx.times_us[rows], "limit": limits, "count": counts}
        ctx.emit_rows(keys | values | {"what": what, "seen": self.seen.value}, rows)


def told(
    stream: Stream, spec: Spec, how: Told, changes: Mapping[str, Sequence[Row]] | None = None
) -> Stream:
    """The function behind the watermark of a spec, and what its broadcast streams hold."""
    return limited(watermarked(stream, spec), spec.keys, how, changes or {})


def limited(
    stream: Stream, keys: Sequence[str], how: Told, changes: Mapping[str, Sequence[Row]]
) -> Stream:
    """The function over a stream with a watermark."""
    named = {f"k{i}": SCHEMA.field(name).type for i, name in enumerate(keys)}
    sources = {n: CutSource({n: [batch_of(changes.get(n, []))]}) for n in (SETS, WIPES)}
    return stream.key_by(*keys).process(
        (ByBatch if how.is_batch else ByRow)(how),
        output=pa.schema({**named, **VALUES}),
        sides={"missed": MISSED},
        columns=["name"],
        broadcast={
            name: et.Stream.read(source).filter(pc.field("t").is_valid())
            for name, source in sources.items()
        },
    )
