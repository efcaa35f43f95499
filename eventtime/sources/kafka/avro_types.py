"""Columns of Arrow for schemas of Avro."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.sources.kafka.avro_bounds import check_bounded, holds_itself

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Fix = Callable[[Any], Any]

__all__ = ("AvroColumn", "AvroSchema", "parsed", "schema_given")

_PLAIN: Final = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
}
_LOGICAL: Final = {
    ("int", "date"): pa.date32(),
    ("int", "time-millis"): pa.time32("ms"),
    ("long", "time-micros"): pa.time64("us"),
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
}
_DIGITS: Final = 38
_MOST_DIGITS: Final = 76


class AvroColumn(NamedTuple):
    """What becomes of a field.

    Args:
        kind: its type in Arrow; None: there is none.
        fix: makes of what fastavro reads what Arrow takes; None: it is that.
        why: there is none.
    """

    kind: pa.DataType | None
    fix: Fix | None = None
    why: str = ""


def schema_given(given: object, *, place: str) -> Any:
    """Return a schema as it was given: a dict, JSON text or the path of a file of it.

    Raises:
        PlanError: it is none of them.
    """
    if isinstance(given, dict | list):
        return given
    remedy = "a dict, its JSON text, or the path of a file of it (.avsc)"
    if not isinstance(given, str | Path):
        msg = f"{shown(given)} is no schema of Avro"
        raise PlanError(msg, place=place, remedy=remedy)
    text = str(given)
    is_path = isinstance(given, Path) or text.lstrip()[:1] not in {"{", "["}
    try:
        return json.loads(Path(text).read_text(encoding="utf-8") if is_path else text)
    except (OSError, ValueError) as error:
        msg = f"{shown(str(given))} is no schema of Avro: {error}"
        raise PlanError(msg, place=place, remedy=remedy) from error


@dataclass(frozen=True, eq=False)
class AvroSchema:
    """A schema of a record.

    Args:
        form: as fastavro reads with it.
        whole: the same; names stand for records only within themselves.
        columns: what becomes of its fields.
        nests: whether records may be in one another to any depth.
    """

    form: Any
    whole: Any
    columns: dict[str, AvroColumn]
    nests: bool

    def natural(self, names: Sequence[str]) -> dict[str, AvroColumn]:
        """Return those of the columns that there are.

        Raises:
            ArrowInvalid: one of them has no type in Arrow.
        """
        found = {name: self.columns[name] for name in names if name in self.columns}
        for name, column in found.items():
            if column.kind is None:
                message = f"field {name!r} has no type in Arrow: {column.why}"
                raise pa.ArrowInvalid(message)
        return found


def parsed(schemas: Sequence[Any]) -> AvroSchema:
    """Parse a schema.

    Args:
        schemas: it is the last; in front of it are those that it refers to.

    Raises:
        ValueError: it is no schema, of no record of fields, or of one that may have no end.
    """
    from fastavro.schema import SchemaParseException, UnknownType, parse_schema

    read: Any = None
    whole: Any = None
    names: dict[str, Any] = {}
    long_names: dict[str, Any] = {}
    try:
        for schema in schemas:
            read = parse_schema(schema, names)
            whole = parse_schema(schema, long_names, expand=True)
        if not (isinstance(whole, dict) and whole.get("type") == "record" and whole["fields"]):
            msg = "it is not of a record of fields"
            raise ValueError(msg)
        check_bounded(whole)
        return AvroSchema(read, whole, _columns(whole), holds_itself(whole))
    except (SchemaParseException, UnknownType, LookupError, TypeError, AttributeError) as error:
        msg = f"{type(error).__name__}: {error}"
        raise ValueError(msg) from error


def _columns(record: dict[str, Any]) -> dict[str, AvroColumn]:
    """Return what becomes of each field of a record, in which names stand for themselves."""
    return {field["name"]: _column(field["type"]) for field in record["fields"]}


def _column(node: Any) -> AvroColumn:
    if isinstance(node, list):
        return _union(node)
    if isinstance(node, str):
        kind = _PLAIN.get(node)
        return AvroColumn(kind, None, "" if kind is not None else f"{node!r} holds itself")
    name = node["type"]
    return _logical(node) or (_MADE[name](node) if name in _MADE else _column(name))


def _logical(node: dict[str, Any]) -> AvroColumn | None:
    """Return what becomes of a logical type; None of one that is unknown, which is ignored."""
    match node:
        case {"logicalType": "decimal", "type": "bytes" | "fixed"}:
            return _decimal(node)
        case {"logicalType": "uuid", "type": "string"}:
            return AvroColumn(pa.string(), str)
        case {"logicalType": "uuid", "type": "fixed"}:
            return AvroColumn(pa.binary(16), _raw)
        case {"logicalType": str(logical), "type": str(name)} if (name, logical) in _LOGICAL:
            return AvroColumn(_LOGICAL[name, logical])
    return None


def _raw(value: Any) -> Any:
    return getattr(value, "bytes", value)


def _decimal(node: dict[str, Any]) -> AvroColumn:
    digits, scale = node["precision"], node.get("scale", 0)
    if digits > _MOST_DIGITS:
        return AvroColumn(None, None, f"{digits} digits are more than {_MOST_DIGITS}")
    make = pa.decimal128 if digits <= _DIGITS else pa.decimal256
    return AvroColumn(make(digits, scale))


def _union(branches: list[Any]) -> AvroColumn:
    others = [branch for branch in branches if branch != "null"]
    if len(others) > 1:
        return AvroColumn(None, None, "it is a union of several types")
    return _maybe(_column(others[0])) if others else AvroColumn(pa.null())


def _maybe(column: AvroColumn) -> AvroColumn:
    fix = column.fix
    if fix is None:
        return column
    return column._replace(fix=lambda value: None if value is None else fix(value))


def _array(node: dict[str, Any]) -> AvroColumn:
    kind, fix, why = _column(node["items"])
    if kind is None:
        return AvroColumn(None, None, why)
    if fix is None:
        return AvroColumn(pa.list_(kind))
    return AvroColumn(pa.list_(kind), lambda values: [fix(value) for value in values])


def _map(node: dict[str, Any]) -> AvroColumn:
    kind, fix, why = _column(node["values"])
    if kind is None:
        return AvroColumn(None, None, why)
    made = pa.map_(pa.string(), kind)
    if fix is None:
        return AvroColumn(made, lambda values: list(values.items()))
    return AvroColumn(made, lambda values: [(name, fix(v)) for name, v in values.items()])


def _record(node: dict[str, Any]) -> AvroColumn:
    columns = _columns(node)
    for name, column in columns.items():
        if column.kind is None:
            return AvroColumn(None, None, f"{name}: {column.why}")
    kind = pa.struct([(name, column.kind) for name, column in columns.items()])
    fixes = {name: column.fix for name, column in columns.items() if column.fix}
    if not fixes:
        return AvroColumn(kind)
    return AvroColumn(kind, lambda row: {**row, **{n: fix(row[n]) for n, fix in fixes.items()}})


_MADE: Final[dict[str, Callable[[dict[str, Any]], AvroColumn]]] = {
    "array": _array,
    "map": _map,
    "record": _record,
    "error": _record,
    "enum": lambda _: AvroColumn(pa.string()),
    "fixed": lambda node: AvroColumn(pa.binary(node["size"])),
}
