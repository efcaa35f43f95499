"""Types and schemas of any kind, nested ones too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
from hypothesis import strategies as st

from eventtime.checks import check_text, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("schemas", "types")

Types = st.SearchStrategy[pa.DataType]

_UNITS: Final = ("us", "s", "ms", "ns")
_ZONES: Final = (None, "UTC", "Europe/Berlin")
_TIMES: Final = (
    *(pa.timestamp(unit, zone) for zone in _ZONES for unit in _UNITS),
    pa.date32(),
    pa.date64(),
)
"""What an event time can be, besides integers of a unit."""
_PLAIN: Final = (
    pa.int64(),
    pa.string(),
    pa.float64(),
    pa.bool_(),
    *(kind() for kind in (pa.int8, pa.int16, pa.int32, pa.uint8, pa.uint16, pa.uint32, pa.uint64)),
    *(pa.float16(), pa.float32(), pa.decimal128(7, 2), pa.decimal128(38), pa.decimal256(60, 1)),
    *(pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(3)),
    *_TIMES,
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.duration(unit) for unit in _UNITS),
    pa.null(),
    *(pa.string_view(), pa.binary_view()),
)
_ALONE: Final = (
    pa.uuid(),
    pa.json_(),
    *(pa.run_end_encoded(pa.int32(), kind) for kind in (pa.int64(), pa.string())),
)
"""Not inside others: Arrow makes no such values."""


def types(*, nested: bool = True) -> Types:
    """Types of columns, of each kind that Arrow has, but for unions and intervals.

    Args:
        nested: whether there are lists, structs, maps and dictionaries, of one another too; and
            run ends and extension types.

    >>> from hypothesis import find
    >>> find(types(), lambda kind: pa.types.is_list(kind))
    ListType(list<item: int64>)
    """
    plain = st.sampled_from(_PLAIN)
    if not nested:
        return plain
    return st.one_of(plain, st.recursive(plain, _around, max_leaves=3), st.sampled_from(_ALONE))


def _around(inner: Types) -> Types:
    lists: list[Callable[[pa.DataType], pa.DataType]] = [
        pa.list_,
        pa.large_list,
        _pair,
        pa.list_view,
    ]
    return st.one_of(
        st.tuples(st.sampled_from(lists), inner).map(lambda drawn: drawn[0](drawn[1])),
        st.lists(inner, min_size=1, max_size=2).map(_struct),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
        st.sampled_from([pa.string(), pa.int64(), pa.binary()]).map(_dictionary),
    )


def _pair(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind, 2)


def _struct(kinds: list[pa.DataType]) -> pa.DataType:
    return pa.struct([(f"f{i}", kind) for i, kind in enumerate(kinds)])


def _dictionary(kind: pa.DataType) -> pa.DataType:
    return pa.dictionary(pa.int32(), kind)


def schemas(*, time: str = "t", most: int = 4, nested: bool = True) -> st.SearchStrategy[pa.Schema]:
    """Schemas of rows that have an event time.

    Args:
        time: name of the column that has it.
        most: other columns there are, named 'a', 'b', …; they may be null or not.
        nested: as of `types`.

    Raises:
        PlanError: it is no name, or no number.

    >>> from hypothesis import find
    >>> find(schemas(), lambda schema: len(schema) > 1)
    t: timestamp[us]
    a: int64
    """
    check_text(time, what="name", place="schemas(time=…)", remedy="such as 't'")
    check_whole(most, least=0, what="a number", place="schemas(most=…)", remedy="such as 4")
    column = st.tuples(types(nested=nested), st.booleans())

    def made(kind: pa.DataType, others: list[tuple[pa.DataType, bool]]) -> pa.Schema:
        named = [
            pa.field(_name(i), kind, nullable=not is_full or pa.types.is_null(kind))
            for i, (kind, is_full) in enumerate(others)
        ]
        return pa.schema([pa.field(time, kind), *named])

    return st.builds(made, st.sampled_from(_TIMES), st.lists(column, max_size=most))


def _name(i: int) -> str:
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
