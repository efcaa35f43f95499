"""Values of every Arrow type that results can have, with the hard ones of each."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pyarrow as pa

__all__ = ("VALUES",)

_LETTERS: Final = [
    "a",
    None,
    "",
    "NULL",
    "\\N",
    'a "b", c',
    "tab\tline\nreturn\r",
    "é🛩",
    "{x}",
    "'",
]
_TIMES: Final = [0, None, 1_356_998_400, -1, 1_356_998_461]


def _times(unit: str, zone: str | None) -> pa.Array:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    odd = {"s": 0, "ms": 7, "us": 7, "ns": 7_000}[unit]
    values = [None if t is None else t * scale + odd for t in _TIMES]
    return pa.array(values, pa.timestamp(unit, zone))


VALUES: Final[dict[str, pa.Array]] = {
    **{
        f"int{bits}": pa.array([0, None, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1], f"int{bits}")
        for bits in (8, 16, 32, 64)
    },
    **{
        f"uint{bits}": pa.array([0, None, 2 ** min(bits, 63) - 1], f"uint{bits}")
        for bits in (8, 16, 32, 64)
    },
    "float16": pa.array([0.5, None, -2.0], pa.float16()),
    "float32": pa.array([0.5, None, float("inf"), float("-inf"), float("nan"), -1e-30], "float32"),
    "float64": pa.array(
        [0.1, None, float("inf"), float("-inf"), float("nan"), 5e-324, 1.7976931348623157e308, 3.0],
        "float64",
    ),
    "decimal128": pa.array([Decimal("1.50"), None, Decimal("-99999999.99")], pa.decimal128(10, 2)),
    "decimal38": pa.array([Decimal(10) ** 37, None, Decimal(-1)], pa.decimal128(38, 0)),
    "decimal256": pa.array([Decimal("1.5"), None, Decimal(10) ** 50], pa.decimal256(60, 1)),
    "bool": pa.array([True, None, False]),
    "string": pa.array(_LETTERS),
    "large_string": pa.array(_LETTERS, pa.large_string()),
    "string_view": pa.array(_LETTERS, pa.string_view()),
    "dictionary": pa.array(_LETTERS).dictionary_encode(),
    "binary": pa.array([b"a", None, b"", b"\x00\xff\\x\n", b"\\"], pa.binary()),
    "large_binary": pa.array([b"a", None, b""], pa.large_binary()),
    "fixed_binary": pa.array([b"ab", None, b"\x00\xff"], pa.binary(2)),
    "null": pa.nulls(3),
    **{f"timestamp_{unit}": _times(unit, None) for unit in ("s", "ms", "us", "ns")},
    **{f"timestamp_{unit}_utc": _times(unit, "UTC") for unit in ("s", "ms", "us", "ns")},
    "timestamp_zone": _times("us", "Europe/Berlin"),
    "date32": pa.array([0, None, 15_706, -1], pa.date32()),
    "date64": pa.array([0, None, 86_400_000], pa.date64()),
    "time32": pa.array([0, None, 86_399], pa.time32("s")),
    "time64": pa.array([0, None, 86_399_999_999], pa.time64("us")),
    "duration_s": pa.array([0, None, -1, 90_061], pa.duration("s")),
    "duration_us": pa.array([0, None, -1_500_000, 90_061_000_001], pa.duration("us")),
    "duration_ns": pa.array([0, None, -1_500_000_000, 1_000], pa.duration("ns")),
    "list_int": pa.array([[1, None, 3], None, []], pa.list_(pa.int64())),
    "list_float": pa.array([[0.5, float("inf"), None], None, []], pa.list_(pa.float64())),
    "list_string": pa.array([_LETTERS, None, [], [None]], pa.list_(pa.string())),
    "list_time": pa.array([[0, None], None, []], pa.list_(pa.timestamp("us", "UTC"))),
    "list_bool": pa.array([[True, None, False], None], pa.list_(pa.bool_())),
    "list_list": pa.array([[[1], [], None, [2, 3]], None], pa.list_(pa.list_(pa.int64()))),
    "struct": pa.array(
        [{"a": 1, "b": "x"}, None, {"a": None, "b": ""}],
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
    ),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
}
"""By a name that can be that of a file; at least one null in each."""
