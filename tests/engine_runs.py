"""The engine on what the oracle computes: specs as streams, rows as Arrow data, and back."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

import eventtime as et
from eventtime.sources.base import Poll
from eventtime.testing.driving import drive
from eventtime.testing.steps import Push
from marks import generator_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.engine import Engine
    from eventtime.sources.base import PartitionReader, Position
    from eventtime.stream import Stream, WindowedStream
    from eventtime.testing.reference import Aggregate, Oracle, Row, Spec
    from strategies import Step

TIME = pa.timestamp("us")
SCHEMA = pa.schema(
    {
        "t": TIME,
        "key": pa.int64(),
        "name": pa.string(),
        "n": pa.int64(),
        "x": pa.float64(),
        "b": pa.bool_(),
        "mark": TIME,
        "is_mark": pa.bool_(),
    }
)
"""Of the rows that `strategies` draws."""


# In


@dataclass(frozen=True)
class Where:
    """A filter behind the watermark: rows in which a boolean column is true go on."""

    column: str

    def __call__(self, row: Row) -> Row | None:
        return row if row[self.column] else None


def batch_of(rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    """Lay rows out in columns; times are given in µs, decimals and others as Python has them."""
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_timestamp(field.type) or pa.types.is_duration(field.type):
            columns.append(pa.array(values, pa.int64()).view(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class CutReader:
    """Hands over batches just as they were cut, also those without rows."""

    def __init__(self, name: str, batches: Sequence[pa.RecordBatch], first: int = 0) -> None:
        self.name, self._first, self._rest = name, first, []
        for batch in batches:
            self._rest.append(batch.slice(min(first, len(batch))))
            first -= min(first, len(batch))

    @property
    def position(self) -> Position:
        return {"row": self._first}

    def read(self) -> pa.RecordBatch | Poll:
        if not self._rest:
            return Poll.END
        batch = self._rest.pop(0)
        self._first += len(batch)
        return batch

    def close(self) -> None:
        pass


@dataclass(frozen=True, eq=False)
class CutSource:
    """Partitions of batches that nobody joins or cuts on the way, unlike `et.from_arrow`."""

    partitions: Mapping[str, Sequence[pa.RecordBatch]]
    time: str = "t"
    time_unit: str | None = None

    def schema(self) -> pa.Schema:
        return next(iter(self.partitions.values()))[0].schema

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        names = list(columns) if columns is not None else self.schema().names
        return [
            CutReader(
                name,
                [batch.select(names) for batch in self.partitions[name]],
                (positions or {}).get(name, {"row": 0})["row"],
            )
            for name in sorted(self.partitions)
        ]

    def describe(self) -> str:
        return "batches as they were cut"

    def total_rows(self) -> int | None:
        return None


def source_of(
    partitions: Mapping[str, Sequence[Row]],
    cuts: Mapping[str, Sequence[Sequence[Row]]] | None = None,
    schema: pa.Schema = SCHEMA,
) -> Stream:
    """Read partitions whole, or in the batches they were cut into."""
    pieces = cuts if cuts is not None else {name: [rows] for name, rows in partitions.items()}
    batches = {name: [batch_of(p, schema) for p in parts] for name, parts in pieces.items()}
    return et.union(et.Stream.read(CutSource(batches)))


def us(duration: int) -> str:
    """A duration as the engine takes it."""
    return f"{duration}us"


def aggregate_of(aggregate: Aggregate) -> et.Aggregate:
    """The engine's aggregate for the oracle's."""
    make: Any = getattr(et, aggregate.function)
    made: et.Aggregate = make() if aggregate.column is None else make(aggregate.column)
    return made


def windowed(stream: Stream, spec: Spec) -> Stream:
    """Keys, windows and aggregates of a spec."""
    assigner: Any = et.global_window()
    if spec.size is not None:
        size, offset = us(spec.size), us(spec.offset)
        assigner = et.sliding(size, slide=us(spec.step), offset=offset)
        if spec.slide is None:
            assigner = et.tumbling(size, offset=offset)
    grouped = stream.key_by(*spec.keys) if spec.keys else stream
    windows: WindowedStream = grouped.window(
        assigner,
        allowed_lateness=us(spec.lateness),
        mode=spec.mode,  # type: ignore[arg-type]
    )
    return windows.aggregate(**{a.name: aggregate_of(a) for a in spec.aggregates})


def watermarked(stream: Stream, spec: Spec, *, max_ahead: int | None = None) -> Stream:
    """The watermark of a spec, and its filter behind it; how far ahead a partition may be."""
    marked = stream.watermark(
        generator_of(spec),
        idle_after=None if spec.idle_after is None else us(spec.idle_after),
        all_idle=spec.all_idle,  # type: ignore[arg-type]
        max_future=None if spec.max_future is None else us(spec.max_future),
        max_ahead=None if max_ahead is None else us(max_ahead),
    )
    where = spec.behind
    return marked.filter(pc.field(where.column)) if isinstance(where, Where) else marked


def stream_of(stream: Stream, spec: Spec) -> Stream:
    """The whole pipeline of a spec over a stream of rows."""
    return windowed(watermarked(stream, spec), spec)


def drive_engine(engine: Engine, clock: et.ManualClock, step: Step) -> None:
    """Do one step of a schedule; `strategies.drive` has the oracle do it."""
    if isinstance(step, Push):
        engine.push(step.partition, batch_of(step.rows))
    else:
        drive(engine, clock, step)


# Out


def rows_of(table: pa.Table) -> list[Row]:
    """Rows with times and durations as µs, as the oracle has them."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
            columns.append(
                [v for chunk in column.chunks for v in chunk.view(pa.int64()).to_pylist()]
            )
        else:
            columns.append(column.to_pylist())
    rows = zip(*columns, strict=True) if columns else []
    return [dict(zip(table.column_names, row, strict=True)) for row in rows]


