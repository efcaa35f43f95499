"""Whole columns of plain values as text: numbers, ISO 8601 times, base64.

What JSON and CSV share. Every function works on a column at once; where one does not, it says so.
"""

from __future__ import annotations

import base64
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import SinkError
from eventtime.lanes import is_binary

__all__ = (
    "bytes_used",
    "check_text_types",
    "float_text",
    "is_quoted",
    "is_string",
    "join",
    "plain_text",
)

_EPOCH_TO_YEAR_0_S: Final = -62_167_219_200
_EPOCH_TO_YEAR_10000_S: Final = 253_402_300_800
_UNITS_IN_A_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def check_text_types(schema: pa.Schema, format_name: str) -> None:
    """Refuse columns that have no text form, and names a row could not tell apart.

    Raises:
        SinkError: an interval or union column, a column name used twice, or no column at all.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice or not schema.names:
        wrong = f"two columns {twice[0]!r}" if twice else "no column"
        msg = f"{format_name} cannot hold rows with {wrong}"
        raise SinkError(msg, place=f"columns {schema.names}", remedy="select and rename columns")
    for field in schema:
        bad = _without_text(field.type)
        if bad is not None:
            msg = f"{format_name} has no form for {bad} in column {field.name!r}: {field.type}"
            raise SinkError(
                msg,
                place=f"column {field.name!r}",
                remedy="cast it, leave it out, or write Parquet or Arrow IPC",
            )


def _without_text(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_union(kind) or pa.types.is_interval(kind):
        return kind
    if isinstance(kind, pa.BaseExtensionType):
        return _without_text(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _without_text(kind.value_type)
    inner = [kind.field(i).type for i in range(kind.num_fields)] if pa.types.is_nested(kind) else []
    return next((bad for bad in map(_without_text, inner) if bad is not None), None)


def is_string(kind: pa.DataType) -> bool:
    """Tell whether it is one of the string types."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_quoted(kind: pa.DataType) -> bool:
    """Tell whether JSON writes its values as strings."""
    is_time = pa.types.is_temporal(kind) and not pa.types.is_interval(kind)
    return bool(is_time or is_string(kind) or is_binary(kind))


def plain_text(array: pa.Array) -> pa.Array:
    """Write values that are neither floats nor nested, without quotes; nulls stay null."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    if pa.types.is_date(kind):
        return _timestamps(array.cast(pa.timestamp("s")), letters=10)
    if pa.types.is_duration(kind):
        return _durations(array)
    if is_binary(kind):
        # Row by row: Arrow has no base64 kernel.
        values = array.to_pylist()
        return pa.array([None if v is None else base64.b64encode(v) for v in values], pa.string())
    return array.cast(pa.string())


def _durations(array: pa.Array) -> pa.Array:
    """Write ISO 8601; a day is 24 hours.

    >>> _durations(pa.array([5_400_000_001, 0, -500_000, None], pa.duration("us"))).to_pylist()
    ['PT1H30M0.000001S', 'PT0S', '-PT0.5S', None]
    """
    scale = _UNITS_IN_A_SECOND[array.type.unit]
    raw = array.view(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    rest, parts = np.divmod(np.abs(raw).view(np.uint64), np.uint64(scale))
    rest, seconds = np.divmod(rest, np.uint64(60))
    rest, minutes = np.divmod(rest, np.uint64(60))
    days, hours = np.divmod(rest, np.uint64(24))
    fraction = pc.utf8_lpad(pa.array(parts).cast(pa.string()), len(str(scale)) - 1, "0")
    fraction = pc.if_else(parts > 0, join(".", pc.utf8_rtrim(fraction, "0")), "")
    has_seconds = (seconds > 0) | (parts > 0) | (raw == 0)
    text = join(
        pc.if_else(raw < 0, "-P", "P"),
        _counted(days, "D"),
        pc.if_else((hours > 0) | (minutes > 0) | has_seconds, "T", ""),
        _counted(hours, "H"),
        _counted(minutes, "M"),
        pc.if_else(has_seconds, join(pa.array(seconds).cast(pa.string()), fraction, "S"), ""),
    )
    return pc.if_else(array.is_valid(), text, pa.scalar(None, pa.string()))


def _counted(counts: np.ndarray[tuple[int], np.dtype[np.uint64]], letter: str) -> pa.Array:
    return pc.if_else(counts > 0, join(pa.array(counts).cast(pa.string()), letter), "")


def _timestamps(array: pa.Array, letters: int | None = None) -> pa.Array:
    """Write ISO 8601 with a T; an instant (a column with a zone) in UTC with a Z.

    Args:
        array: (n,) timestamps.
        letters: how many letters to keep; None for all.
    """
    unit = array.type.unit
    local = array.view(pa.timestamp(unit))
    text = local.cast(pa.string())
    if unit != "ns":  # nanoseconds never leave the years of four digits
        text = _far_years(local, text)
    if letters is not None:
        # A far year is longer by three letters, its sign and two digits.
        far = pc.match_substring_regex(text, "^[-+]")
        raw = text.cast(pa.binary())
        cut, cut_far = pc.binary_slice(raw, 0, letters), pc.binary_slice(raw, 0, letters + 3)
        return pc.if_else(far, cut_far, cut).cast(pa.string())
    text = pc.replace_substring(text, " ", "T")
    return join(text, "Z") if array.type.tz is not None else text


def _far_years(local: pa.Array, text: pa.Array) -> pa.Array:
    """Write years outside 0000 to 9999 as ISO 8601 does: a sign and six digits."""
    scale = _UNITS_IN_A_SECOND[local.type.unit]
    raw = local.view(pa.int64())
    low, high = _EPOCH_TO_YEAR_0_S * scale, _EPOCH_TO_YEAR_10000_S * scale
    far = pc.or_(pc.less(raw, low), pc.greater_equal(raw, high))
    if not pc.any(far).as_py():
        return text
    # Row by row over the far ones, which are rare; numpy writes any year, with no fixed width.
    numbers = raw.filter(far).to_numpy()
    # The least of all numbers is no time to numpy: the next one stands in, which ends in a 3.
    is_least = numbers == np.iinfo(np.int64).min
    moments = np.where(is_least, numbers + 1, numbers).view(f"M8[{local.type.unit}]")
    texts = np.datetime_as_string(moments).tolist()
    written = []
    for whole, least in zip(texts, is_least.tolist(), strict=True):
        moment = f"{whole[:-1]}2" if least else whole
        year, rest = moment[1:].split("-", 1)
        year = moment[0] + year
        written.append(f"{int(year):+07d}-{rest.replace('T', ' ')}")
    return pc.replace_with_mask(
        text, far.fill_null(pa.scalar(value=False)), pa.array(written, pa.string())
    )


def float_text(array: pa.Array) -> pa.Array:
    """Write the shortest digits that read back equal; whole numbers with ``.0``."""
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    text = array.cast(pa.string())
    # Digits only: neither a point, an exponent, 'nan' nor 'inf'.
    whole = pc.invert(pc.match_substring_regex(text, "[.en]"))
    return pc.if_else(whole, join(text, ".0"), text)


def bytes_used(text: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell which byte values occur, (256,) bool; may count bytes under nulls."""
    data = text.buffers()[2]
    if not len(text) or data is None:
        return np.zeros(256, np.bool_)
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    used = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return np.bincount(used, minlength=256) > 0


def join(*pieces: pa.Array | str) -> pa.Array:
    """Concatenate row by row; null if a piece is."""
    return pc.binary_join_element_wise(*pieces, "", null_handling="emit_null")
