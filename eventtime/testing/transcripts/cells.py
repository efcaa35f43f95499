"""Rows that came beside rows that were expected, and how both are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.checks import shown
from eventtime.duration import format_us
from eventtime.errors import EventTimeError, PlanError
from eventtime.testing.rows import batch_of
from eventtime.testing.transcripts.declared import word_of
from eventtime.testing.transcripts.reading import TIME_REMEDY
from eventtime.timestamp import EPOCH_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.transcripts.reading import Entry
    from eventtime.testing.transcripts.script import Times

__all__ = ("Cells", "laid_out", "plain_rows")

_FIRST_US: Final = -62_135_596_800_000_000
_LAST_US: Final = 253_402_300_799_999_999
"""Of the years 1 to 9999."""


def plain_rows(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows with times and durations in whole units of their columns."""
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
            chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
            columns.append([v for chunk in chunks for v in chunk.view(pa.int64()).to_pylist()])
        else:
            columns.append(column.to_pylist())
    names = table.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def laid_out(entry: Entry, field: pa.Field, times: Times, time_unit: str | None) -> pa.RecordBatch:
    """Return a cell as a batch of one row; refused where it stands if its column does not take it.

    Args:
        entry: the cell.
        field: its column.
        times: how the transcript writes them.
        time_unit: of times that are integers; None: these are no times.
    """
    value, is_time = times.whole(entry.plain), pa.types.is_timestamp(field.type)
    unit, remedy = time_unit if isinstance(value, str) else None, TIME_REMEDY
    if not is_time:
        remedy = f"column {field.name!r} is of type {word_of(field.type)}"
    try:
        if is_time and isinstance(value, int) and _can_be_said(value, field.type.unit):
            raise PlanError(str(value))
        return batch_of([{field.name: value}], pa.schema([field]), time=field.name, time_unit=unit)
    except EventTimeError:
        return entry.refuse(f"{shown(entry.plain)} is no {word_of(field.type)}", remedy)


@dataclass(frozen=True)
class Cells:
    """Cells of one output.

    Args:
        schema: of its rows.
        times: how the transcript writes them.
        time_unit: of times that are integers.
    """

    schema: pa.Schema
    times: Times
    time_unit: str | None

    def expected(self, entry: Entry) -> list[dict[str, Any]]:
        """Return rows as a transcript writes them, in the columns' types."""
        return [self._row(one) for one in entry.items("rows")]

    def _row(self, entry: Entry) -> dict[str, Any]:
        said = entry.mapping("row")
        if "window" in said:
            like = "window: [00:00:00, 00:01:00]"
            bounds = (window := said.pop("window")).items("bounds", like=like)
            if len(bounds) != 2:
                window.refuse("a window has two bounds", f"write {like}")
            for name, bound in zip(("window_start", "window_end"), bounds, strict=True):
                if name in said:
                    said[name].refuse(f"{name} is said by 'window' too", "leave one of them out")
                said[name] = bound
        return {name: self._value(name, one) for name, one in said.items()}

    def _value(self, name: str, entry: Entry) -> Any:
        if name not in self.schema.names:
            entry.refuse(f"there is no column {name!r}", f"it is one of {self.schema.names}")
        (row,) = plain_rows(laid_out(entry, self.schema.field(name), self.times, self.time_unit))
        return row[name]

    def differences(
        self, got: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Say what differs; columns that are not expected are not looked at."""
        found = []
        if len(got) != len(wanted):
            found.append(f"{len(got)} came, and {len(wanted)} are expected")
        for i, (mine, theirs) in enumerate(zip(got, wanted, strict=False), 1):
            for name, value in theirs.items():
                if not _same(mine[name], value):
                    told = self.cell(name, mine[name]), self.cell(name, value)
                    found.append(f"number {i}: {name} is {told[0]}, and {told[1]} is expected")
        return found

    def shown(self, row: dict[str, Any], names: Sequence[str] = ()) -> str:
        """Write a row as a transcript does."""
        cells = {name: self.cell(name, row[name]) for name in names or row}
        if {"window_start", "window_end"} <= set(cells):
            bounds = cells.pop("window_start"), cells.pop("window_end")
            cells = {"window": f"[{bounds[0]}, {bounds[1]}]", **cells}
        return f"{{{', '.join(f'{name}: {text}' for name, text in cells.items())}}}"

    def cell(self, name: str, value: Any) -> str:
        """Write a value as a transcript does."""
        kind = self.schema.field(name).type
        if value is None:
            return "null"
        if pa.types.is_timestamp(kind):
            return self.times.short(_us(value, kind.unit))
        if pa.types.is_duration(kind):
            return format_us(_us(value, kind.unit))
        if isinstance(value, bool):
            return str(value).lower()
        return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _can_be_said(value: int, unit: str) -> bool:
    """Whether an instant has a year of four digits; only of others a number is what is meant."""
    return _FIRST_US <= _us(value, unit) <= _LAST_US


def _us(value: int, unit: str) -> int:
    factor = EPOCH_UNITS[unit]
    return value * factor if factor > 0 else value // -factor


def _same(a: Any, b: Any) -> bool:
    is_nan = a != a and b != b  # noqa: PLR0124 - NaN
    return is_nan or bool(a == b)
