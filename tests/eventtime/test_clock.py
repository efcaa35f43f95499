"""Clocks: one moves by hand, one is the machine's."""

from __future__ import annotations

from eventtime.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told_and_back_too() -> None:
    clock = ManualClock(100)
    clock.advance(5)
    assert clock.now_us() == 105
    clock.advance(-50)
    assert clock.now_us() == 55


def test_the_machines_clock_counts_microseconds_since_1970() -> None:
    # Between 2020 and 2100, whatever the day of the test.
    assert 1_577_836_800_000_000 < SystemClock().now_us() < 4_102_444_800_000_000