def ipc_bytes(table: pa.Table) -> bytes:
    """The table as one batch in Arrow's stream format: equal tables, equal bytes."""
    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in whole.to_batches():
            writer.write_batch(
                pa.RecordBatch.from_arrays([_plain(c) for c in batch.columns], schema=batch.schema)
            )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _plain(array: pa.Array) -> pa.Array:
    """Copy an array, so that neither offsets nor what stands under nulls shows in its bytes."""
    return pa.concat_arrays([array.take(pa.array(range(len(array)), pa.int64()))])


# Beside the oracle


def finite(row: Row) -> Row:
    """A row of the oracle with times as a result has them: infinities are null."""
    return {n: None if n in _TIMES and math.isinf(v) else v for n, v in row.items()}


_TIMES = ("window_start", "window_end", "watermark")
CLOSE = ("var_", "stddev_")
"""Results that are rounded along the way; all others are compared exactly."""


def differences(got: Sequence[Row], wanted: Sequence[Row]) -> list[str]:
    """What differs between two lists of rows, in words."""
    found = []
    if len(got) != len(wanted):
        found.append(f"{len(got)} rows, not {len(wanted)}")
    for i, (mine, theirs) in enumerate(zip(got, wanted, strict=False)):
        if list(mine) != list(theirs):
            return [*found, f"columns {list(mine)}, not {list(theirs)}"]
        odd = [n for n in mine if not _same(n, mine[n], theirs[n])]
        if odd:
            found.append(
                f"row {i}: " + ", ".join(f"{n} {mine[n]!r}, not {theirs[n]!r}" for n in odd)
            )
    return found


def _same(name: str, a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same("", x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        if a != a or b != b:  # noqa: PLR0124 - NaN
            return a != a and b != b  # noqa: PLR0124
        return a == b or (name.startswith(CLOSE) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))
    return type(a) is type(b) and bool(a == b)


def assert_rows(got: pa.Table, wanted: Sequence[Row]) -> None:
    """Results or side outputs are those of the oracle, in its order."""
    found = differences(rows_of(got), [finite(row) for row in wanted])
    assert not found, "\n".join(["the engine differs from the oracle:", *found])


def assert_ledger(ledger: et.Ledger, oracle: Oracle) -> None:
    """The ledger balances and has the oracle's figures, for each partition and operator."""
    ledger.assert_balanced()
    counted = ledger.to_dict()
    mine = {
        n: {k: v for k, v in p.items() if k != "waiting"} for n, p in counted["partitions"].items()
    }
    assert mine == oracle.ledger
    assert counted["operators"][0] == oracle.operator.ledger
    assert counted["total"]["waiting"] == 0


def without_detail(table: pa.Table) -> pa.Table:
    """The quarantine with nothing in place of its sentence, as the oracle has it."""
    place = table.schema.get_field_index("detail")
    return table.set_column(place, "detail", pa.nulls(len(table), pa.string()))


def all_null_times(partitions: Mapping[str, Sequence[Row]]) -> bool:
    """Whether there are rows and none has a time, which a run refuses."""
    reasons = Counter(row["t"] is None for rows in partitions.values() for row in rows)
    return reasons[True] > 0 and reasons[False] == 0


def plain_spec(spec: Spec, **changes: Any) -> Spec:
    """A spec with some fields changed."""
    return replace(spec, **changes)
