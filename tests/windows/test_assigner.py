"""Assigners as users declare them: what is refused, and what offsets mean (S13, S14)."""

from __future__ import annotations

from typing import Any

import pytest

import eventtime as et
from windowing import pipeline, rows


def test_a_slide_longer_than_the_size_is_refused_with_both_values() -> None:
    with pytest.raises(et.EventTimeError, match=r"slide '2h' is longer than size '1h'") as error:
        et.sliding("1h", slide="2h")
    assert "at most '1h'" in str(error.value)


def test_a_slide_equal_to_the_size_is_tumbling() -> None:
    assert et.sliding("1h", slide="1h").grid == et.tumbling("1h").grid


@pytest.mark.parametrize("make", [et.tumbling, lambda size: et.sliding("1h", slide=size)])
@pytest.mark.parametrize(
    ("size", "why"), [("0s", "is zero"), ("-1h", "is negative"), ("1hour", "is not a duration")]
)
def test_a_size_or_slide_that_is_no_length_is_refused(make: Any, size: str, why: str) -> None:
    with pytest.raises(et.DurationError, match=f"{size!r} {why}"):
        make(size)


def test_a_malformed_offset_is_refused() -> None:
    with pytest.raises(et.DurationError, match=r"'noon' is not a duration\n  at:  offset="):
        et.tumbling("1h", offset="noon")


def test_offsets_count_modulo_the_step() -> None:
    assert (
        et.tumbling("1h", offset="-15m")
        == et.tumbling("1h", offset="45m")
        == et.tumbling("1h", offset="1005m")
    )
    assert et.sliding("1h", slide="10m", offset="25m") == et.sliding("1h", slide="10m", offset="5m")


@pytest.mark.parametrize(
    ("assigner", "text"),
    [
        (et.tumbling("90m"), "tumbling('1h30m')"),
        (et.tumbling("1h", offset="1m"), "tumbling('1h', offset='1m')"),
        (et.sliding("1h", slide="1m", offset="-1s"), "sliding('1h', slide='1m', offset='59s')"),
        (et.global_window(), "global_window()"),
    ],
)
def test_a_description_is_the_call_that_makes_it(assigner: Any, text: str) -> None:
    assert assigner.describe() == text


def test_a_row_is_in_every_window_whose_half_open_span_holds_it() -> None:
    # [-50, 10) [-20, 40) [10, 70) [40, 100)
    table = pipeline(rows([-20, 10, 39]), et.sliding("60s", slide="30s", offset="10s")).to_table()
    found = [(r["window_start"].timestamp(), r["n"]) for r in table.to_pylist()]
    assert found == [(-50.0, 1), (-20.0, 3), (10.0, 2)]
