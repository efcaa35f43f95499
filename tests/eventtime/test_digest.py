"""The checksum of rows: any type, any cuts; other rows have another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.journal.digest import Digest
from eventtime.testing import strategies as kit
from eventtime.testing.values import VALUES

EXTENDED: dict[str, Any] = {
    "uuid": pa.array([b"a" * 16, None, b"b" * 16], pa.uuid()),
    "json": pa.array(['{"a": 1}', None, "[]"], pa.json_()),
    "tensor": pa.array([[1, 2], None, [3, 4]], pa.fixed_shape_tensor(pa.int8(), [2])),
}
OF_ROWS = {**VALUES, **EXTENDED}
del OF_ROWS["string_view"]  # rows hold it as a string


NUMBERS = pa.list_(pa.int8())
INNER = pa.struct([("a", pa.int8()), ("b", pa.string()), ("c", pa.bool_())])
NESTED = (
    NUMBERS,
    pa.large_list(pa.string()),
    pa.list_(pa.list_(pa.int16())),
    pa.list_(pa.int8(), 2),
    pa.list_(NUMBERS, 2),
    INNER,
    pa.list_(INNER),
    pa.map_(pa.string(), NUMBERS),
    pa.struct([("deep", pa.map_(pa.string(), INNER)), ("few", pa.list_(pa.string(), 1))]),
)


def digest(*columns: pa.Array) -> int:
    made = Digest()
    for column in columns:
        made.add(pa.record_batch({"x": column}))
    return made.value


@pytest.mark.parametrize("name", OF_ROWS)
def test_cuts_do_not_show_and_order_does(name: str) -> None:
    column = OF_ROWS[name]
    whole = digest(column)
    for cut in range(len(column) + 1):
        assert digest(column[:cut], column[cut:]) == whole
    assert digest(column, column) != whole
    turned = column.take(pa.array([1, 0, *range(2, len(column))]))
    assert digest(turned) != whole or name == "null"


def test_no_rows_are_no_difference() -> None:
    assert all(digest(column[:0]) == digest() for column in OF_ROWS.values())


def hiding(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Lay values out with others under each null, and with some that are cut off on both ends."""
    there = [value for value in values if value is not None]
    if not there:
        return pa.array(values, kind)
    ends = [there[0], there[-1], None]
    around = [*ends, *values, *ends]
    filled = [there[0] if value is None else value for value in around]
    mask = pa.array([value is None for value in around])
    return filled_as(filled, kind, mask)[len(ends) : len(ends) + len(values)]


