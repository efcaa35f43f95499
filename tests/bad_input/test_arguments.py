"""Every argument of the public face, given things of each wrong kind: refused with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from refusals import SECONDS, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[Any], object]

ROWS: Final = pa.table({
    "t": pa.array(range(3), SECONDS), "x": [1, 2, 3], "b": [True, False, None],
})  # fmt: skip


class Anything:
    """A class that can be called with whatever there is."""

    def __init__(self, *given: object) -> None:
        pass


# By name, so that a call can say which of them it takes.
THINGS: Final[dict[str, Any]] = {
    "None": None, "3": 3, "-1": -1, "1.5": 1.5, "nan": float("nan"), "True": True,
    "''": "", "'zz'": "zz", "'٣h'": "٣h", "'9…9h'": "9" * 5_000 + "h", "b'x'": b"x",
    "[]": [], "['x']": ["x"], "[1]": [1], "('x',)": ("x",), "{1}": {1}, "{'a': 1}": {"a": 1},
    "slice": slice(1), "object": object(), "class": Anything, "lambda": lambda *_: None,
    "numpy": np.array([1, 2]), "timedelta64": np.timedelta64(3, "s"), "array": pa.array([1]),
    "table": ROWS, "expression": pc.field("x"), "aggregate": et.count(),
    "stream": et.from_arrow(ROWS, time="t"),
}  # fmt: skip


def rows() -> et.Stream:
    return et.from_arrow(ROWS, time="t")


def marked() -> et.Stream:
    return rows().watermark(et.ascending())


def windowed(**options: Any) -> et.WindowedStream:
    return marked().window(et.tumbling("1h"), **options)


def counted() -> et.Stream:
    return windowed().aggregate(n=et.count())


def under(generator: Any) -> str:
    return rows().watermark(generator).window(et.tumbling("1h")).aggregate(n=et.count()).explain()


def engine(**options: Any) -> et.Engine:
    return et.Engine(counted(), ["a"], **options)


ONE: Any = type("Sum", (), dict.fromkeys(["create", "add", "merge", "result", "result_type"]))()
FLAG = "True"
FUNCTION = "class lambda"
STRING = "'zz' '٣h' '9…9h'"
COLUMN = "expression"
CALLS: Final[dict[str, tuple[Call, str]]] = {
    "advise(stream)": (et.advise, "stream"),
    "advise(on_time)": (lambda v: et.advise(rows(), on_time=v), ""),
    "advise(progress)": (lambda v: et.advise(rows(), progress=v), f"None {FUNCTION}"),
    "Advice.costs": (lambda v: et.advise(rows()).costs(v), "None []"),
    "Aggregate": (et.Aggregate, ""),
    "aggregate(unnamed)": (lambda v: windowed().aggregate(v), ""),
    "aggregate(name)": (lambda v: windowed().aggregate(n=v), "aggregate"),
    "sliding(size)": (lambda v: et.sliding(v, slide="1s"), ""),
    "sliding without a slide": (et.sliding, ""),
    "sliding(slide)": (lambda v: et.sliding("1h", slide=v), ""),
    "sliding(offset)": (lambda v: et.sliding("1h", slide="1m", offset=v), ""),
    "tumbling(size)": (et.tumbling, ""),
    "tumbling(offset)": (lambda v: et.tumbling("1h", offset=v), ""),
    "bounded_disorder": (et.bounded_disorder, ""),
    "punctuated(column)": (lambda v: under(et.punctuated(column=v)), ""),
    "punctuated(where)": (lambda v: under(et.punctuated(where=v)), ""),
    "custom": (et.custom, FUNCTION),
    "percentile(share)": (et.percentile, ""),
    "percentile(initial)": (lambda v: et.percentile(initial=v), ""),
    "percentile(warm_up)": (lambda v: et.percentile(warm_up=v), "3"),
    "percentile(every)": (lambda v: et.percentile(every=v), "3"),
    "watermark(generator)": (lambda v: rows().watermark(v), ""),
    "watermark(idle_after)": (lambda v: rows().watermark(et.ascending(), idle_after=v), "None"),
    "watermark(all_idle)": (lambda v: rows().watermark(et.ascending(), all_idle=v), ""),
    "watermark(max_future)": (lambda v: rows().watermark(et.ascending(), max_future=v), "None"),
    "filter": (lambda v: rows().filter(v).schema, ""),
    "select": (lambda v: rows().select(v).schema, ""),
    "with_columns(unnamed)": (lambda v: rows().with_columns(v), ""),
    "with_columns(name)": (lambda v: rows().with_columns(y=v).schema, COLUMN),
    "map_batches(function)": (lambda v: rows().map_batches(v).schema, ""),
    "map_batches(schema)": (lambda v: rows().map_batches(lambda b: b, schema=v), "None"),
    "Stream": (et.Stream, ""),
    "Stream.read": (et.Stream.read, ""),
    "Stream.union": (lambda v: rows().union(v), "stream"),
    "union": (et.union, "stream"),
    "key_by": (
        lambda v: marked().key_by(v).window(et.tumbling("1h")).aggregate(n=et.count()).schema, "",
    ),
    "window(assigner)": (lambda v: marked().window(v), ""),
    "window(late)": (lambda v: windowed(late=v), f"None {STRING}"),
    "window(late_columns)": (
        lambda v: windowed(late_columns=v).aggregate(n=et.count()).schema, "None [] ['x'] ('x',)",
    ),
    "window(allowed_lateness)": (lambda v: windowed(allowed_lateness=v), ""),
    "window(mode)": (lambda v: windowed(mode=v), ""),
    "run(sink)": (lambda v: counted().run(v), "None"),
    "run(sides)": (lambda v: counted().run(sides=v), "None"),
    "run(sides: sink)": (lambda v: counted().run(sides={"late": v}), ""),
    "run(shards)": (lambda v: counted().run(shards=v), "3"),
    "run(overwrite)": (lambda v: counted().run(overwrite=v), FLAG),
    "run(progress)": (lambda v: counted().run(progress=v), f"None {FUNCTION}"),
    "Run.side": (lambda v: counted().run().side(v), ""),
    "Engine(stream)": (lambda v: et.Engine(v, ["a"]), ""),
    "Engine(partitions)": (lambda v: et.Engine(counted(), v), "[] ['x'] ('x',)"),
    "Engine(clock)": (lambda v: engine(clock=v), "None"),
    "Engine(shards)": (lambda v: engine(shards=v), "3"),
    "Engine.push(partition)": (lambda v: engine().push(v, ROWS.to_batches()[0]), ""),
    "Engine.push(batch)": (lambda v: engine().push("a", v), ""),
    "Engine.add_partition": (lambda v: engine().add_partition(v), STRING),
    "Engine.finish": (lambda v: engine().finish(v), ""),
    "Engine.poll_empty": (lambda v: engine().poll_empty(v), ""),
    "Engine.side": (lambda v: engine().side(v), ""),
    "ManualClock": (et.ManualClock, "3 -1"),
    "ManualClock.advance": (lambda v: et.ManualClock().advance(v), "3 -1"),
    "from_arrow(data)": (lambda v: et.from_arrow(v, time="t").schema, "table"),
    "from_arrow(data: partition)": (lambda v: et.from_arrow({"a": v}, time="t"), "table"),
    "from_arrow(time)": (lambda v: et.from_arrow(ROWS, time=v), STRING),
    "from_arrow(time_unit)": (lambda v: et.from_arrow(ROWS, time="x", time_unit=v), "None"),
    "by_column": (et.by_column, STRING),
    "by_day(column)": (et.by_day, STRING),
    "by_hour(column)": (et.by_hour, STRING),
    "by_month(column)": (et.by_month, STRING),
    "by_day(time_unit)": (lambda v: et.by_day("x", time_unit=v), "None"),
    "user": (lambda v: et.user(v, "x"), ""),
    "user(columns)": (lambda v: et.user(ONE, v), f"{STRING} '' expression"),
    "var(ddof)": (lambda v: et.var("x", ddof=v), "3"),
}  # fmt: skip


for name in ("sum", "min", "max", "mean", "var", "stddev", "first", "last", "any", "all",
             "count_distinct", "collect"):  # fmt: skip
    CALLS[name] = (getattr(et, name), f"{STRING} '' expression")


def given(function: Any, place: str, argument: str, **others: Any) -> Call:
    """Call with one argument that varies."""
    return lambda value: function(place, **{**others, argument: value})


READS: Final = {
    "time": STRING, "time_unit": "None", "partition_by": "", "filesystem": "None", "hive": FLAG,
}  # fmt: skip
TEXTS: Final = {"on_malformed": "", "schema": "None"}
CSV: Final = {"delimiter": "None", "newlines_in_values": FLAG}
for name, own in {
    "read_parquet": {}, "read_ipc": {}, "read_csv": TEXTS | CSV, "read_json_lines": TEXTS,
}.items():  # fmt: skip
    CALLS[name] = (lambda v, name=name: getattr(et, name)(v, time="t").schema, "")  # type: ignore[misc]
    for argument, takes in (READS | own).items():
        CALLS[f"{name}({argument})"] = (given(getattr(et, name), "none", argument, time="t"), takes)
WRITES: Final = {"partition_by": "None", "compression": "None", "overwrite": FLAG}
for name in ("to_parquet", "to_csv", "to_json_lines", "to_ipc"):
    CALLS[name] = (getattr(et, name), STRING)
    for argument, takes in WRITES.items():
        CALLS[f"{name}({argument})"] = (given(getattr(et, name), "o", argument), takes)
    CALLS[f"{name}(filesystem)"] = (
        lambda v, name=name: getattr(et, name)("o", filesystem=v).open(ROWS.schema).abort(),  # type: ignore[misc]
        "None",
    )
CALLS["to_parquet(compression)"] = (given(et.to_parquet, "o", "compression"), "")


def taken(table: str) -> set[str]:
    """Split names at spaces, but for those that hold one."""
    return {name for name in THINGS if f" {name} " in f" {table} "}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_of_the_wrong_kind_is_refused(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, takes = CALLS[name]
    for thing, value in THINGS.items():
        if thing in taken(takes):
            call(value)
            continue
        with pytest.raises(et.EventTimeError) as error:
            assert call(value) is error, f"{name} takes {thing}"
        _, *rest = str(error.value).splitlines()
        assert rest[-1].startswith("  fix: "), str(error.value)
        assert len(rest) <= 2, str(error.value)


def test_an_aggregate_without_a_name(refused: Refused) -> None:
    with refused(et.PlanError, "count() is given without a name", "aggregate(", "n=et.count()"):
        windowed().aggregate(et.count())  # type: ignore[arg-type]


def test_sliding_windows_without_a_slide(refused: Refused) -> None:
    with refused(et.PlanError, "'1h' are given no slide", "slide=", "et.tumbling('1h')"):
        et.sliding("1h")


def test_data_that_was_not_made_a_stream(refused: Refused) -> None:
    with refused(et.PlanError, "an object of type Table is no stream", "advise(", "et.from_arrow"):
        et.advise(ROWS)


def test_a_mark_that_is_not_a_predicate(refused: Refused) -> None:
    with refused(et.PlanError, "predicate x is of type int64", "punctuated(where=", "compare"):
        under(et.punctuated(where=pc.field("x")))


@pytest.mark.parametrize("text", ["٣h", "३m", "²s", "1h३0m"])
def test_digits_of_other_scripts_are_no_duration(text: str, refused: Refused) -> None:
    with refused(et.DurationError, f"{text!r} is not a duration", "size=", "'90s'"):
        et.tumbling(text)


def test_a_class_where_an_aggregate_is_wanted(refused: Refused) -> None:
    with refused(et.PlanError, "Sum is a class", "user(", "Sum()"):
        kind: Any = type(ONE)
        et.user(kind, "x")
