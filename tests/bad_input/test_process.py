"""Process functions declared wrongly, or that do wrong things: the message says what and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.engine import Engine
from refusals import Refused, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUT = pa.schema({"n": pa.int64()})


def stream() -> Any:
    table = seconds(k=["x", "x", "y"], s=["u", "v", None])
    return et.from_arrow({"a": table}, time="t").watermark(et.ascending()).key_by("k")


def by_row(
    do: Callable[[Any, Any, Any], object], **methods: Callable[[Any, Any, Any], object]
) -> et.Stream:
    """A function with states of all forms that does one thing."""

    class Doer(et.ProcessFunction):
        n = et.value_state(pa.int8())
        text = et.value_state(pa.string())
        total = et.reducing_state(pa.int64(), "sum")
        listed = et.list_state(pa.int64())
        mapped = et.map_state(pa.int64(), pa.int64())

        def on_row(self, ctx: Any, row: Any) -> None:
            do(self, ctx, row)

    for name, method in methods.items():
        setattr(Doer, name, method)
    processed: et.Stream = stream().process(Doer(), output=OUTPUT, sides={"s": OUTPUT})
    return processed


def by_batch(do: Callable[[Any, Any, Any], object], **attributes: Any) -> et.Stream:
    class Doer(et.ProcessFunction):
        n = et.value_state(pa.int8())
        total = et.reducing_state(pa.int64(), "sum")

        def on_batch(self, ctx: Any, batch: Any) -> None:
            do(self, ctx, batch)

    for name, attribute in attributes.items():
        setattr(Doer, name, attribute)
    processed: et.Stream = stream().process(Doer(), output=OUTPUT)
    return processed


def nothing(*arguments: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("declare", "shown", "place"),
    [
        (lambda: et.value_state("int64"), "'int64' is no Arrow type", "value_state"),
        (lambda: et.value_state(pa.null()), "null", "value_state"),
        (lambda: et.value_state(pa.timestamp("ns")), "timestamp[ns]", "value_state"),
        (lambda: et.value_state(pa.int8(), default=300), "300", "default"),
        (lambda: et.value_state(pa.int8(), default="x"), "'x'", "default"),
        (lambda: et.value_state(pa.int8(), ttl="1s", ttl_clock="wall"), "'wall'", "ttl_clock"),  # type: ignore[arg-type]
        (lambda: et.map_state(pa.float64(), pa.int64()), "double", "key_type"),
        (lambda: et.map_state(pa.list_(pa.int64()), pa.int64()), "list", "key_type"),
        (lambda: et.reducing_state(pa.int64(), "mean"), "'mean'", "how"),  # type: ignore[arg-type]
        (lambda: et.reducing_state(pa.int32(), "sum"), "int32", "reducing_state"),
        (lambda: et.operator_state(5), "5 declares no state", "operator_state"),
        (
            lambda: et.aggregating_state(pa.int64(), start="x", add=max, result=abs),
            "'x'",
            "start",
        ),
        (lambda: et.aggregating_state(pa.int64(), start=0, add=1, result=abs), "1", "add"),  # type: ignore[arg-type]
    ],
)
def test_a_state_that_cannot_be(
    declare: Callable[[], object], shown: str, place: str, refused: Refused
) -> None:
    with refused(et.PlanError, shown, place, ""):
        declare()


class Both(et.ProcessFunction):
    on_row = nothing
    on_batch = nothing


class Neither(et.ProcessFunction):
    on_timer = nothing


class Mixed(et.ProcessFunction):
    on_row = nothing
    on_timers = nothing


class Rows(et.ProcessFunction):
    on_row = nothing


@pytest.mark.parametrize(
    ("arguments", "shown", "place"),
    [
        ({"function": 5}, "5 is no process function", "process(function)"),
        ({"function": Both()}, "on_row and on_batch", "process(function)"),
        ({"function": Mixed()}, "on_row and on_timers", "process(function)"),
        ({"function": Neither()}, "neither on_row nor on_batch", "process(function)"),
        ({"function": Rows}, "Rows is a class", "process(function)"),
        ({"output": {"n": pa.int64()}}, "no schema", "output"),
        ({"output": pa.schema([])}, "no schema", "output"),
        ({"output": pa.schema([("n", pa.int64())] * 2)}, "'n' is there twice", "output"),
        ({"sides": {"quarantine": OUTPUT}}, "'quarantine' is taken", "sides"),
        ({"sides": {"": OUTPUT}}, "''", "sides"),
        ({"sides": [1]}, "[1]", "sides"),
        ({"time": "t"}, "no column 't'", "time"),
        ({"behind": "1h"}, "none is named", "time"),
        ({"columns": ["k", "k"]}, "different column names", "columns"),
        ({"states": {"seen": 5}}, "5 is no state", "states"),
        ({"states": {"no name": et.value_state(pa.int8())}}, "'no name'", "states"),
    ],
)
def test_a_declaration_that_cannot_run(
    arguments: dict[str, Any], shown: str, place: str, refused: Refused
) -> None:
    given = {"function": nothing, "output": OUTPUT, **arguments}
    with refused(et.PlanError, shown, place, ""):
        stream().process(given.pop("function"), **given).run()


@pytest.mark.parametrize(
    ("do", "shown"),
    [
        (lambda me, ctx, row: 1 / 0, "ZeroDivisionError"),
        (lambda me, ctx, row: row["zz"], "KeyError: 'zz'"),
        (lambda me, ctx, row: ctx.emit(m=1), "given columns m; wanted are n"),
        (lambda me, ctx, row: ctx.emit(), "given columns none"),
        (lambda me, ctx, row: ctx.emit(n="x"), "column 'n' holds int64, not 'x'"),
        (lambda me, ctx, row: ctx.emit(n=1.5), "column 'n' holds int64, not 1.5"),
        (lambda me, ctx, row: me.total.add(1.5), "state 'total' holds int64: 1.5 would be cut"),
        (lambda me, ctx, row: me.listed.append(1.5), "state 'listed' holds int64: 1.5 would be"),
        (lambda me, ctx, row: me.mapped.__setitem__(1.5, 1), "as its keys, holds int64: 1.5 would"),
        (lambda me, ctx, row: ctx.side("zz", n=1), "no side output 'zz'"),
        (lambda me, ctx, row: ctx.side("s", n=2**70), "not 1180591620717411303424"),
        (lambda me, ctx, row: setattr(me.n, "value", 300), "state 'n' holds int8, not 300"),
        (lambda me, ctx, row: setattr(me.text, "value", 7), "state 'text' holds string, not 7"),
        (lambda me, ctx, row: me.total.add("x"), "state 'total' holds int64, not 'x'"),
        (lambda me, ctx, row: [me.total.add(2**62) for _ in "ab"], "state 'total' holds int64"),
        (lambda me, ctx, row: me.listed.append("x"), "state 'listed' holds int64, not 'x'"),
        (lambda me, ctx, row: me.mapped.__setitem__("x", 1), "as its keys, holds int64, not 'x'"),
        (lambda me, ctx, row: me.mapped[5], "KeyError: 5"),
        (lambda me, ctx, row: ctx.set_timer(5), "Doer sets a timer and has no on_timer"),
        (lambda me, ctx, row: ctx.set_processing_timer(5), "no on_processing_timer"),
    ],
)
def test_a_function_of_rows_that_does_wrong(
    do: Callable[[Any, Any, Any], object], shown: str, refused: Refused
) -> None:
    with refused(et.UserCodeError, shown, "key 'x', among rows of partition 'a'", ""):
        by_row(do).run()


@pytest.mark.parametrize("time", [1.5, "noon", None, 2**63, True])
def test_a_timer_at_no_time(time: Any, refused: Refused) -> None:
    with refused(et.UserCodeError, "Doer.on_row raised", "key 'x'", ""):
        by_row(lambda me, ctx, row: ctx.set_timer(time), on_timer=nothing).run()


def test_a_timer_that_sets_itself_again_at_the_same_time(refused: Refused) -> None:
    def again(me: Any, ctx: Any, time_us: int) -> None:
        ctx.set_timer(time_us)

    processed = by_row(lambda me, ctx, row: ctx.set_timer(10), on_timer=again)
    with refused(et.UserCodeError, "set while that at 10 fires, is no later", "key 'x'", ""):
        processed.run()


def test_timers_without_end_after_the_end(refused: Refused) -> None:
    def again(me: Any, ctx: Any, time_us: int) -> None:
        ctx.set_timer(time_us + 1)

    processed = by_row(lambda me, ctx, row: ctx.set_timer(10_000_000), on_timer=again)
    few = patch("eventtime.process.operator._MOST_AT_END", 1_000)
    with few, refused(et.UserCodeError, "without end", "", "is_final"):
        processed.run()


@pytest.mark.parametrize(
    ("do", "shown"),
    [
        (lambda me, ctx, batch: batch["zz"], "KeyError"),
        (lambda me, ctx, batch: ctx.emit_rows({"n": [1, 2]}), "2 values for 3 rows"),
        (lambda me, ctx, batch: ctx.emit_rows({"m": [1, 2, 3]}), "given columns m"),
        (lambda me, ctx, batch: ctx.emit_rows({"n": batch["s"]}), "column 'n' holds int64"),
        (lambda me, ctx, batch: ctx.emit_rows({"n": 1.5}), "'n' holds int64: 1.5 would be cut"),
        (lambda me, ctx, batch: ctx.emit_rows({"n": [1]}, [7]), "row numbers go from 7 to 7"),
        (lambda me, ctx, batch: ctx.emit_rows({"n": [1]}, [-1]), "row numbers go from -1"),
        (lambda me, ctx, batch: me.total.add_rows([1, 2]), "2 values for 3 rows"),
        (lambda me, ctx, batch: me.total.add_rows(batch["s"]), "state 'total' holds int64"),
        (lambda me, ctx, batch: me.total.add_rows(2**62), "leaves int64 at row 1"),
        (lambda me, ctx, batch: me.n.set_rows(300), "state 'n' holds int8"),
        (lambda me, ctx, batch: me.n.get_rows(np.array([True])), "a mask of 1 rows for 3"),
        (lambda me, ctx, batch: me.n.get_rows([3]), "row numbers go from 3 to 3"),
        (lambda me, ctx, batch: ctx.set_timers(5), "no on_timers"),
    ],
)
def test_a_function_of_batches_that_does_wrong(
    do: Callable[[Any, Any, Any], object], shown: str, refused: Refused
) -> None:
    with refused(et.UserCodeError, shown, "3 rows, among rows of partition 'a'", ""):
        by_batch(do).run()


@pytest.mark.parametrize(
    ("do", "shown"),
    [
        (lambda me, ctx: setattr(me.n, "value", 1), "called for no key"),
        (lambda me, ctx: me.n.value, "called for no key"),
        (lambda me, ctx: me.listed.append(1), "called for no key"),
        (lambda me, ctx: me.mapped.get("x"), "called for no key"),
        (lambda me, ctx: me.mapped.__setitem__("x", 1), "called for no key"),
        (lambda me, ctx: me.n.get_rows(), "state 'n': on_broadcast has no rows"),
        (lambda me, ctx: me.mapped.set_rows("x", 1), "'mapped': on_broadcast has no rows"),
        (lambda me, ctx: me.rules.get_rows("x"), "'rules': on_broadcast has no rows"),
        (lambda me, ctx: ctx.emit_rows({"n": [1]}), "called for no rows"),
        (lambda me, ctx: ctx.set_timers(10**9), "called for no rows"),
    ],
)
def test_a_change_of_broadcast_state_is_for_no_key(
    do: Callable[[Any, Any], object], shown: str, refused: Refused
) -> None:
    class Doer(et.ProcessFunction):
        n = et.value_state(pa.int8(), ttl="1s")
        listed = et.list_state(pa.int64(), ttl="1s")
        mapped = et.map_state(pa.string(), pa.int64())
        rules = et.broadcast_state(pa.string(), pa.int64())

        def on_batch(self, ctx: Any, batch: Any) -> None:
            pass

        def on_timers(self, ctx: Any) -> None:
            pass

        def on_broadcast(self, ctx: Any, name: str, row: Any) -> None:
            do(self, ctx)

    told = et.from_arrow(pa.table({"t": pa.array([1], pa.timestamp("us"))}), time="t")
    processed = stream().process(Doer(), output=OUTPUT, broadcast={"told": told})
    with refused(et.UserCodeError, shown, "a row of a broadcast stream", ""):
        processed.run()


def test_more_times_than_rows(refused: Refused) -> None:
    def do(me: Any, ctx: Any, batch: Any) -> None:
        ctx.set_timers([10**9] * 3, [0])

    with refused(et.UserCodeError, "3 times for 1 rows", "rows, among rows", ""):
        by_batch(do, on_timers=nothing).run()


@pytest.mark.parametrize("ttl", ["0s", "-1s", 5, "soon"])
def test_a_life_that_is_none(ttl: Any, refused: Refused) -> None:
    with refused(et.DurationError, str(ttl), "ttl", ""):
        et.value_state(pa.int8(), ttl=ttl)


def test_an_event_time_of_results_in_an_unknown_unit(refused: Refused) -> None:
    with refused(et.TimeColumnError, "unknown unit", "column 'n'", "time_unit"):
        stream().process(nothing, output=OUTPUT, time="n")


def test_a_column_that_is_not_there(refused: Refused) -> None:
    with refused(et.ColumnError, "'zz'", "process(columns=…)", "columns are t, k, s"):
        stream().process(nothing, output=OUTPUT, columns=["zz"]).run()


def test_a_timer_of_a_batch_that_is_too_near(refused: Refused) -> None:
    def near(me: Any, ctx: Any, batch: Any) -> None:
        ctx.set_timers(np.maximum(ctx.watermarks_us, 0) + 5)

    processed = by_batch(near, on_timers=nothing, timers_at_least="6us")
    with refused(et.UserCodeError, "(timers_at_least) ahead of the watermark", "1 rows", ""):
        processed.run()


def test_an_output_without_an_event_time(refused: Refused) -> None:
    def emit(ctx: Any, row: Any) -> None:
        ctx.emit(at=None)

    output = pa.schema({"at": pa.timestamp("us")})
    with refused(et.UserCodeError, "event time 'at' is None", "partition 'a'", ""):
        stream().process(emit, output=output, time="at").run()


def test_a_null_where_none_may_be(refused: Refused) -> None:
    def emit(ctx: Any, row: Any) -> None:
        ctx.emit(n=None)

    output = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    with refused(et.UserCodeError, "column 'n' is null", "partition 'a'", ""):
        stream().process(emit, output=output).run()


def test_a_window_behind_results_without_a_time(refused: Refused) -> None:
    results = stream().process(nothing, output=OUTPUT)
    with refused(et.PlanError, "only if it is named", "process nothing", "time="):
        results.window(et.tumbling("1s")).aggregate(n=et.count()).run()


def test_two_side_outputs_of_one_name(refused: Refused) -> None:
    output = pa.schema({"at": pa.timestamp("us"), "k": pa.string()})
    first = stream().process(nothing, output=output, time="at", sides={"late": output})
    with refused(et.PlanError, "'late'", "sides", "a tag of its own"):
        first.window(et.tumbling("1s")).aggregate(n=et.count()).run()


def test_processing_time_in_a_replay(refused: Refused) -> None:
    class Brief(et.ProcessFunction):
        on_row = nothing
        held = et.value_state(pa.int64(), ttl="1s", ttl_clock="processing")

    processed = stream().process(Brief(), output=OUTPUT)
    with refused(et.PlanError, "a replay has none", "process(function)", "et.Engine"):
        processed.run()
    Engine(processed, ["a"], clock=et.ManualClock())


def test_no_watermark(refused: Refused) -> None:
    plain = et.from_arrow(seconds(k=[1, 2, 3]), time="t").key_by("k")
    with refused(et.PlanError, "a process function needs a watermark", "process", ""):
        plain.process(nothing, output=OUTPUT).run()