def filled_as(filled: list[Any], kind: pa.DataType, mask: pa.Array) -> pa.Array:
    """Lay values out, some of which a mask hides."""
    if pa.types.is_struct(kind):
        columns = [hiding([row[f.name] for row in filled], f.type) for f in kind.fields]
        return pa.StructArray.from_arrays(columns, fields=kind.fields, mask=mask)
    if not pa.types.is_nested(kind):
        is_there = mask.to_numpy(zero_copy_only=False)
        return pa.array(filled, kind, mask=is_there)
    inside = [value for row in filled for value in row]
    ends = np.cumsum([0, *map(len, filled)])
    if pa.types.is_map(kind):
        keys = hiding([key for key, _ in inside], kind.key_type)
        items = hiding([item for _, item in inside], kind.item_type)
        offsets = pa.array(ends, pa.int32())
        return pa.MapArray.from_arrays(offsets, keys, items, type=kind, mask=mask)
    values = hiding(inside, kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(values, type=kind, mask=mask)
    is_large = pa.types.is_large_list(kind)
    made: Any = pa.LargeListArray if is_large else pa.ListArray
    offsets = pa.array(ends, pa.int64() if is_large else pa.int32())
    return made.from_arrays(offsets, values, type=kind, mask=mask)


@pytest.mark.parametrize("kind", NESTED, ids=str)
@given(data=st.data())
def test_the_layout_does_not_show(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(kit.values(pa.field("x", kind)), max_size=5))
    plain, other = pa.array(values, kind), hiding(values, kind)
    assert other.to_pylist() == plain.to_pylist()
    whole = digest(plain)
    assert digest(other) == whole
    cut = data.draw(st.integers(0, len(values)))
    assert digest(other[:cut], plain[cut:]) == whole
    places = pa.array(range(len(values)), pa.int32())
    hidden = pc.if_else(other.is_null(), None, places)
    assert digest(pa.DictionaryArray.from_arrays(hidden, other)) == whole
    assert digest(pa.DictionaryArray.from_arrays(places, other)) == whole


def changed(value: Any, kind: pa.DataType, data: st.DataObject) -> Any:
    """Draw a value that is another one somewhere inside."""
    if value is None:
        return data.draw(kit.values(pa.field("x", kind, nullable=False)))
    if pa.types.is_struct(kind):
        field = data.draw(st.sampled_from(kind.fields))
        return value | {field.name: changed(value[field.name], field.type, data)}
    if not pa.types.is_nested(kind):
        others = kit.values(pa.field("x", kind)).filter(lambda other: other != value)
        return data.draw(others)
    if not len(value) or (not pa.types.is_fixed_size_list(kind) and data.draw(st.booleans())):
        return None if not len(value) else [*value, value[-1]]
    at = data.draw(st.integers(0, len(value) - 1))
    if pa.types.is_map(kind):
        inner: Any = (value[at][0], changed(value[at][1], kind.item_type, data))
    else:
        inner = changed(value[at], kind.value_type, data)
    return [*value[:at], inner, *value[at + 1 :]]


@pytest.mark.parametrize("kind", NESTED, ids=str)
@given(data=st.data())
def test_one_value_inside_shows(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(kit.values(pa.field("x", kind)), min_size=1, max_size=5))
    at = data.draw(st.integers(0, len(values) - 1))
    others = [*values[:at], changed(values[at], kind, data), *values[at + 1 :]]
    assert digest(pa.array(others, kind)) != digest(pa.array(values, kind))


@pytest.mark.parametrize(
    ("kind", "values", "others"),
    [
        (NUMBERS, [[1], [2, 3]], [[1, 2], [3]]),
        (NUMBERS, [[], [1]], [None, [1]]),
        (NUMBERS, [[]], [[None]]),
        (pa.list_(NUMBERS), [[[1], []]], [[[], [1]]]),
        (pa.list_(NUMBERS), [[[1]], [[2]]], [[[1], [2]], []]),
        (INNER, [{"a": None, "b": None, "c": None}], [None]),
        (pa.map_(pa.string(), pa.int8()), [[("k", 1)], []], [[], [("k", 1)]]),
        (pa.list_(pa.int8(), 2), [[None, None]], [None]),
    ],
    ids=str,
)
def test_lengths_and_nulls_inside_show(
    kind: pa.DataType, values: list[Any], others: list[Any]
) -> None:
    assert digest(pa.array(values, kind)) != digest(pa.array(others, kind))


@pytest.mark.parametrize("values", [[[1], None, [2, 3], []], [[None], [4]]])
def test_views_and_run_ends_are_what_they_hold(values: list[Any]) -> None:
    """In an extension type they come to the digest as they are."""
    lists = pa.array(values, NUMBERS)
    view = pa.array(values, pa.list_view(pa.int8()))
    hidden = pa.ExtensionArray.from_storage(pa.opaque(view.type, "kind", "us"), view)
    assert digest(hidden[1:]) == digest(lists[1:])
    runs = pc.run_end_encode(lists.flatten())
    offsets = pa.array([0, 1, len(runs)], pa.int32())
    plain = pa.ListArray.from_arrays(offsets, lists.flatten())
    assert digest(pa.ListArray.from_arrays(offsets, runs)) == digest(plain)
