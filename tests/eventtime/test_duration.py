"""Durations as people write them, exact, and refused with the value, the place and the remedy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.duration import LONGEST, format_us, parse_us
from eventtime.errors import DurationError


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1us", 1),
        ("7µs", 7),
        ("250ms", 250_000),
        ("1.5s", 1_500_000),
        ("90m", 5_400_000_000),
        ("90min", 5_400_000_000),
        ("1h30m", 5_400_000_000),
        (" 1 h  30 m ", 5_400_000_000),
        ("2d", 172_800_000_000),
        ("1w", 604_800_000_000),
        ("0.000001s", 1),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_text_is_read_to_the_microsecond(text: str, micros: int) -> None:
    assert parse_us(text, name="size") == micros


def test_a_timedelta_is_exact() -> None:
    assert parse_us(timedelta(days=-1, microseconds=1), name="o", negative=True) == -86_399_999_999


def test_zero_alone_needs_no_unit() -> None:
    assert parse_us(0, name="offset") == 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "h",
        "1",
        "1x",
        "1h30",
        "30 1h",
        "1e3s",
        "--1h",
        "1h-30m",
        "+1h",
        "0.5us",
        "1..5s",
        ".5s",
        "nan",
        "1hh",
    ],
)
def test_malformed_text_is_refused_and_shown(value: str) -> None:
    with pytest.raises(DurationError) as error:
        parse_us(value, name="size")
    assert f"{value!r} is not a duration" in str(error.value)
    assert "size=" in str(error.value)
    assert "'1h30m'" in str(error.value)


@pytest.mark.parametrize("value", [5, 1.5, None, True, False, b"1h", [1]])
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(DurationError, match="is not a duration"):
        parse_us(value, name="size")


def test_a_negative_duration_is_refused_unless_allowed() -> None:
    with pytest.raises(DurationError, match="'-1h' is negative"):
        parse_us("-1h", name="allowed_lateness")
    assert parse_us("-1h", name="offset", negative=True) == -3_600_000_000


@pytest.mark.parametrize("value", ["-1h", "0s"])
def test_the_remedy_is_not_refused_in_its_turn(value: str) -> None:
    with pytest.raises(DurationError, match="fix: give a duration above zero, such as '1h'"):
        parse_us(value, name="size", zero=False)
    if value != "0s":
        with pytest.raises(DurationError, match="fix: give a duration of zero or more"):
            parse_us(value, name="allowed_lateness")


@pytest.mark.parametrize("value", ["0s", 0, "0", timedelta(0)])
def test_zero_is_refused_where_it_means_nothing(value: Any) -> None:
    with pytest.raises(DurationError, match="is zero"):
        parse_us(value, name="size", zero=False)


def test_the_longest_duration_is_2_to_the_60_microseconds() -> None:
    assert parse_us(f"{LONGEST}us", name="size") == LONGEST
    for value in (f"{LONGEST + 1}us", f"-{LONGEST + 1}us", timedelta.max):
        with pytest.raises(DurationError, match=r"longer than 36,500 years"):
            parse_us(value, name="size", negative=True)


@given(st.integers(-LONGEST, LONGEST))
def test_what_is_written_is_read_back(micros: int) -> None:
    assert parse_us(format_us(micros), name="size", negative=True) == micros
