"""Encodings of which pyarrow cannot pick rows, or that have many layouts, as plain columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = (
    "around",
    "batch_as",
    "is_list",
    "laid_out",
    "offsets_of",
    "row_fields",
    "row_type",
    "rows_of",
    "unwrapped",
)

_PLAIN: Final = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def row_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which rows hold such values: no views, no run ends; dictionaries stay.

    >>> row_type(pa.list_view(pa.string_view())), row_type(pa.run_end_encoded("int32", pa.int8()))
    (ListType(list<item: string>), DataType(int8))
    """
    if not kind.num_fields:  # asked of each column of each batch
        return _PLAIN.get(kind, kind)
    if pa.types.is_run_end_encoded(kind):
        return row_type(kind.value_type)
    return around(kind, row_type)


def around(kind: pa.DataType, inner: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """Return a type with others in the place of those inside it; a list view becomes a list.

    >>> around(pa.struct([("a", pa.int8())]), lambda kind: pa.string())
    StructType(struct<a: string>)
    """

    def made(field: pa.Field) -> pa.Field:
        return field.with_type(inner(field.type))

    if pa.types.is_struct(kind):
        return pa.struct([made(field) for field in kind.fields])
    if pa.types.is_map(kind):
        return pa.map_(made(kind.key_field), made(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(made(kind.value_field), kind.list_size)
    if is_list(kind):
        return (pa.large_list if _is_large(kind) else pa.list_)(made(kind.value_field))
    return kind


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
    fields = [field.with_type(row_type(field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def rows_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch with each column in its `row_type`; itself if all are."""
    kinds = batch.schema.types
    if list(map(row_type, kinds)) == kinds:
        return batch
    return batch_as(batch.columns, row_fields(batch.schema))


def batch_as(columns: Iterable[pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """Return columns as a batch of a schema, each as `laid_out` says; so are the errors."""
    laid = [laid_out(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(laid, schema=schema)


def unwrapped(array: pa.Array) -> pa.Array:
    """Take off extension types and run-end encoding."""
    while isinstance(array.type, pa.BaseExtensionType) or pa.types.is_run_end_encoded(array.type):
        is_runs = pa.types.is_run_end_encoded(array.type)
        array = pc.run_end_decode(array) if is_runs else array.storage
    return array


def is_list(kind: pa.DataType) -> bool:
    """Tell whether it is one of the list types; a map is none."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or _is_large(kind)
    )


def offsets_of(lists: pa.Array) -> pa.Array:
    """Return where each list begins in `lists.flatten()`, and the end.

    Of every kind of list. Arrow's own cast of list views makes offsets that are too short (26.0).

    Returns:
        (n + 1,) int32, of large lists int64.
    """
    lengths = pc.list_value_length(lists)
    ends = np.cumsum(lengths.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return pa.array(np.concatenate([[0], ends]).astype(lengths.type.to_pandas_dtype()))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind))


def _structs(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    fields = [laid_out(array.field(i), field.type) for i, field in enumerate(kind.fields)]
    return pa.StructArray.from_arrays(fields, fields=kind.fields, mask=mask)


def _maps(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    pairs = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    keys, items = (pairs.flatten().field(i) for i in range(2))
    keys, items = laid_out(keys, kind.key_type), laid_out(items, kind.item_type)
    return pa.MapArray.from_arrays(offsets_of(pairs), keys, items, type=kind, mask=mask)


def _of_one_length(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    size = kind.list_size
    inside = array.values.slice(array.offset * size, len(array) * size)  # under nulls there are too
    values = laid_out(inside, kind.value_type)
    return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=mask)


def _lists(array: pa.Array, kind: pa.DataType, mask: pa.Array | None) -> pa.Array:
    made: Any = pa.LargeListArray if _is_large(kind) else pa.ListArray
    values = laid_out(array.flatten(), kind.value_type)
    return made.from_arrays(offsets_of(array), values, type=kind, mask=mask)


_NESTED: Final = (
    (pa.types.is_struct, _structs),
    (pa.types.is_map, _maps),
    (pa.types.is_fixed_size_list, _of_one_length),
    (is_list, _lists),
)
"""How values that hold others are laid out."""
