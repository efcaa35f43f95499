"""Schemas as text, for JSON."""

from __future__ import annotations

import base64

import pyarrow as pa

__all__ = ("schema_from_text", "schema_in_text")


def schema_in_text(schema: pa.Schema) -> str:
    """Write a schema: a message of Arrow's IPC format, in base64.

    >>> kept = pa.schema({"x": pa.decimal128(9, 2)})
    >>> schema_from_text(schema_in_text(kept)) == kept
    True
    """
    return base64.b64encode(schema.serialize()).decode()


def schema_from_text(text: str) -> pa.Schema:
    """Read what `schema_in_text` wrote."""
    schema: pa.Schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
    return schema
