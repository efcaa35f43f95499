"""Pipelines and what they are made of: generators, windows, lateness, modes, aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import AggregateTypeError, PlanError
from eventtime.expressions import check_columns
from eventtime.readers import from_arrow
from eventtime.state.keys import check_key_type
from eventtime.testing.given import check_schema
from eventtime.timestamp import check_time_type
from eventtime.watermark import WatermarkGenerator, ascending, bounded_disorder, punctuated
from eventtime.windows import aggregate as functions
from eventtime.windows.assigner import GridAssigner, global_window, sliding, tumbling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.stream import Stream
    from eventtime.windows.accumulation import AccumulationMode
    from eventtime.windows.aggregate import Aggregate

__all__ = ("aggregates", "generators", "lateness", "modes", "pipelines", "windows")

_OF_COLUMNS: Final = {
    "sum": functions.sum_,
    "min": functions.min_,
    "max": functions.max_,
    "mean": functions.mean,
    "var": functions.var,
    "stddev": functions.stddev,
    "count": functions.count,
    "first": functions.first,
    "last": functions.last,
    "count_distinct": functions.count_distinct,
    "collect": functions.collect,
    "any": functions.any_,
    "all": functions.all_,
}


def generators(
    *,
    unit: DurationLike = "1s",
    columns: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> st.SearchStrategy[WatermarkGenerator]:
    """Watermark generators whose watermark a rule defines (S3).

    Args:
        unit: bounds are up to ten of it.
        columns: time columns that may carry watermarks; flags: boolean ones that may.

    >>> from hypothesis import find
    >>> find(generators(unit="1m"), lambda g: g != ascending()).describe()
    "bounded_disorder('1m')"
    """
    steps = parse_us(unit, name="unit", zero=False)
    bounds = st.integers(0, 10).map(lambda n: bounded_disorder(format_us(n * steps)))
    marks: list[Any] = [st.sampled_from(list(columns)).map(_by_column)] if columns else []
    marks += [st.sampled_from(list(flags)).map(_by_flag)] if flags else []
    return st.one_of(st.just(ascending()), bounds, bounds.map(lambda g: g), *marks)


def _by_column(name: str) -> WatermarkGenerator:
    return punctuated(column=name)


def _by_flag(name: str) -> WatermarkGenerator:
    return punctuated(where=pc.field(name))


def windows(
    *, unit: DurationLike = "1s", has_global: bool = True
) -> st.SearchStrategy[GridAssigner]:
    """Windows of any size, slide and offset (S14).

    Args:
        unit: sizes are up to twelve of it; slides need not divide them.
        has_global: whether there is the window of all time, too.

    >>> from hypothesis import find
    >>> find(windows(unit="1h"), lambda w: w.grid.slices > 1).describe()
    "sliding('2h', slide='1h')"
    """
    step = parse_us(unit, name="unit", zero=False)

    @st.composite
    def drawn(draw: st.DrawFn) -> GridAssigner:
        size, offset = draw(st.integers(1, 12)), format_us(draw(st.integers(-15, 15)) * step)
        is_sliding = draw(st.booleans())
        slide = draw(st.integers(1, size))
        if has_global and draw(st.integers(0, 9)) == 9:
            return global_window()
        length = format_us(size * step)
        if is_sliding:
            return sliding(length, slide=format_us(slide * step), offset=offset)
        return tumbling(length, offset=offset)

    return drawn()


def lateness(*, unit: DurationLike = "1s") -> st.SearchStrategy[str]:
    """Allowed latenesses (S18): often none, at times longer than the windows.

    >>> from hypothesis import find
    >>> find(lateness(unit="1m"), lambda text: text != "0s")
    '1m'
    """
    step = parse_us(unit, name="unit", zero=False)
    return st.one_of(st.just(0), st.integers(1, 30)).map(lambda n: format_us(n * step))


def modes() -> st.SearchStrategy[AccumulationMode]:
    """Ways of correcting a result (S21).

    >>> from hypothesis import find
    >>> find(modes(), lambda _: True)
    'accumulating'
    """
    every: list[AccumulationMode] = ["accumulating", "discarding", "retracting"]
    return st.sampled_from(every)


def aggregates(
    schema: pa.Schema, *, most: int = 4, columns: Sequence[str] | None = None
) -> st.SearchStrategy[dict[str, Aggregate]]:
    """Aggregates by name, each of a column that it suits; always at least one.

    Args:
        schema: of the rows.
        most: how many there are.
        columns: that they are of; None: all.

    Raises:
        PlanError: no schema, or it has no such column.

    >>> from hypothesis import find
    >>> schema = pa.schema({"x": pa.float64(), "name": pa.string()})
    >>> list(find(aggregates(schema), lambda made: "rows" not in made))
    ['sum_x']
    """
    check_schema(schema, place="aggregates(schema)")
    known = schema.names if columns is None else columns
    check_columns(schema, known, place="aggregates(columns=…)")
    made = {"rows": functions.count()}
    for column in known:
        for name, function in _OF_COLUMNS.items():
            if _suits(function(column), schema):
                made[f"{name}_{column}"] = function(column)
    names = st.lists(st.sampled_from(list(made)), min_size=1, max_size=most, unique=True)
    return names.map(lambda chosen: {name: made[name] for name in chosen})


def _suits(aggregate: Aggregate, schema: pa.Schema) -> bool:
    rows = pa.schema([*schema, pa.field("_time", pa.timestamp("us"))])
    marked = from_arrow(rows.empty_table(), time="_time").watermark(ascending())
    try:
        return bool(marked.window(global_window()).aggregate(_made=aggregate).schema)
    except AggregateTypeError:
        return False


def pipelines(
    schema: pa.Schema, *, time: str, time_unit: str | None = None, unit: DurationLike = "1s"
) -> st.SearchStrategy[Stream]:
    """Whole pipelines over rows of a schema: watermark, keys, windows, aggregates.

    Args:
        schema: of the rows.
        time: their event-time column; time_unit: of a column of integers.
        unit: durations are a few of it.

    Raises:
        PlanError: no schema; or the column is not there, or holds no time.

    >>> from hypothesis import find
    >>> schema = pa.schema({"t": pa.timestamp("s"), "x": pa.float64()})
    >>> find(pipelines(schema, time="t"), lambda _: True).schema.names[:3]
    ['window_start', 'window_end', 'rows']
    """
    check_schema(schema, place="pipelines(schema)")
    source = from_arrow(schema.empty_table(), time=time, time_unit=time_unit)
    check_columns(schema, [time], place="pipelines(time=…)")
    check_time_type(time, schema.field(time).type, time_unit)
    step = parse_us(unit, name="unit", zero=False)
    others = [field for field in schema if field.name != time]
    marks = [f.name for f in others if pa.types.is_timestamp(f.type)]
    flags = [f.name for f in others if pa.types.is_boolean(f.type)]
    keys = [f.name for f in others if _is_key(f)]
    durations = st.one_of(st.none(), st.integers(1, 20).map(lambda n: format_us(n * step)))
    parts: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "generator": generators(unit=unit, columns=marks, flags=flags),
            "idle_after": durations,
            "all_idle": st.sampled_from(["hold", "flush_max"]),
            "max_future": st.one_of(st.none(), st.none().map(lambda _: None), durations),
        }
    )
    grouping = st.lists(st.sampled_from(keys), max_size=2, unique=True) if keys else st.just([])
    made = aggregates(schema, columns=[field.name for field in others])

    @st.composite
    def drawn(draw: st.DrawFn) -> Stream:
        marked = source.watermark(**draw(parts))
        by = draw(grouping)
        grouped = marked.key_by(*by) if by else marked
        windowed = grouped.window(
            draw(windows(unit=unit)),
            allowed_lateness=draw(lateness(unit=unit)),
            mode=draw(modes()),
        )
        return windowed.aggregate(**draw(made))

    return drawn()


def _is_key(field: pa.Field) -> bool:
    try:
        check_key_type(field.name, field.type)
    except PlanError:
        return False
    return True
