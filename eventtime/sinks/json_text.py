"""Whole columns as JSON: rows as objects, nested types, escapes."""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.encodings import is_list, offsets_of, unwrapped
from eventtime.sinks.text import (
    bytes_used,
    float_text,
    is_quoted,
    is_string,
    join,
    plain_text,
)

__all__ = ("json_or_null", "json_rows", "json_values")

_ESCAPES: Final = {
    char: json.dumps(chr(char))[1:-1] for char in [0x5C, 0x22, *range(0x20)]
}  # the backslash first: the others add some


def json_rows(columns: list[pa.Array], names: list[str]) -> pa.Array:
    r"""Join columns to one JSON object for each row, without line ends.

    >>> json_rows([pa.array([1, None]), pa.array(["a", 'b"'])], ["n", "s"]).to_pylist()
    ['{"n":1,"s":"a"}', '{"n":null,"s":"b\\""}']
    """
    pieces: list[pa.Array | str] = []
    for i, (column, name) in enumerate(zip(columns, names, strict=True)):
        label = json.dumps(name, ensure_ascii=False)
        pieces += [f"{',' if i else '{'}{label}:", json_values(column)]
    return join(*pieces, "}")


def json_values(array: pa.Array) -> pa.Array:
    """Write each value as JSON; null, NaN and infinities as ``null``.

    Strings are escaped; times are ISO 8601 strings; binary is base64; decimals are numbers with
    all digits; durations are ISO 8601 such as ``PT1H30M``; lists are arrays, structs
    objects, maps arrays of objects with key and value.

    Returns:
        (n,) string, no nulls.
    """
    return pc.fill_null(json_or_null(array), "null")


def json_or_null(array: pa.Array) -> pa.Array:
    """Write each value as `json_values` does, null as null."""
    array = unwrapped(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        if not len(array.dictionary):
            # Under a null struct there may be indices into nothing.
            return pa.nulls(len(array), pa.string())
        return json_or_null(array.dictionary).take(array.indices)
    if pa.types.is_struct(kind):
        return _json_structs(array)
    if is_list(kind) or pa.types.is_map(kind):
        return _json_lists(array)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(array), float_text(array), pa.scalar(None, pa.string()))
    text = plain_text(array)
    if is_string(kind):
        text = _escape(text)
    return join('"', text, '"') if is_quoted(kind) else text


def _json_structs(array: pa.Array) -> pa.Array:
    names = [field.name for field in array.type]
    if not names:
        objects = pa.repeat(pa.scalar("{}"), len(array))
    else:
        objects = json_rows([array.field(i) for i in range(len(names))], names)
    return pc.if_else(array.is_valid(), objects, pa.scalar(None, pa.string()))


def _json_lists(array: pa.Array) -> pa.Array:
    if pa.types.is_map(array.type):
        array = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    offsets = offsets_of(array).cast(pa.int32())
    mask = array.is_null() if array.null_count else None
    lists = pa.ListArray.from_arrays(offsets, json_values(array.flatten()), mask=mask)
    return join("[", pc.binary_join(lists, ","), "]")


def _escape(text: pa.Array) -> pa.Array:
    """Escape for JSON what must be: quote, backslash and control characters. O(bytes)."""
    found = bytes_used(text)
    for char, escape in _ESCAPES.items():
        if found[char]:
            text = pc.replace_substring(text, chr(char), escape)
    return text
