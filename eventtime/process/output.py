"""One output of a process function on its way out: rows or batches, checked against its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.checks import shown
from eventtime.errors import UserCodeError
from eventtime.state.exact import array_of, scalar_of
from eventtime.state.keyed_state import shaped
from eventtime.timestamp import to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventtime.process.plan import OutputTime, ProcessPlan

__all__ = ("Output", "outputs_of", "points_of")

Ints = NDArray[np.int64]


class Output:
    """Results, or the rows of one side output.

    In: `add` and `convert` (one row), `add_batch` and `settle` (many). Out: `take`.

    Args:
        schema: of the rows.
        call: that makes them, for messages.
        time: event time that they must have.
        key_of: describes the key of a slot.
    """

    def __init__(
        self, schema: pa.Schema, call: str, time: OutputTime | None, key_of: Callable[[int], str]
    ) -> None:
        self.schema, self._call, self._time, self._key_of = schema, call, time, key_of
        self._names = frozenset(schema.names)
        self._rows: list[dict[str, Any]] = []
        self._marks: list[int] = []
        self._slots: list[int] = []
        self._unsettled: list[tuple[pa.RecordBatch, Ints, Ints]] = []
        self._done: list[tuple[pa.RecordBatch, Ints]] = []

    def add(self, row: dict[str, Any], watermark_us: int, slot: int) -> None:
        """Take one row.

        Raises:
            TypeError: it has other columns than the schema.
        """
        if row.keys() != self._names:
            raise TypeError(self._other_columns(row))
        self._rows.append(row)
        self._marks.append(watermark_us)
        self._slots.append(slot)

    def add_batch(self, columns: Any, rows: Ints, watermarks_us: Ints) -> None:
        """Take many rows.

        Args:
            columns: a record batch, or arrays by name.
            rows: (n,) the row of the input that each comes of: the order.
            watermarks_us: (n,) before each.
        """
        if isinstance(columns, pa.RecordBatch):
            columns = dict(zip(columns.schema.names, columns.columns, strict=True))
        if not isinstance(columns, dict) or columns.keys() != self._names:
            raise TypeError(self._other_columns(columns if isinstance(columns, dict) else {}))
        arrays = [self._array(field, columns[field.name], len(rows)) for field in self.schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self._unsettled.append((batch, rows, watermarks_us))

    def settle(self) -> None:
        """Put what one call of the function gave into the order of its input rows."""
        given, self._unsettled = self._unsettled, []
        if not given:
            return
        batch = pa.concat_batches([b for b, _, _ in given])
        rows = np.concatenate([r for _, r, _ in given])
        marks = np.concatenate([m for _, _, m in given])
        if (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            batch, marks = batch.take(pa.array(order)), marks[order]
        self._done.append((batch, marks))

    def convert(self) -> None:
        """Make columns of the single rows so far: later their slots may stand for other keys.

        Raises:
            UserCodeError: a value does not fit its column.
        """
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        columns = [self._column(field, rows) for field in self.schema]
        batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        self._done.append((batch, np.array(self._marks, np.int64)))
        self._marks, self._slots = [], []

    def take(self) -> tuple[pa.RecordBatch, Ints] | None:
        """Return all rows in order, and the watermark before each; None: there are none.

        Raises:
            UserCodeError: a value does not fit its column.
        """
        self.convert()
        done = [pair for pair in self._done if pair[0].num_rows]
        self._done = []
        if not done:
            return None
        batch = done[0][0] if len(done) == 1 else pa.concat_batches([b for b, _ in done])
        self._check(batch)
        return batch, np.concatenate([marks for _, marks in done])

    def _column(self, field: pa.Field, rows: list[dict[str, Any]]) -> pa.Array:
        values = [row[field.name] for row in rows]
        try:
            return array_of(values, field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            at = next(i for i, value in enumerate(values) if not _fits(value, field.type))
            msg = f"{self._call}: column {field.name!r} holds {field.type}, not {shown(values[at])}"
            remedy = "give a value of that type, or declare another"
            place = f"key {self._key_of(self._slots[at])}"
            raise UserCodeError(msg, place=place, remedy=remedy) from error

    def _array(self, field: pa.Field, values: Any, n: int) -> pa.Array:
        return shaped(values, field.type, n, f"{self._call}: column {field.name!r}")

    def _check(self, batch: pa.RecordBatch) -> None:
        for field in self.schema:
            if not field.nullable and batch.column(field.name).null_count:
                msg = f"{self._call}: column {field.name!r} is null, and is declared not to be"
                raise UserCodeError(msg, remedy="give a value, or declare it nullable")
        if self._time is not None:
            name = self._time.column
            _, admitted = to_us(batch.column(name), self._time.unit)
            if admitted is not None:
                at = int(np.flatnonzero(~admitted)[0])
                msg = f"{self._call}: event time {name!r} is {batch.column(name)[at]}"
                remedy = "give a time between 146,000 years before and after 1970"
                raise UserCodeError(msg, remedy=remedy)

    def _other_columns(self, row: Mapping[str, Any]) -> str:
        given = ", ".join(map(str, row)) or "none"
        return f"{self._call} was given columns {given}; wanted are {', '.join(self.schema.names)}"


def outputs_of(plan: ProcessPlan, key_of: Callable[[int], str]) -> dict[str, Output]:
    """Return the outputs of a function by tag; that of its results is empty."""
    name, outputs = plan.function.name, {}
    for tag, schema in {"": plan.schema, **plan.side_schemas}.items():
        call = f"{name}, {f'side output {tag!r}' if tag else 'output'}"
        outputs[tag] = Output(schema, call, None if tag else plan.output_time, key_of)
    return outputs


def points_of(marks: Ints) -> list[tuple[int, int]]:
    """Return the watermarks before some rows, each with how many rows stand behind it."""
    starts = np.flatnonzero(np.append([True], marks[1:] != marks[:-1]))
    lengths = np.diff(np.append(starts, len(marks))).tolist()
    return list(zip(marks[starts].tolist(), lengths, strict=True))


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        scalar_of(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True
