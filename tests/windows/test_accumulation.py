"""Corrections in the three modes: versions, timing, is_final, retractions (S21, D5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.windows.accumulation import check_mode
from windowing import pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

# time:       0    60    | late rows: 5, 6 (at watermark 65), 7 (at 125)
# window:     [0, 60) closes at 60, expires at 60 + 120 = 180
SECONDS = [0, 65, 5, 6, 125, 7, 200]


def corrected(
    mode: str, seconds: Sequence[float] = SECONDS, **options: Any
) -> list[dict[str, Any]]:
    data = rows(
        seconds, x=[10**i for i in range(len(seconds))], k=options.pop("k", [1] * len(seconds))
    )
    window = {"allowed_lateness": options.pop("lateness", "2m"), "mode": mode}
    stream = pipeline(data, options.pop("assigner", None), keys=["k"], window=window, s=et.sum("x"))
    run = stream.run()
    run.assert_balanced()
    found: list[dict[str, Any]] = [
        r for r in run.table().to_pylist() if r["window_start"].timestamp() == 0
    ]
    return found


def told(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(r[n] for n in names) for r in found]


def test_accumulating_says_everything_again() -> None:
    found = corrected("accumulating")
    assert told(found, "s", "version", "timing", "is_final") == [
        (1, 1, "on_time", False),
        (1_101, 2, "late", False),
        (101_101, 3, "late", True),
    ]


def test_discarding_says_only_what_is_new_and_versions_add_up() -> None:
    found = corrected("discarding")
    assert told(found, "s", "version") == [(1, 1), (1_100, 2), (100_000, 3)]


def test_retracting_takes_the_old_row_back_as_it_was() -> None:
    found = corrected("retracting")
    assert told(found, "s", "version", "timing", "is_final", "diff") == [
        (1, 1, "on_time", False, 1),
        (1, 1, "on_time", False, -1),
        (1_101, 2, "late", False, 1),
        (1_101, 2, "late", False, -1),
        (101_101, 3, "late", True, 1),
    ]


def test_a_key_first_seen_in_a_closed_window_begins_with_a_late_version_1() -> None:
    found = corrected("retracting", k=[1, 1, 1, 2, 1, None, 1])
    assert told(found, "k", "version", "timing", "diff") == [
        (1, 1, "on_time", 1),
        (1, 1, "on_time", -1),
        (1, 2, "late", 1),
        (2, 1, "late", 1),
        (None, 1, "late", 1),
    ]


def test_only_keys_that_changed_are_corrected() -> None:
    found = corrected("accumulating", [0, 1, 65, 5, 200], k=[1, 2, 1, 2, 1])
    assert told(found, "k", "version") == [(1, 1), (2, 1), (2, 2)]


def test_without_allowed_lateness_a_window_fires_once_and_for_all() -> None:
    found = corrected("accumulating", lateness="0s")
    assert told(found, "s", "version", "is_final") == [(1, 1, True)]


def test_a_correction_at_expiry_is_final() -> None:
    # The watermark passes 180 in one step: the correction comes out there, at the latest.
    found = corrected("accumulating", [0, 175, 5, 180])
    assert told(found, "s", "is_final") == [(1, False), (101, True)]


def test_at_the_end_of_input_everything_is_final() -> None:
    found = corrected("accumulating", [0, 65, 5])
    assert told(found, "s", "is_final") == [(1, False), (101, True)]


def test_a_lateness_between_slices_has_firing_points_of_its_own() -> None:
    # L = 90 s: the window expires at 150, half-way between the ends at 120 and 180.
    found = corrected("accumulating", [0, 65, 5, 149, 6, 150], lateness="90s")
    assert told(found, "s", "is_final") == [(1, False), (101, False), (10_101, True)]


@pytest.mark.parametrize("mode", ["accumulating", "discarding", "retracting"])
def test_a_late_row_corrects_each_closed_window_that_holds_it(mode: str) -> None:
    data = rows([0, 30, 65, 25, 300], x=[1, 1, 1, 1, 1])
    window = {"allowed_lateness": "2m", "mode": mode}
    table = pipeline(data, et.sliding("60s", slide="20s"), window=window, s=et.sum("x")).to_table()
    late = {r["window_start"].timestamp() for r in table.to_pylist() if r["timing"] == "late"}
    # 25 is in [-20, 40), [0, 60) and [20, 80); the last was open at 65.
    assert late == {-20.0, 0.0}


def test_aggregates_that_are_objects_are_corrected_alike() -> None:
    data = rows(SECONDS, x=list("abcdefg"))
    wanted = {"accumulating": ["a", "acd", "acdf"], "discarding": ["a", "cd", "f"]}
    for mode, texts in wanted.items():
        window = {"allowed_lateness": "2m", "mode": mode}
        table = pipeline(data, window=window, all=et.collect("x")).to_table()
        found = ["".join(r["all"]) for r in table.to_pylist() if r["window_start"].timestamp() == 0]
        assert found == texts


def test_an_unknown_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        et.PlanError, match=r"'update' is unknown(.|\n)*accumulating, discarding, retracting"
    ):
        check_mode("update")
