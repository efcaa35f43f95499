"""What the writer's schema and the reader's say of times, decimals and UUIDs (logical types)."""

from __future__ import annotations

from typing import Any, Final

__all__ = ("with_logical_types",)

_PARTS: Final = {"array": "items", "map": "values"}
_LOGICAL: Final = ("logicalType", "precision", "scale")


def with_logical_types(writer: Any, reader: Any) -> Any:
    """Return a writer's schema in which a type is logical where the reader's is.

    fastavro makes values as the writer's schema alone says. So what the reader calls a plain number
    is to be one, and what it calls a time is one though the writer did not say so. Where both are
    logical the writer's stays: milliseconds become microseconds by their value.

    Args:
        writer: as it was registered.
        reader: as parsed, in which names stand for records only within themselves.
    """
    if isinstance(writer, list):
        return [with_logical_types(branch, reader) for branch in writer]
    if isinstance(reader, list):
        reader = _branch(reader, _base(writer))
    kind = _base(writer)
    if kind == "record":
        return {**writer, "fields": [_field(each, reader) for each in writer["fields"]]}
    if kind in _PARTS:
        part = _PARTS[kind]
        inner = reader[part] if _base(reader) == kind else None
        return {**writer, part: with_logical_types(writer[part], inner)}
    if isinstance(kind, dict | list):
        return {**writer, "type": with_logical_types(kind, reader)}
    return _told(writer, reader)


def _told(writer: Any, reader: Any) -> Any:
    """Give a type that has no parts the logical type of the reader's, or take its own."""
    said = writer if isinstance(writer, dict) else {"type": writer}
    if not (isinstance(reader, dict) and "logicalType" in reader):
        plain = {name: each for name, each in said.items() if name != "logicalType"}
        return writer if plain == said else plain
    if "logicalType" in said or said["type"] != reader["type"]:
        return writer
    return {**said, **{name: reader[name] for name in _LOGICAL if name in reader}}


def _field(field: dict[str, Any], reader: Any) -> dict[str, Any]:
    """Do so for a field of a record; of one that the reader does not have nobody reads a value."""
    known = reader.get("fields", ()) if isinstance(reader, dict) else ()
    for other in known:
        if field["name"] in {other["name"], *other.get("aliases", ())}:
            return {**field, "type": with_logical_types(field["type"], other["type"])}
    return field


def _base(node: Any) -> Any:
    return node.get("type") if isinstance(node, dict) else node


def _branch(union: list[Any], kind: Any) -> Any:
    """Return the branch that a type is read as: the same one, or else a wider one."""
    others = [branch for branch in union if branch != "null"]
    same = [branch for branch in others if _base(branch) == kind]
    return next(iter([*same, *others]), "null")
