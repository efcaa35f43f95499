"""The fingerprint of a pipeline (S29): what may change before a savepoint is restored, and not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.engine import Engine
from windowing import pipeline, rows

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

DATA = rows([], k=pa.array([], pa.string()), x=pa.array([], pa.float64()))
BASE: dict[str, Any] = {"keys": ["k"], "x": et.sum("x"), "n": et.count()}
LONG = list(range(1_000))


def made(data: Any = DATA, assigner: Any = None, **changes: Any) -> Stream:
    return pipeline(data, assigner, **{**BASE, **changes})


def filtered(values: list[int]) -> Stream:
    kept = et.from_arrow(DATA, time="t").filter(pc.field("x").isin(values))
    return kept.watermark(et.ascending()).window(et.tumbling("1m")).aggregate(n=et.count())


def named(name: str) -> Stream:
    def function(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch

    function.__name__ = name
    mapped = et.from_arrow(DATA, time="t").map_batches(function)
    return mapped.watermark(et.ascending()).window(et.tumbling("1m")).aggregate(n=et.count())


def typed(unit: Any, kind: pa.DataType) -> Stream:
    schema = pa.schema([("t", pa.timestamp(unit, "UTC")), ("k", kind), ("x", pa.float64())])
    return made(schema.empty_table(), keys=[])


def over(aggregate: et.Aggregate, **window: Any) -> Stream:
    return made().window(et.tumbling("1h"), **window).aggregate(x=aggregate)


INTEGERS = rows([], k=pa.array([], pa.string()), x=pa.array([], pa.int64()))

CHANGES: dict[str, tuple[Stream, Stream, str]] = {
    "size": (
        made(),
        made(assigner=et.tumbling("2m")),
        r"window 1, bounds: size 1m(.|\n)*now: size 2m",
    ),
    "offset": (made(), made(assigner=et.tumbling("1m", offset="1s")), "offset 1s"),
    "global": (made(), made(assigner=et.global_window()), "now: all time"),
    "shorter lateness": (
        made(window={"allowed_lateness": "1h"}),
        made(window={"allowed_lateness": "59m"}),
        r"allowed lateness: 1h(.|\n)*now: 59m, which is shorter: only a longer one",
    ),
    "mode": (
        made(window={"allowed_lateness": "1m"}),
        made(window={"allowed_lateness": "2m", "mode": "discarding"}),
        r"another pipeline:\s*window 1, mode: accumulating(.|\n)*now: discarding, but results have",
    ),
    "retracting": (made(), made(window={"mode": "retracting"}), r"results: k(.|\n)*diff: int8"),
    "key": (made(), made(keys=[]), r"key: k(.|\n)*now: none"),
    "aggregate": (made(), made(x=et.max("x")), r"x=sum\(x\), n=count\(\)(.|\n)*now: x=max"),
    "name of a result": (made(), made(y=et.sum("x")), "y=sum"),
    "divisor": (made(x=et.var("x")), made(x=et.var("x", ddof=0)), r"now: x=var\(x, ddof=0\)"),
    "type": (made(), made(INTEGERS), r"inputs: x: double(.|\n)*now: x: int64"),
    "generator": (made(), made(generator=et.bounded_disorder("1s")), "now: bounded_disorder"),
    "percentile": (
        made(generator=et.percentile()),
        made(generator=et.percentile(every=9)),
        r"every=9",
    ),
    "late rows": (made(), made(window={"late": et.DROP}), "now: counted only"),
    "tag": (made(), made(window={"late": "behind"}), "late rows: 'late'(.|\n)*now: 'behind'"),
    "late columns": (made(), made(window={"late_columns": ["k"]}), "late rows: 'late'"),
    "filter": (filtered([1]), filtered([2]), "steps before the watermark"),
    "long filter": (filtered(LONG), filtered([*LONG[:500], -1, *LONG[501:]]), "steps before"),
    "read for late rows": (
        made(keys=[], x=et.count(), window={"late": et.DROP}),
        made(keys=[], x=et.count()),
        r"columns read: now with k: string, x: double\n",
    ),
    "read no more": (
        made(keys=[], x=et.count()),
        made(keys=[], x=et.count(), window={"late": et.DROP}),
        r"columns read: now without k: string, x: double\n(.|\n)*give late=… again",
    ),
    "read with types in several parts": (
        typed("us", pa.decimal128(9, 2)),
        typed("us", pa.decimal128(10, 2)),
        r"columns read: now without k: decimal128\(9, 2\); now with k: decimal128\(10, 2\)\n",
    ),
    "zone read": (
        typed("us", pa.struct([("a", pa.int8()), ("b", pa.list_(pa.int8()))])),
        typed("ms", pa.struct([("a", pa.int8()), ("b", pa.list_(pa.int8()))])),
        r"now without t: timestamp\[us, tz=UTC\]; now with t: timestamp\[ms, tz=UTC\]\n",
    ),
    "function": (named("one"), named("other"), r"map_batches\(one\)(.|\n)*map_batches\(other\)"),
    "step behind": (made(), made().filter(pc.field("n") > 1), r"steps on results: none"),
    "second window": (made(), over(et.sum("x")), r"window 2, aggregates: none(.|\n)*now: x=sum"),
    "window gone": (over(et.sum("x")), made(), r"window 2, aggregates: x=sum(.|\n)*now: none"),
    "of the second": (over(et.sum("x")), over(et.min("x")), r"window 2, aggregates: x=sum"),
}
SAME: dict[str, tuple[Stream, Stream]] = {
    "nothing": (made(), made()),
    "idleness": (made(), made(watermark={"idle_after": "5s", "all_idle": "flush_max"})),
    "guard": (made(watermark={"max_future": "1h"}), made()),
    "columns nobody reads": (
        made(window={"late_columns": ["t", "k", "x"]}),
        made(
            rows([], k=pa.array([], "utf8"), x=pa.array([], "f8"), more=pa.array([], "i1")),
            window={"late_columns": ["t", "k", "x"]},
        ),
    ),
    "longer lateness": (made(), made(window={"allowed_lateness": "1m"})),
    "longer again": (
        made(window={"allowed_lateness": "59m", "mode": "retracting"}),
        made(window={"allowed_lateness": "1h", "mode": "retracting"}),
    ),
    "mode before any correction": (
        made(),
        made(window={"allowed_lateness": "1m", "mode": "discarding"}),
    ),
    "late rows are kept from now on": (made(window={"late": et.DROP}), made()),
    "data": (made(), made(rows([5], k=["a"], x=[1.0]))),
    "same filter": (filtered(LONG), filtered(LONG)),
    "same function": (named("one"), named("one")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_pipeline_is_refused_with_the_difference(name: str, tmp_path: Path) -> None:
    before, after, difference = CHANGES[name]
    Engine(before, ["a"]).savepoint(tmp_path / "state")
    with pytest.raises(et.CheckpointError, match=difference) as refused:
        Engine.restore(after, tmp_path / "state")
    assert "state' is of another pipeline:" in refused.value.what
    assert refused.value.place == "Engine.restore(stream, path)"
    assert "docs/state-format.md" in refused.value.remedy
    # Only what differs is listed.
    assert "event time" not in refused.value.what


@pytest.mark.parametrize("name", SAME)
def test_what_may_change_goes_through(name: str, tmp_path: Path) -> None:
    before, after = SAME[name]
    Engine(before, ["a"]).savepoint(tmp_path / "state")
    Engine.restore(after, tmp_path / "state").finish("a")


def test_idleness_and_guard_are_those_of_the_pipeline_restored(tmp_path: Path) -> None:
    clock = et.ManualClock()
    engine = Engine(made(), ["a", "b"], clock=clock)
    engine.push("a", rows([0, 120], k=["a", "a"], x=[1.0, 2.0]))
    engine.poll_empty("b")
    engine.savepoint(tmp_path / "state")
    after = made(watermark={"idle_after": "5s", "max_future": "1h"})
    engine = Engine.restore(after, tmp_path / "state", clock=clock)
    engine.poll_empty("b")
    clock.advance(6_000_000)
    engine.poll_empty("b")
    assert engine.results().num_rows == 1
    engine.push("a", rows([9_999], k=["a"], x=[1.0]))
    assert engine.side("quarantine").num_rows == 1
