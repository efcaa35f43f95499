"""The function that `process_model` computes, for the engine: row by row, and by batches."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import eventtime as et
from engine_runs import SCHEMA, watermarked
from process_model import longer

if TYPE_CHECKING:
    from eventtime.stream import Stream
    from eventtime.testing.reference import Row, Spec
    from process_model import Settings

VALUES = {
    "last": pa.string(),
    "total": pa.int64(),
    "least": pa.float64(),
    "code": pa.int64(),
    "longest": pa.string(),
    "mean": pa.float64(),
    "brief": pa.bool_(),
    "listed": pa.list_(pa.int64()),
    "mapped": pa.int64(),
    "shared": pa.int64(),
    "ticks": pa.int64(),
}
NOTED = pa.schema({"n": pa.int64(), "t": pa.int64()})


def forgetting_often() -> ExitStack:
    """Keys that hold nothing are let go as soon as others come; numbers of them are used again."""
    patched = ExitStack()
    patched.enter_context(patch("eventtime.state.keyed._SMALL", 0))
    patched.enter_context(patch("eventtime.process.operator._SMALL_DICTIONARY", 0))
    return patched


SUM = pa.struct({"sum": pa.int64(), "n": pa.int64()})


def added(held: dict[str, int], n: int | None) -> dict[str, int]:
    """Of an accumulator: the next one."""
    return {"sum": held["sum"] + (n or 0), "n": held["n"] + 1}


def mean_of(held: dict[str, int]) -> float | None:
    return held["sum"] / held["n"] if held["n"] else None


class Watched(et.ProcessFunction):
    """States of every form; they are attributes of the object, for their lives differ."""

    on_processing_timer: Any
    on_processing_timers: Any

    def __init__(self, settings: Settings) -> None:
        ttl: Any = {"ttl": None if settings.ttl is None else f"{settings.ttl}us"}
        ttl["ttl_clock"] = "processing" if settings.is_by_clock else "event"
        brief = None if settings.processing_ttl is None else f"{settings.processing_ttl}us"
        self.last: Any = et.value_state(pa.string(), **ttl)
        self.total: Any = et.reducing_state(pa.int64(), "sum")
        self.least: Any = et.reducing_state(pa.float64(), "min", **ttl)
        self.code: Any = et.value_state(pa.int64(), **ttl)
        self.longest: Any = et.reducing_state(pa.string(), longer, **ttl)
        self.mean: Any = et.aggregating_state(
            SUM, start={"sum": 0, "n": 0}, add=added, result=mean_of, **ttl
        )
        self.brief: Any = et.value_state(pa.bool_(), ttl=brief, ttl_clock="processing")
        self.listed: Any = et.list_state(pa.int64(), **ttl)
        self.mapped: Any = et.map_state(pa.string(), pa.int64(), **ttl)
        self.shared: Any = et.operator_state(et.value_state(pa.int64(), default=0))
        self.ticks: Any = et.value_state(pa.int64(), default=0)
        self.unit, self.is_live = settings.unit, settings.processing_ttl is not None
        self.timers_at_least = f"{settings.unit}us"
        if not self.is_live:
            self.on_processing_timer = self.on_processing_timers = None


class ByRow(Watched):
    def on_row(self, ctx: Any, row: Row) -> None:
        n, t = row["n"], ctx.time_us
        self.shared.value += 1
        last = self.last.value
        self.last.value = row["name"]
        self.total.add(n or 0)
        if row["x"] is not None and row["x"] == row["x"]:
            self.least.add(row["x"])
        code, self.code.value = self.code.value, n
        longest = self.longest.add(row["name"])
        self.mean.add(n)
        brief, self.brief.value = self.brief.value, row["b"]
        self.listed.append(n)
        if row["b"]:
            self.listed.clear()
        name = row["name"] or ""
        self.mapped[name] = self.mapped.get(name, 0) + 1
        self.emit(ctx, "row", last=last, total=self.total.value, least=self.least.value,
                  code=code, longest=longest, mean=self.mean.value, brief=brief,
                  listed=self.listed.values(), mapped=self.mapped[name],
                  shared=self.shared.value)  # fmt: skip
        if row["is_mark"]:
            del self.mapped[name]
        if n is not None and n < 0:
            ctx.side("noted", n=n, t=t)
        ahead = max(t, ctx.watermark_us)
        if n is not None and n % 3 == 0:
            ctx.set_timer(ahead + (1 + abs(n)) * self.unit)
            ctx.set_timer(ahead + (1 + abs(n)) * self.unit)
        if n is not None and n % 3 == 1:
            ctx.delete_timer(ahead + abs(n) * self.unit)
            ctx.delete_timer(ahead + (1 + abs(n)) * self.unit)
        if row["is_mark"]:
            ctx.set_timer(max(t - self.unit, -(2**62)))
            if self.is_live:
                ctx.set_processing_timer(ctx.processing_us + 2 * self.unit)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        total = self.total.value
        self.emit(ctx, "timer", last=self.last.value, total=total, least=self.least.value,
                  listed=self.listed.values())  # fmt: skip
        if total is not None and total % 2 == 0:
            self.total.add(1)
            ctx.set_timer(ctx.watermark_us + 2 * self.unit)
            ctx.delete_timer(ctx.watermark_us + 3 * self.unit)

    def on_processing_timer(self, ctx: Any, time_us: int) -> None:
        self.ticks.value += 1
        self.emit(ctx, "tick", at=time_us, ticks=self.ticks.value)

    def emit(self, ctx: Any, what: str, at: int | None = None, **values: Any) -> None:
        keys = {f"k{i}": value for i, value in enumerate(ctx.key)}
        at = ctx.time_us if at is None else at
        ctx.emit(**keys, what=what, at=at, **{name: values.get(name) for name in VALUES})


class ByBatch(Watched):
    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        before = self.shared.value
        self.shared.value = before + len(ctx)
        last = self.last.swap_rows(batch["name"])
        n = pc.fill_null(batch["n"], 0).to_numpy()
        total = self.total.add_rows(n)
        x = pc.if_else(pc.is_nan(batch["x"]), None, batch["x"])
        least = self.least.add_rows(x)
        code = self.code.swap_rows(batch["n"])
        longest = self.longest.add_rows(batch["name"])
        brief = self.brief.swap_rows(batch["b"])
        listed: list[Any] = [None] * len(ctx)
        is_b = pc.fill_null(batch["b"], fill_value=False).to_numpy(zero_copy_only=False)
        for rows in ctx.rounds():
            self.listed.append_rows(batch["n"].take(pa.array(rows)), rows)
            self.listed.clear_rows(rows[is_b[rows]])
            for row, value in zip(rows.tolist(), self.listed.get_rows(rows), strict=True):
                listed[row] = value.as_py()
        mapped: list[Any] = [0] * len(ctx)
        mean: list[Any] = [None] * len(ctx)
        names = pc.fill_null(batch["name"], "")
        is_mark = pc.fill_null(batch["is_mark"], fill_value=False).to_numpy(zero_copy_only=False)
        for rows in ctx.rounds():
            mine = names.take(pa.array(rows))
            counts = pc.add(pc.fill_null(self.mapped.get_rows(mine, rows), 0), 1)
            self.mapped.set_rows(mine, counts, rows)
            for row, count in zip(rows.tolist(), counts.to_pylist(), strict=True):
                mapped[row] = count
            is_gone = is_mark[rows]
            self.mapped.delete_rows(mine.filter(pa.array(is_gone)), rows[is_gone])
            self.mean.add_rows(batch["n"].take(pa.array(rows)), rows)
            for row, held in zip(rows.tolist(), self.mean.get_rows(rows).to_pylist(), strict=True):
                mean[row] = mean_of(held)
        shared = before + 1 + np.arange(len(ctx))
        self.emit(ctx, "row", ctx.times_us, last=last, total=total, least=least, code=code,
                  longest=longest, mean=mean, brief=brief, listed=listed, mapped=mapped,
                  shared=shared)  # fmt: skip
        ctx.side_rows("noted", {"n": n[n < 0], "t": ctx.times_us[n < 0]}, n < 0)
        self.time(ctx, batch, n)

    def time(self, ctx: Any, batch: pa.RecordBatch, n: Any) -> None:
        known = batch["n"].is_valid().to_numpy(zero_copy_only=False)
        ahead = np.maximum(ctx.times_us, ctx.watermarks_us)
        for row in range(len(ctx)):
            # One by one: of a key, one row may set what the next takes back.
            if known[row] and n[row] % 3 == 0:
                ctx.set_timers(ahead[row] + (1 + abs(n[row])) * self.unit, [row])
            if known[row] and n[row] % 3 == 1:
                ctx.delete_timers(ahead[row] + abs(n[row]) * self.unit, [row])
                ctx.delete_timers(ahead[row] + (1 + abs(n[row])) * self.unit, [row])
        if self.is_live:
            marked = pc.fill_null(batch["is_mark"], fill_value=False)
            mask = marked.to_numpy(zero_copy_only=False)
            ctx.set_processing_timers(ctx.processing_us + 2 * self.unit, mask)

    def on_timers(self, ctx: Any) -> None:
        total: list[Any] = []
        last: list[Any] = []
        least: list[Any] = []
        listed: list[Any] = []
        for rows in ctx.rounds():
            got = self.total.get_rows(rows)
            for out, state in ((last, self.last), (least, self.least), (listed, self.listed)):
                out += list(zip(rows.tolist(), state.get_rows(rows).to_pylist(), strict=True))
            total += list(zip(rows.tolist(), got.to_pylist(), strict=True))
            even = np.array([v is not None and v % 2 == 0 for v in got.to_pylist()], np.bool_)
            self.total.add_rows(1, rows[even])
            ahead = ctx.watermarks_us[rows[even]]
            ctx.set_timers(ahead + 2 * self.unit, rows[even])
            ctx.delete_timers(ahead + 3 * self.unit, rows[even])
        of_rows = [[v for _, v in sorted(c, key=_first)] for c in (last, total, least, listed)]
        names = ("last", "total", "least", "listed")
        self.emit(ctx, "timer", ctx.times_us, **dict(zip(names, of_rows, strict=True)))

    def on_processing_timers(self, ctx: Any) -> None:
        ticks = pc.add(self.ticks.get_rows(), 1)
        self.ticks.set_rows(ticks)
        self.emit(ctx, "tick", ctx.times_us, ticks=ticks)

    def emit(self, ctx: Any, what: str, at: Any, **values: Any) -> None:
        keys = {f"k{i}": column for i, column in enumerate(ctx.keys())}
        ctx.emit_rows(keys | {"what": what, "at": at} | {n: values.get(n) for n in VALUES})


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def processed(stream: Stream, spec: Spec, settings: Settings) -> Stream:
    """The function behind the watermark of a spec, keyed as it says."""
    keys = {f"k{i}": SCHEMA.field(name).type for i, name in enumerate(spec.keys)}
    output = pa.schema({**keys, "what": pa.string(), "at": pa.int64(), **VALUES})
    function = (ByBatch if settings.is_batch else ByRow)(settings)
    by_key = watermarked(stream, spec).key_by(*spec.keys)
    return by_key.process(function, output=output, sides={"noted": NOTED})
