"""What differs between two outputs, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.encodings import around
from eventtime.once import once
from eventtime.testing.reference.near import Near
from eventtime.testing.reference.plain import plain_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.steps import Row

__all__ = ("bytes_of", "row_differences", "same", "table_differences")

_OF_ONE_FORM: Final = (
    pa.types.is_integer,
    pa.types.is_temporal,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_binary,
)


def same(got: Any, wanted: Any) -> bool:
    """Whether a plain value is the one wanted, type and bits; NaN is itself."""
    if isinstance(wanted, Near):
        return isinstance(got, float) and wanted.holds(got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(got, float) and isinstance(wanted, float):
        return got.hex() == wanted.hex()
    return type(got) is type(wanted) and bool(got == wanted)


def row_differences(name: str, got: Sequence[Row], wanted: Sequence[Row]) -> list[str]:
    """Return what differs; `name` says of which output."""
    if got and wanted and list(got[0]) != list(wanted[0]):
        return [f"{name}: columns {list(got[0])}, not {list(wanted[0])}"]
    if len(got) != len(wanted):
        found = [f"{name}: {_rows(len(got))}, not {len(wanted)}"]
        found += [f"{name}: missing {_short(row)}" for row in _without(wanted, got)]
        return found + [f"{name}: too much {_short(row)}" for row in _without(got, wanted)]
    found = []
    for i, (mine, theirs) in enumerate(zip(got, wanted, strict=True)):
        odd = [n for n in mine if not same(mine[n], theirs[n])]
        if odd:
            told = ", ".join(f"{n} {mine[n]!r}, not {theirs[n]!r}" for n in odd)
            found.append(f"{name}, row {i}: {told}; of {_short(mine)}")
    return found


def _without(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """Return the rows that have no partner among others."""
    left, alone = list(others), []
    for row in rows:
        partner = next((i for i, other in enumerate(left) if _alike(row, other)), None)
        if partner is None:
            alone.append(row)
        else:
            left.pop(partner)
    return alone


def _alike(row: Row, other: Row) -> bool:
    return all(same(row[n], other[n]) or same(other[n], row[n]) for n in row)


def table_differences(name: str, got: pa.Table, wanted: pa.Table) -> list[str]:
    """Return what differs between two tables, to the byte."""
    if _is_exact(wanted) and got.equals(wanted, check_metadata=True):
        return []
    if bytes_of(got) == bytes_of(wanted):
        return []
    found = row_differences(name, plain_rows(got), plain_rows(wanted))
    return found or [f"{name}: equal values, but other bytes or types"]


@once
def bytes_of(table: pa.Table) -> bytes:
    """Return a table in one batch of Arrow's stream format: equal tables, equal bytes.

    Values of dictionaries stand for themselves: which a batch holds, and in what order, is no
    matter of the rows.
    """
    sink = pa.BufferOutputStream()
    sink.write(table.schema.serialize())
    decoded = pa.schema([f.with_type(_decoded(f.type)) for f in table.schema])
    whole = table.cast(decoded).combine_chunks()
    with pa.ipc.new_stream(sink, decoded) as writer:
        for batch in whole.to_batches():
            # Copied, so that neither offsets nor what stands under nulls shows.
            every = pa.array(range(len(batch)), pa.int64())
            writer.write_batch(batch.take(every))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _decoded(kind: pa.DataType) -> pa.DataType:
    """Return the type of values without dictionaries, also inside."""
    return kind.value_type if pa.types.is_dictionary(kind) else around(kind, _decoded)


@once
def _is_exact(table: pa.Table) -> bool:
    """Whether its values have one form each: Arrow takes both zeros of floats for one."""
    return not table.num_rows or all(map(_has_one_form, table.schema.types))


def _has_one_form(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _has_one_form(kind.value_type)
    return any(is_so(kind) for is_so in _OF_ONE_FORM)


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"


def _short(row: Row) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.items())
