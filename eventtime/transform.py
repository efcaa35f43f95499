"""What happens to rows between source and window: filter, select, with_columns, map_batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.encodings import row_fields, rows_of
from eventtime.errors import EventTimeError, UserCodeError
from eventtime.expressions import (
    check_columns,
    check_predicate,
    columns_of,
    evaluate,
    project,
    type_of,
)

__all__ = ("Filter", "MapBatches", "Select", "Step", "Transform", "WithColumns", "pruned")

Ints = NDArray[np.int64]
BatchFunction = Callable[[pa.RecordBatch], Any]


@dataclass(frozen=True)
class Filter:
    """Keep the rows for which a predicate is true."""

    predicate: Any

    def output(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema after the step; refuse what does not fit."""
        check_predicate(schema, self.predicate, place=self.describe())
        return schema

    def needs(self, schema: pa.Schema, wanted: set[str]) -> set[str]:
        """Return the columns it must be given so that `wanted` come out."""
        return wanted | set(columns_of(schema, self.predicate))

    def describe(self) -> str:
        """Return the call that makes it."""
        return f"filter({self.predicate})"


@dataclass(frozen=True)
class Select:
    """Keep some columns."""

    names: tuple[str, ...]

    def output(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema after the step; refuse what does not fit."""
        check_columns(schema, self.names, place=self.describe())
        return pa.schema([schema.field(name) for name in self.names])

    def needs(self, schema: pa.Schema, wanted: set[str]) -> set[str]:
        """Return the columns it must be given so that `wanted` come out."""
        return wanted

    def describe(self) -> str:
        """Return the call that makes it."""
        return f"select({', '.join(map(repr, self.names))})"


@dataclass(frozen=True)
class WithColumns:
    """Add columns, or replace those of the same name.

    Args:
        columns: names and expressions.
        calls: the aggregate that a column is made for, by name; none for those of the user's.
    """

    columns: tuple[tuple[str, Any], ...]
    calls: Mapping[str, str] = field(default_factory=dict)

    def output(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema after the step; refuse what does not fit."""
        out = schema
        for name, expression in self.columns:
            field = pa.field(name, type_of(schema, expression, place=f"with_columns({name}=…)"))
            at = out.get_field_index(name)
            out = out.set(at, field) if at >= 0 else out.append(field)
        return out

    def needs(self, schema: pa.Schema, wanted: set[str]) -> set[str]:
        """Return the columns it must be given so that `wanted` come out."""
        made = {name for name, _ in self.columns}
        read = {c for name, e in self.columns if name in wanted for c in columns_of(schema, e)}
        return (wanted - made) | read

    def describe(self) -> str:
        """Return the call that makes it."""
        if self.calls:
            return f"aggregate({', '.join(self.calls[n] for n, _ in self.columns)})"
        return f"with_columns({', '.join(f'{n}={e}' for n, e in self.columns)})"


@dataclass(frozen=True)
class MapBatches:
    """Apply a function of the user to whole batches."""

    function: BatchFunction
    schema: pa.Schema | None

    def output(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema after the step: as declared, or as the function makes of no rows."""
        if self.schema is not None:
            return row_fields(self.schema)
        empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
        return _called(self.function, empty, "a batch without rows, to learn the schema").schema

    def needs(self, schema: pa.Schema, wanted: set[str]) -> set[str]:
        """Return the columns it must be given: all, for nobody knows what it reads."""
        return set(schema.names)

    def describe(self) -> str:
        """Return the call that makes it."""
        return f"map_batches({getattr(self.function, '__name__', repr(self.function))})"


Step = Filter | Select | WithColumns | MapBatches


class Transform:
    """Steps applied to batches of one partition.

    `rows` have come so far, for errors of user functions.

    Args:
        steps: in order.
        schema: of the input.
        whose: rows they are, for errors of user functions.
    """

    def __init__(
        self, steps: Sequence[Step], schema: pa.Schema, whose: str = "results of the last window"
    ) -> None:
        self._steps, self._whose = list(steps), whose
        self._schemas = [schema]
        for step in steps:
            self._schemas.append(step.output(self._schemas[-1]))
        self.rows = 0

    def of(self, whose: str) -> Transform:
        """Return the same steps for other rows, of which none has come."""
        # Not by `copy`, which takes ten times as long; a partition needs two.
        other = Transform.__new__(Transform)
        other._steps, other._schemas = self._steps, self._schemas
        other._whose, other.rows = whose, 0
        return other

    @property
    def schema(self) -> pa.Schema:
        """Schema after the last step."""
        return self._schemas[-1]

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
        """Return the batch after all steps, and how many rows were left out.

        A negative number: `map_batches` made more.
        """
        n = batch.num_rows
        for step, out in zip(self._steps, self._schemas[1:], strict=True):
            batch = self._step(step, batch, out, n)
        self.rows += n
        return batch, n - batch.num_rows

    def apply_keeping_places(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Ints | None]:
        """Return the batch after all steps, and which rows are left (None: all).

        There is no `map_batches` among the steps.
        """
        n = batch.num_rows
        kept: Ints | None = None
        for step, out in zip(self._steps, self._schemas[1:], strict=True):
            if isinstance(step, Filter):
                try:
                    mask = _true(batch, step.predicate)
                except pa.ArrowException as error:
                    raise self._failed(step, batch, n, error) from error
                places = np.flatnonzero(mask)
                if len(places) < batch.num_rows:
                    kept = places if kept is None else kept[places]
                    batch = batch.filter(pa.array(mask))
            else:
                batch = self._step(step, batch, out, n)
        self.rows += n
        return batch, kept

    def _step(self, step: Step, batch: pa.RecordBatch, out: pa.Schema, n: int) -> pa.RecordBatch:
        try:
            return self._applied(step, batch, out, n)
        except pa.ArrowException as error:
            raise self._failed(step, batch, n, error) from error

    def _failed(self, step: Step, batch: pa.RecordBatch, n: int, error: Exception) -> UserCodeError:
        msg = f"{_failing(step, batch).describe()} failed on a value: {error}"
        remedy = "filter such rows first, or use a form that gives null, such as safe=False casts"
        return UserCodeError(msg, place=self._rows_of(n), remedy=remedy)

    def _rows_of(self, n: int) -> str:
        return f"{self._whose}, rows {self.rows} to {self.rows + n - 1}"

    def _applied(self, step: Step, batch: pa.RecordBatch, out: pa.Schema, n: int) -> pa.RecordBatch:
        if isinstance(step, Filter):
            mask = _true(batch, step.predicate)
            return batch if mask.all() else batch.filter(pa.array(mask))
        if isinstance(step, Select):
            names = list(step.names)
            return batch if batch.schema.names == names else batch.select(names)
        if isinstance(step, WithColumns):
            made = dict(step.columns)
            return project(batch, {name: made.get(name, pc.field(name)) for name in out.names})
        place = self._rows_of(n)
        mapped = _called(step.function, batch, place)
        if mapped.schema.equals(out):
            return mapped
        msg = f"{step.describe()} returned columns {_shown(mapped.schema)}, wanted {_shown(out)}"
        raise UserCodeError(
            msg, place=place, remedy="return the same columns for each batch, or declare schema="
        )


def pruned(
    steps: Sequence[Step], schema: pa.Schema, wanted: set[str]
) -> tuple[tuple[Step, ...], set[str]]:
    """Return the steps without what nothing reads, and the columns they must be given."""
    schemas = [schema]
    for step in steps:
        schemas.append(step.output(schemas[-1]))
    kept: list[Step] = []
    for step, before in zip(reversed(steps), reversed(schemas[:-1]), strict=True):
        needed = step.needs(before, wanted)
        match step:
            case Select(names):
                kept.append(Select(tuple(n for n in names if n in wanted)))
            case WithColumns(columns):
                left = tuple((n, e) for n, e in columns if n in wanted)
                kept += [replace(step, columns=left)] if left else []
            case Filter() | MapBatches():
                kept.append(step)
        wanted = needed
    return tuple(reversed(kept)), set(wanted)


def _true(batch: pa.RecordBatch, predicate: pc.Expression) -> NDArray[np.bool_]:
    mask = pc.fill_null(evaluate(batch, predicate), fill_value=False)
    kept: NDArray[np.bool_] = mask.to_numpy(zero_copy_only=False)
    return kept


def _failing(step: Step, batch: pa.RecordBatch) -> Step:
    """Of several columns, leave only the one whose expression fails."""
    if isinstance(step, WithColumns):
        for column in step.columns:
            try:
                evaluate(batch, column[1])
            except pa.ArrowException:
                return replace(step, columns=(column,))
    return step


def _called(function: BatchFunction, batch: pa.RecordBatch, place: str) -> pa.RecordBatch:
    name = getattr(function, "__name__", repr(function))
    try:
        mapped = function(batch)
    except EventTimeError:
        raise
    except Exception as error:
        msg = f"map_batches function {name} raised {type(error).__name__}: {error}"
        raise UserCodeError(msg, place=place, remedy="see the cause above") from error
    if isinstance(mapped, pa.Table):
        batches = mapped.combine_chunks().to_batches()
        mapped = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=mapped.schema)
    if isinstance(mapped, pa.RecordBatch):
        return rows_of(mapped)
    msg = f"map_batches function {name} returned {type(mapped).__name__}"
    raise UserCodeError(msg, place=place, remedy="return a pyarrow.RecordBatch or Table")


def _shown(schema: pa.Schema) -> str:
    return "(" + ", ".join(f"{f.name}: {f.type}" for f in schema) + ")"
