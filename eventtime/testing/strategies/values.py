"""Values and rows of Arrow types: small, few distinct, exactly summed; null where it may be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st

from eventtime.errors import PlanError
from eventtime.testing.given import check_field, check_schema

if TYPE_CHECKING:
    from eventtime.testing.steps import Row

__all__ = ("keys", "rows", "values", "without_nulls")

Values = st.SearchStrategy[Any]
Inner = Callable[[pa.Field], Values]
"""Makes values of what is inside others."""
IsKind = Callable[[pa.DataType], bool]

_TEXTS: Final = ("a", "b", "", "é", "long enough not to fit inline")
_JSON: Final = ("null", "1", '"a"', "[]", '{"a": [1]}')
_IN_A_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def values(field: pa.Field, *, extremes: bool = False) -> Values:
    """Values of a column, as `pyarrow.array` of its type takes them.

    Numbers are small; floats are eighths, so that they add up to the same bits in any order. Times
    and durations are whole units.

    Args:
        field: its type and whether it may be null.
        extremes: also the ends of the type, and any float; inside lists and the like too.

    Raises:
        PlanError: no field; or a type that holds no values of its own, such as a union.

    >>> from hypothesis import find
    >>> find(values(pa.field("x", pa.int8())), lambda x: x is not None and x > 3)
    4
    """
    check_field(field, place="values(field)")
    kind = _kept(field.type)
    if pa.types.is_null(kind):
        return st.none()
    made = _drawn(kind, extremes=extremes) if _takes_values(field.type) else None
    if made is None:
        msg = f"values of type {field.type} are not drawn"
        remedy = "draw rows of your own, and give what they become to recut(...)"
        raise PlanError(msg, place=f"column {field.name!r}", remedy=remedy)
    return _or_none(made) if field.nullable else made


def keys(field: pa.Field) -> Values:
    """Values of a column that rows are grouped by: so few that groups meet, and odd ones.

    Args:
        field: its type and whether it may be null.

    Raises:
        PlanError: no field; or a type that holds no values of its own.

    >>> from hypothesis import find
    >>> find(keys(pa.field("key", pa.int64())), lambda key: key is not None and key > 2)
    9223372036854775807
    """
    check_field(field, place="keys(field)")
    kind = _kept(field.type)
    if pa.types.is_integer(kind):
        low, high = _ends(kind)
        few: Values = st.sampled_from([0, 0, 0, 1, 1, 2, low, high])
    elif pa.types.is_boolean(kind):
        few = st.booleans()
    elif pa.types.is_date64(kind):
        few = st.integers(0, 2).map(lambda day: day * 86_400_000)
    elif pa.types.is_temporal(kind):
        few = st.integers(0, 2)
    else:
        return values(field)
    return _or_none(few) if field.nullable else few


def rows(schema: pa.Schema, *, extremes: bool = False) -> st.SearchStrategy[Row]:
    """Rows of a schema, as dicts.

    Args:
        schema: columns, each null only if it may be.
        extremes: as of `values`.

    Raises:
        PlanError: no schema; or a column's type holds no values of its own.

    >>> from hypothesis import find
    >>> schema = pa.schema(
    ...     [pa.field("name", pa.string()), pa.field("n", pa.int8(), nullable=False)]
    ... )
    >>> find(rows(schema), lambda row: row["n"] > 1)
    {'name': 'a', 'n': 2}
    """
    check_schema(schema, place="rows(schema)")
    return st.fixed_dictionaries({f.name: values(f, extremes=extremes) for f in schema})


def without_nulls(field: pa.Field) -> pa.Field:
    """Return a field that is never null, nor is anything inside its values.

    >>> without_nulls(pa.field("x", pa.list_(pa.int8())))
    pyarrow.Field<x: list<item: int8 not null> not null>
    """
    return pa.field(field.name, _full(field.type), nullable=False)


def _full(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([without_nulls(field) for field in kind.fields])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, without_nulls(kind.item_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(without_nulls(kind.value_field), kind.list_size)
    return pa.list_(without_nulls(kind.value_field)) if hasattr(kind, "value_field") else kind


def _takes_values(kind: pa.DataType) -> bool:
    try:
        pa.array([], kind)
    except pa.ArrowNotImplementedError:
        return False  # unions, and lists and the like of extension types
    return True


def _drawn(kind: pa.DataType, *, extremes: bool) -> Values | None:
    inner = partial(values, extremes=extremes)
    made = next((make(kind, inner) for is_kind, make in _NESTED if is_kind(kind)), None)
    if made is None:
        made = next((make(kind) for is_kind, make in _PLAIN if is_kind(kind)), None)
        made = st.one_of(made, _extremes(kind)) if made is not None and extremes else made
    return made


def _or_none(some: Values) -> Values:
    # A null is drawn like any value, and thrown away: were it shorter, all would shrink to nulls.
    return st.tuples(some, st.integers(0, 4)).map(lambda drawn: None if drawn[1] == 4 else drawn[0])


def _kept(kind: pa.DataType) -> pa.DataType:
    is_coded = pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind)
    return _kept(kind.value_type) if is_coded else kind


def _ends(kind: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(kind):
        return 0, 2**kind.bit_width - 1
    return -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1


def _extremes(kind: pa.DataType) -> Values:
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if pa.types.is_integer(kind):
        return st.sampled_from(_ends(kind))
    if pa.types.is_decimal(kind):
        most = Decimal((0, (9,) * kind.precision, -kind.scale))
        return st.sampled_from([most, most.copy_negate()])
    return values(pa.field("x", kind, nullable=False))


def _whole(kind: pa.DataType) -> Values:
    return st.integers(0 if pa.types.is_unsigned_integer(kind) else -9, 9)


def _decimals(kind: pa.DataType) -> Values:
    most = min(99, 10**kind.precision - 1)
    return st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-kind.scale))


def _seconds(kind: pa.DataType) -> Values:
    second = _IN_A_SECOND[kind.unit]
    least = 0 if pa.types.is_time(kind) else -9
    return st.integers(least, 9).map(lambda n: n * second)


def _texts(kind: pa.DataType) -> Values:
    return st.sampled_from(_TEXTS)


def _bytes(kind: pa.DataType) -> Values:
    return st.sampled_from([text.encode() for text in _TEXTS] + [b"\x00\xff"])


def _wide(kind: pa.DataType) -> Values:
    return st.sampled_from([letter * kind.byte_width for letter in (b"a", b"b", b"\x00", b"\xff")])


def _lists(kind: pa.DataType, inner: Inner) -> Values:
    return st.lists(inner(kind.value_field), max_size=3)


def _of_one_length(kind: pa.DataType, inner: Inner) -> Values:
    n = kind.list_size
    return st.lists(inner(kind.value_field), min_size=n, max_size=n)


def _maps(kind: pa.DataType, inner: Inner) -> Values:
    pair = st.tuples(inner(kind.key_field), inner(kind.item_field))
    return st.lists(pair, max_size=2, unique_by=lambda item: repr(item[0]))


def _structs(kind: pa.DataType, inner: Inner) -> Values:
    return st.fixed_dictionaries({field.name: inner(field) for field in kind.fields})


def _extended(kind: pa.DataType, inner: Inner) -> Values:
    if kind.extension_name == "arrow.uuid":
        return st.integers(0, 9).map(lambda n: UUID(int=n))
    if kind.extension_name == "arrow.json":
        return st.sampled_from(_JSON)
    return inner(pa.field("storage", kind.storage_type, nullable=False))


_NESTED: Final[tuple[tuple[IsKind, Callable[[pa.DataType, Inner], Values]], ...]] = (
    (lambda kind: isinstance(kind, pa.BaseExtensionType), _extended),
    (pa.types.is_fixed_size_list, _of_one_length),
    (pa.types.is_map, _maps),
    (lambda kind: hasattr(kind, "value_field"), _lists),
    (pa.types.is_struct, _structs),
)
"""Types of what is made of others; the first that fits, and before the plain ones."""
_PLAIN: Final[tuple[tuple[IsKind, Callable[[pa.DataType], Values]], ...]] = (
    (pa.types.is_boolean, lambda _: st.booleans()),
    (pa.types.is_integer, _whole),
    (pa.types.is_floating, lambda _: st.integers(-64, 64).map(lambda eighths: eighths / 8)),
    (pa.types.is_decimal, _decimals),
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), _texts),
    (pa.types.is_string_view, _texts),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), _bytes),
    (pa.types.is_binary_view, _bytes),
    (pa.types.is_fixed_size_binary, _wide),
    (pa.types.is_date32, lambda _: st.integers(-9, 9)),
    (pa.types.is_date64, lambda _: st.integers(-9, 9).map(lambda day: day * 86_400_000)),
    (pa.types.is_interval, lambda _: st.tuples(*[st.integers(-3, 3)] * 3)),
    (pa.types.is_temporal, _seconds),
)
"""All others, and what is drawn of each."""
