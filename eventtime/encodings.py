"""Encodings of which pyarrow cannot pick rows, or that have many layouts, as plain columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ("laid_out", "row_fields", "row_type", "rows_of")

_PLAIN: Final = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def row_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which rows hold such values: no views, no run ends; dictionaries stay.

    >>> row_type(pa.list_view(pa.string_view())), row_type(pa.run_end_encoded("int32", pa.int8()))
    (ListType(list<item: string>), DataType(int8))
    """
    if pa.types.is_run_end_encoded(kind):
        return row_type(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([_row_field(field) for field in kind.fields])
    if pa.types.is_map(kind):
        return pa.map_(_row_field(kind.key_field), _row_field(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_row_field(kind.value_field), kind.list_size)
    if _is_list(kind):
        whole = pa.large_list if _is_large(kind) else pa.list_
        return whole(_row_field(kind.value_field))
    return _PLAIN.get(kind, kind)


def laid_out(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in another type; in their `row_type` as it says, else as Arrow casts them.

    Cost: O(values), nothing if the type is the same.

    Raises:
        pyarrow.ArrowException: a value does not fit, or Arrow has no such cast.

    >>> runs = pc.run_end_encode(pa.array(["a", "a", "b"]))
    >>> laid_out(runs, pa.string()).to_pylist()
    ['a', 'a', 'b']
    """
    own = array.type
    if own == kind:
        return array
    if pa.types.is_run_end_encoded(own):
        return laid_out(pc.run_end_decode(array), kind)
    if row_type(own) == kind:
        for is_kind, lay in _NESTED:
            if is_kind(own):
                return lay(array, kind, array.is_null() if array.null_count else None)
    return array.cast(kind)


def row_fields(schema: pa.Schema) -> pa.Schema:
    """Return a schema with each column in its `row_type`, null or not as before."""
    return pa.schema([_row_field(field) for field in schema], schema.metadata)


def rows_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with each column in its `row_type`; itself if all are."""
    fields = row_fields(batch.schema)
    if fields.types == batch.schema.types:
        return batch
    columns = [laid_out(c, kind) for c, kind in zip(batch.columns, fields.types, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=fields)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_list_view(kind) or _is_large(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind))


def _row_field(field: pa.Field) -> pa.Field:
    return field.with_type(row_type(field.type))


def _structs(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    fields = [laid_out(array.field(i), field.type) for i, field in enumerate(kind.fields)]
    return pa.StructArray.from_arrays(fields, fields=kind.fields, mask=mask)


def _maps(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    pairs = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    keys, items = (pairs.flatten().field(i) for i in range(2))
    keys, items = laid_out(keys, kind.key_type), laid_out(items, kind.item_type)
    return pa.MapArray.from_arrays(_offsets(pairs), keys, items, type=kind, mask=mask)


def _of_one_length(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    size = kind.list_size
    inside = array.values.slice(array.offset * size, len(array) * size)  # under nulls there are too
    values = laid_out(inside, kind.value_type)
    return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=mask)


def _lists(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    # Of every kind of list. Arrow's own cast of list views makes offsets that are too short (26.0).
    made: Any = pa.LargeListArray if _is_large(kind) else pa.ListArray
    values = laid_out(array.flatten(), kind.value_type)
    return made.from_arrays(_offsets(array), values, type=kind, mask=mask)


def _offsets(lists: pa.Array) -> pa.Array:
    """Return where each list begins among the values of all, and the end."""
    lengths = pc.list_value_length(lists)
    ends = np.cumsum(lengths.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return pa.array(np.concatenate([[0], ends]).astype(lengths.type.to_pandas_dtype()))


_NESTED: Final = (
    (pa.types.is_struct, _structs),
    (pa.types.is_map, _maps),
    (pa.types.is_fixed_size_list, _of_one_length),
    (_is_list, _lists),
)
"""How values that hold others are laid out."""
