"""The pipelines that simulations run: windows of each kind, windows over windows, own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from eventtime.process.function import ProcessFunction
from eventtime.state.declared import reducing_state
from eventtime.stream import Stream
from eventtime.watermark import ascending, bounded_disorder
from eventtime.windows.aggregate import collect, count, count_distinct, max_, mean, sum_
from eventtime.windows.assigner import global_window, sliding, tumbling

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.testing.simulation.chance import Chance
    from eventtime.testing.simulation.source import SimulatedSource
    from eventtime.windows.accumulation import AccumulationMode

__all__ = ("Pipeline", "pipeline")

_SECOND: Final = 1_000_000
_MODES: Final = ("accumulating", "discarding", "retracting")
_COUNTED: Final = pa.schema({"key": pa.string(), "at": pa.int64(), "total": pa.int64()})


@dataclass(frozen=True)
class Pipeline:
    """One that was drawn.

    Args:
        over: makes it over a source.
        mode: of its corrections.
    """

    over: Callable[[SimulatedSource], Stream]
    mode: AccumulationMode


def pipeline(chance: Chance) -> Pipeline:
    """Draw a pipeline."""
    generator = ascending() if chance.happens(0.2) else bounded_disorder("2s")
    marked: dict[str, Any] = {
        "idle_after": chance.one_of([None, "1s", "4s"]),
        "all_idle": chance.one_of(["hold", "flush_max"]),
        "max_future": chance.one_of([None, None, "20s"]),
        "max_ahead": chance.one_of([None, None, "15s"]),
    }
    how: dict[str, Any] = {
        "allowed_lateness": chance.one_of(["0s", "3s", "20s"]),
        "mode": cast("AccumulationMode", chance.one_of(_MODES)),
    }
    make = chance.one_of([_tumbling, _sliding, _everything, _chain, _own_code])

    def over(source: SimulatedSource) -> Stream:
        return make(Stream.read(source).watermark(generator, **marked), how)

    return Pipeline(over, how["mode"])


def _tumbling(stream: Stream, how: dict[str, Any]) -> Stream:
    windows = stream.key_by("key").window(tumbling("10s"), **how)
    return windows.aggregate(rows=count(), total=sum_("x"), ids=collect("n"))


def _sliding(stream: Stream, how: dict[str, Any]) -> Stream:
    windows = stream.key_by("key").window(sliding("12s", slide="5s"), **how)
    return windows.aggregate(mean=mean("x"), most=max_("x"), keys=count_distinct("n"))


def _everything(stream: Stream, how: dict[str, Any]) -> Stream:
    return stream.window(global_window(), **how).aggregate(rows=count(), total=sum_("x"))


def _chain(stream: Stream, how: dict[str, Any]) -> Stream:
    first = stream.key_by("key").window(tumbling("5s")).aggregate(rows=count(), total=sum_("x"))
    return first.window(tumbling("20s"), late="late_2").aggregate(
        windows=count(), rows=sum_("rows"), total=sum_("total")
    )


class _Counting(ProcessFunction):
    """Counts the rows of a key; tells by event time and by the clock."""

    def __init__(self) -> None:
        self.total: Any = reducing_state(pa.int64(), "sum")

    def on_row(self, ctx: Any, row: Any) -> None:
        self.total.add(1)
        if not ctx.is_final:
            ctx.set_timer(max(ctx.time_us, ctx.watermark_us) + 5 * _SECOND)
        if row["n"] % 3 == 0:
            ctx.set_processing_timer(ctx.processing_us + 2 * _SECOND)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        ctx.emit(key=ctx.key[0], at=time_us, total=self.total.value)

    def on_processing_timer(self, ctx: Any, time_us: int) -> None:
        ctx.emit(key=ctx.key[0], at=-time_us, total=self.total.value)


def _own_code(stream: Stream, how: dict[str, Any]) -> Stream:
    return stream.key_by("key").process(_Counting(), output=_COUNTED)
