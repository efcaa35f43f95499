"""Columns of Arrow for messages of Protobuf, made field by field."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Shape", "shape_of")


class Shape(Protocol):
    """What becomes of the values of a field."""

    @property
    def kind(self) -> pa.DataType: ...

    def array(self, values: Sequence[Any]) -> pa.Array:
        """Make a column; None is null.

        Raises:
            ArrowException, ValueError, OverflowError: a value does not fit.
        """
        ...


@dataclass(frozen=True)
class _Scalars:
    kind: pa.DataType

    def array(self, values: Sequence[Any]) -> pa.Array:
        return pa.array(values, self.kind)


@dataclass(frozen=True)
class _Names:
    """Enums; a number that has no name stays, in digits."""

    names: dict[int, str]
    kind: pa.DataType = pa.string()  # noqa: RUF009 - it is immutable

    def array(self, values: Sequence[Any]) -> pa.Array:
        names = self.names
        told = [None if v is None else names[v] if v in names else str(v) for v in values]
        return pa.array(told, self.kind)


@dataclass(frozen=True)
class _Times:
    """Timestamps and durations: seconds and nanoseconds, cut to microseconds."""

    kind: pa.DataType

    def array(self, values: Sequence[Any]) -> pa.Array:
        told = [None if v is None else v.seconds * 1_000_000 + v.nanos // 1_000 for v in values]
        return pa.array(told, pa.int64()).cast(self.kind)


@dataclass(frozen=True)
class _Wrapped:
    """One of the messages that hold a value which may lack."""

    inner: Shape

    @property
    def kind(self) -> pa.DataType:
        return self.inner.kind

    def array(self, values: Sequence[Any]) -> pa.Array:
        return self.inner.array([None if v is None else v.value for v in values])


@dataclass(frozen=True)
class _Field:
    """A field of messages.

    Args:
        name: of it.
        shape: of its values.
        may_lack: whether one that is not set is told from one that is zero.
    """

    name: str
    shape: Shape
    may_lack: bool

    def column(self, messages: Sequence[Any]) -> pa.Array:
        name = self.name
        if self.may_lack:
            values = [
                getattr(m, name) if m is not None and m.HasField(name) else None for m in messages
            ]
        else:
            values = [None if m is None else getattr(m, name) for m in messages]
        return self.shape.array(values)


@dataclass(frozen=True)
class _Messages:
    fields: tuple[_Field, ...]

    @property
    def kind(self) -> pa.DataType:
        return pa.struct([(field.name, field.shape.kind) for field in self.fields])

    def array(self, values: Sequence[Any]) -> pa.Array:
        if not self.fields:
            return pa.array([None if v is None else {} for v in values], self.kind)
        lacks = pa.array([v is None for v in values], pa.bool_())
        columns = [field.column(values) for field in self.fields]
        return pa.StructArray.from_arrays(columns, fields=list(self.kind), mask=lacks)


@dataclass(frozen=True)
class _Lists:
    inner: Shape

    @property
    def kind(self) -> pa.DataType:
        return pa.list_(self.inner.kind)

    def array(self, values: Sequence[Any]) -> pa.Array:
        flat = self.inner.array([v for each in values if each is not None for v in each])
        return pa.ListArray.from_arrays(_offsets(values), flat)


@dataclass(frozen=True)
class _Maps:
    keys: Shape
    values: Shape

    @property
    def kind(self) -> pa.DataType:
        return pa.map_(self.keys.kind, self.values.kind)

    def array(self, values: Sequence[Any]) -> pa.Array:
        keys = [key for each in values if each is not None for key in sorted(each)]
        held = [each[key] for each in values if each is not None for key in sorted(each)]
        flat = self.keys.array(keys), self.values.array(held)
        return pa.MapArray.from_arrays(_offsets(values), *flat)


def _offsets(values: Sequence[Any]) -> pa.Array:
    """Return where each list begins; the place of one that lacks is null."""
    ends = accumulate((0 if v is None else len(v) for v in values), initial=0)
    lacking = [v is None for v in values]
    told = [None if lacks else at for lacks, at in zip([*lacking, False], ends, strict=True)]
    return pa.array(told, pa.int32())


_KNOWN: Final[dict[str, Shape]] = {
    "google.protobuf.Timestamp": _Times(pa.timestamp("us", "UTC")),
    "google.protobuf.Duration": _Times(pa.duration("us")),
}
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in (
        *("Double", "Float", "Int64", "UInt64"),
        *("Int32", "UInt32", "Bool", "String", "Bytes"),
    )
)


def _scalars(descriptor: Any) -> dict[int, pa.DataType]:
    return {
        descriptor.CPPTYPE_INT32: pa.int32(),
        descriptor.CPPTYPE_INT64: pa.int64(),
        descriptor.CPPTYPE_UINT32: pa.uint32(),
        descriptor.CPPTYPE_UINT64: pa.uint64(),
        descriptor.CPPTYPE_DOUBLE: pa.float64(),
        descriptor.CPPTYPE_FLOAT: pa.float32(),
        descriptor.CPPTYPE_BOOL: pa.bool_(),
    }


def shape_of(field: Any) -> _Field:
    """Return what becomes of a field.

    Args:
        field: its descriptor.

    Raises:
        ValueError: it has no type in Arrow: a message that holds itself.
    """
    return _field(field, ())


def _field(field: Any, around: tuple[str, ...]) -> _Field:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        keys, values = (_one(message.fields_by_name[part], around) for part in ("key", "value"))
        return _Field(field.name, _Maps(keys, values), may_lack=False)
    shape = _one(field, around)
    if field.is_repeated:
        return _Field(field.name, _Lists(shape), may_lack=False)
    return _Field(field.name, shape, may_lack=field.has_presence)


def _one(field: Any, around: tuple[str, ...]) -> Shape:
    """Return the shape of one value of a field that may be repeated."""
    if field.enum_type is not None:
        names: dict[int, str] = {}
        for value in field.enum_type.values:
            names.setdefault(value.number, value.name)
        return _Names(names)
    if field.message_type is None:
        if field.cpp_type == field.CPPTYPE_STRING:
            return _Scalars(pa.binary() if field.type == field.TYPE_BYTES else pa.string())
        return _Scalars(_scalars(field)[field.cpp_type])
    message = field.message_type
    if message.full_name in _KNOWN:
        return _KNOWN[message.full_name]
    if message.full_name in _WRAPPERS:
        return _Wrapped(_one(message.fields_by_name["value"], around))
    if message.full_name in around:
        msg = f"{message.full_name} holds itself"
        raise ValueError(msg)
    inside = (*around, message.full_name)
    return _Messages(tuple(_field(each, inside) for each in message.fields))
