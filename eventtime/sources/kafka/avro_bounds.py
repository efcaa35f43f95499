"""Schemas of Avro whose records a few broken bytes could make endless, or end the process."""

from __future__ import annotations

from typing import Any, Final

__all__ = ("check_bounded", "holds_itself")

_NOBODY: Final[frozenset[str]] = frozenset()
_PRIMITIVE: Final = frozenset(
    ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
)


def check_bounded(schema: Any) -> None:
    """Refuse a schema of which a message may hold more than its bytes.

    The length of an array comes first, and may be any number: of values that take no bytes nothing
    stops the reading. A record that holds itself in each of its records has no end either.

    Args:
        schema: as parsed, in which names stand for records only within themselves.

    Raises:
        ValueError: says which it is.
    """
    _takes_bytes(schema, _NOBODY)


def holds_itself(node: Any) -> bool:
    """Tell whether a record may hold one of its own kind, to any depth.

    Args:
        node: of a schema as parsed, in which names stand for records only within themselves.
    """
    if isinstance(node, str):
        return node not in _PRIMITIVE
    return any(map(holds_itself, _parts(node)))


def _parts(node: Any) -> list[Any]:
    """Return the types that a type is made of: of a field, an item, a branch."""
    if isinstance(node, list):
        return node
    match node:
        case {"fields": fields}:
            return [field["type"] for field in fields]
        case {"items": inner} | {"values": inner}:
            return [inner]
        case {"type": "fixed" | "enum"}:
            return []
        case _:
            return [node["type"]]


def _kind(node: Any) -> Any:
    return None if isinstance(node, list) else node["type"]


def _takes_bytes(node: Any, inside: frozenset[str]) -> bool:
    """Tell whether each value takes a byte at least.

    Args:
        node: of the schema.
        inside: records whose bytes may begin where those of this value do.
    """
    if isinstance(node, str):
        if node in inside:
            msg = f"each record {node!r} holds another one"
            raise ValueError(msg)
        return node != "null"
    kind = _kind(node)
    if kind in {"record", "error"}:
        inside |= {node["name"]}
    begins_later = kind in {None, "array", "map"}
    parts = [_takes_bytes(part, _NOBODY if begins_later else inside) for part in _parts(node)]
    if kind == "array" and not parts[0]:
        msg = "it has an array of values that take no bytes, whose length nothing bounds"
        raise ValueError(msg)
    if kind == "fixed":
        return bool(node["size"])
    return begins_later or kind == "enum" or any(parts)
