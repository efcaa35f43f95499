"""Durations as people write them ('90m', '1h30m', timedelta) to int64 microseconds and back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from eventtime.checks import shown
from eventtime.errors import DurationError

__all__ = ("LONGEST", "DurationLike", "format_us", "parse_us")


DurationLike = str | int | timedelta
"""What a duration argument takes: '90s', '1h30m', '-2h' (offsets only), a timedelta; or plain 0."""

LONGEST: Final = 2**60
"""Longest duration, 36,500 years in µs: sums with any admitted event time stay in int64."""

_UNITS: Final = {
    "us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000,
    "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000,
}  # fmt: skip
# Digits as one types them: \d would take those of every script. No duration has as many as 40.
_PART: Final = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)\s*(us|µs|ms|min|s|m|h|d|w)")


def parse_us(value: DurationLike, *, name: str, zero: bool = True, negative: bool = False) -> int:
    """Read a duration.

    Args:
        value: text such as '4h', '1h30m', '250ms' (units us ms s m h d w), a timedelta, or the
            number 0.
        name: of the argument, for the message.
        zero: whether zero is allowed.
        negative: whether a leading '-' is allowed.

    Returns:
        Microseconds, exact.

    Raises:
        DurationError: not a duration, negative, zero where not allowed, or beyond 36,500 years.

    >>> parse_us("1h30m", name="size")
    5400000000
    """
    micros = _read(value, name)
    if (micros < 0 and not negative) or (micros == 0 and not zero):
        msg = f"duration {value!r} is {'negative' if micros else 'zero'}"
        least = "of zero or more" if zero else "above zero, such as '1h'"
        raise DurationError(msg, place=f"{name}=", remedy=f"give a duration {least}")
    if abs(micros) > LONGEST:
        msg = f"duration {shown(value)} is longer than 36,500 years"
        raise DurationError(msg, place=f"{name}=", remedy="give a shorter one")
    return micros


def _read(value: object, name: str) -> int:
    if isinstance(value, timedelta):
        return (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    if isinstance(value, str):
        micros = _read_text(value.strip())
        if micros is not None:
            return micros
    elif isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return 0
    msg = f"{shown(value)} is not a duration"
    raise DurationError(
        msg,
        place=f"{name}=",
        remedy="write it with units (us ms s m h d w), such as '90s' or '1h30m'",
    )


def _read_text(text: str) -> int | None:
    sign = -1 if text.startswith("-") else 1
    text = text.removeprefix("-").strip()
    if text == "0":
        return 0
    total, end = 0, 0
    for part in _PART.finditer(text):
        if text[end : part.start()].strip():
            return None
        number, _, fraction = part[1].partition(".")
        scaled = int(number + fraction) * _UNITS[part[2]]
        if scaled % 10 ** len(fraction):
            return None
        total += scaled // 10 ** len(fraction)
        end = part.end()
    return sign * total if end and not text[end:].strip() else None


def format_us(duration_us: int) -> str:
    """Write microseconds the way `parse_us` reads them, largest units first.

    >>> format_us(5_400_000_000), format_us(0), format_us(-1_500)
    ('1h30m', '0s', '-1ms500us')
    """
    if duration_us == 0:
        return "0s"
    text, rest = "-" if duration_us < 0 else "", abs(duration_us)
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text
