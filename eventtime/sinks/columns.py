"""Columns as a database stores them: the nearest type it has, and no value changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.encodings import is_list, unwrapped
from eventtime.errors import SinkError
from eventtime.lanes import is_binary
from eventtime.sinks.text import is_string

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("as_stored", "last_of_each_key", "refused", "stored")

_MICROSECONDS: Final = "us"


def stored(kind: pa.DataType) -> pa.DataType:
    """Return the type that holds the same values and that databases have.

    Times and durations in ns become µs, uint64 a decimal, dates days; dictionaries and other
    layouts become plain.

    >>> stored(pa.timestamp("ns", "UTC")), stored(pa.uint64())
    (TimestampType(timestamp[us, tz=UTC]), Decimal128Type(decimal128(20, 0)))
    """
    if isinstance(kind, pa.BaseExtensionType):
        return stored(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return stored(kind.value_type)
    if is_list(kind):
        return pa.list_(stored(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp(_MICROSECONDS, kind.tz) if kind.unit == "ns" else kind
    plain = {
        pa.duration("ns"): pa.duration(_MICROSECONDS),
        pa.time64("ns"): pa.time64(_MICROSECONDS),
        pa.date64(): pa.date32(),
        pa.float16(): pa.float32(),
        pa.uint64(): pa.decimal128(20, 0),
    }
    if is_string(kind):
        return pa.string()
    return pa.binary() if is_binary(kind) else plain.get(kind, kind)


def as_stored(array: pa.Array, kind: pa.DataType, name: str, database: str) -> pa.Array:
    """Cast a column to the type it is stored in.

    Args:
        array: (n,) of any type.
        kind: as `stored` says, or narrower.
        name: of the column, for messages.
        database: for messages.

    Raises:
        SinkError: a value would change.
    """
    array = unwrapped(array)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if array.type == kind:
        return array
    try:
        return array.cast(kind)
    except pa.ArrowInvalid as error:
        what = " ".join(str(error).split())
        msg = f"{database} cannot hold a value of column {name!r}, as {kind}: {what}"
        remedy = "round or cast the column before"
        raise SinkError(msg, place=f"column {name!r}", remedy=remedy) from error


def refused(field: pa.Field, database: str) -> SinkError:
    """Build the error for a column whose type a database has not."""
    msg = f"{database} has no type for column {field.name!r}: {field.type}"
    remedy = "cast it, leave it out, or write Parquet or Arrow IPC"
    return SinkError(msg, place=f"column {field.name!r}", remedy=remedy)


def last_of_each_key(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Keep the last row of each key, in the order of the rows.

    >>> last_of_each_key(pa.table({"k": [1, 2, 1], "v": [7, 8, 9]}), ["k"]).to_pylist()
    [{'k': 2, 'v': 8}, {'k': 1, 'v': 9}]
    """
    columns = [rows[name].combine_chunks() for name in key]
    names = [str(i) for i in range(len(key))]
    numbers = pa.array(np.arange(rows.num_rows))
    numbered = pa.table([*columns, numbers], names=[*names, "n"])
    last = numbered.group_by(names, use_threads=False).aggregate([("n", "max")])["n_max"]
    if len(last) == rows.num_rows:
        return rows
    return rows.take(last.take(pc.sort_indices(last)))
