"""Types of columns as the command line writes them: `departed=timestamp[us, UTC]`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("parse_types",)

_ZONED: Final = re.compile(r"timestamp\[(s|ms|us|ns), *(?:tz=)?(\S+)\]")
_DECIMAL: Final = re.compile(r"decimal(?:128)?\((\d+), *(\d+)\)")


def parse_types(texts: Sequence[str]) -> dict[str, pa.DataType]:
    """Read `NAME=TYPE` options; the types are named as pyarrow shows them.

    Raises:
        PlanError: a text is no pair, its type is unknown, or a column has two.

    >>> parse_types(["t=timestamp[us, UTC]", "price=decimal(10, 2)", "key=string"])["price"]
    Decimal128Type(decimal128(10, 2))
    """
    types: dict[str, pa.DataType] = {}
    for text in texts:
        name, _, kind = text.partition("=")
        if not (name and kind):
            msg = f"{text!r} names no column and type"
            raise PlanError(msg, place="--type", remedy="write --type departed=timestamp[us]")
        if name in types:
            msg = f"column {name!r} is given two types"
            raise PlanError(msg, place="--type", remedy="leave one out")
        types[name] = _type(kind.strip())
    return types


def _type(text: str) -> pa.DataType:
    zoned, decimal = _ZONED.fullmatch(text), _DECIMAL.fullmatch(text)
    try:
        if zoned:
            return pa.timestamp(*zoned.groups())
        if decimal:
            return pa.decimal128(*map(int, decimal.groups()))
        return pa.type_for_alias(text)
    except (ValueError, pa.ArrowException) as error:
        msg = f"there is no type {text!r}"
        remedy = "such as timestamp[us], timestamp[us, UTC], date32, int64, double, string, bool"
        raise PlanError(msg, place="--type", remedy=remedy) from error
