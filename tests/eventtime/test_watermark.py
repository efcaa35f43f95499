"""Watermark generators (S3, S4): what they promise row by row, and what custom ones may not do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from windowing import SECOND, TIME, pipeline, rows


def counts(generator: Any, data: Any, **window: Any) -> tuple[list[int], int]:
    """The counts of the windows, and how many rows were late."""
    run = pipeline(data, generator=generator, window=window).run()
    run.assert_balanced()
    return run.table().column("n").to_pylist(), run.ledger.total.late


def test_bounded_disorder_is_the_greatest_time_less_the_bound() -> None:
    # 70 - 10 reaches the end of [0, 60); 69.999999 does not.
    assert counts(et.bounded_disorder("10s"), rows([0, 69.999999, 1])) == ([2, 1], 0)
    assert counts(et.bounded_disorder("10s"), rows([0, 70, 1])) == ([1, 1], 1)


def test_ascending_takes_equal_times_as_on_time() -> None:
    assert counts(et.ascending(), rows([60, 60, 60])) == ([3], 0)


def test_a_bound_longer_than_all_of_time_still_is_one() -> None:
    data = pa.record_batch({"t": pa.array([-(2**62), 2**62, 0]).view(TIME)})
    assert counts(et.bounded_disorder("36500d"), data) == ([1, 1], 1)


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(et.DurationError, match=r"'-1s' is negative\n  at:  bound="):
        et.bounded_disorder("-1s")


def test_punctuation_from_a_column_moves_the_watermark_after_its_row() -> None:
    mark = pa.array([None, 60 * SECOND, None, None], pa.int64()).view(TIME)
    assert counts(et.punctuated(column="mark"), rows([0, 1, 2, 61], mark=mark)) == ([2, 1], 1)


def test_punctuation_where_a_predicate_is_true_is_the_rows_own_time() -> None:
    data = rows([0, 100, 60, 1], end=[False, None, True, False])
    assert counts(et.punctuated(where=pc.field("end")), data) == ([1, 2], 1)


def test_punctuation_never_takes_the_watermark_back() -> None:
    mark = pa.array([60 * SECOND, -5, 0], pa.int64()).view(TIME)
    assert counts(et.punctuated(column="mark"), rows([0, 70, 1], mark=mark)) == ([1, 1], 1)


def test_punctuated_takes_one_of_column_and_where() -> None:
    for options in ({}, {"column": "a", "where": pc.field("b")}):
        with pytest.raises(et.PlanError, match="takes one of column= and where="):
            et.punctuated(**options)


def test_a_punctuation_column_that_does_not_exist_is_refused() -> None:
    with pytest.raises(et.ColumnError, match="no column 'mark'"):
        pipeline(rows([0]), generator=et.punctuated(column="mark")).explain()


def test_a_percentile_outside_its_range_is_refused() -> None:
    for share in (0, 1.01, -1):
        with pytest.raises(et.PlanError, match=f"share {share} is not in"):
            et.percentile(share)
    with pytest.raises(et.PlanError, match="0 is not a number of rows above zero"):
        et.percentile(0.9, warm_up=0)


def test_a_percentile_learns_the_disorder_it_sees() -> None:
    # Every other row is 5 s behind: the learnt bound is a little above that, far below an hour.
    seconds = [i if i % 2 else i - 5.0 for i in range(4_000)]
    before, late_before = counts(et.percentile(0.99, initial="0s", warm_up=10**9), rows(seconds))
    after, late_after = counts(
        et.percentile(0.99, initial="1h", warm_up=100, every=10), rows(seconds)
    )
    assert late_before > 100 > late_after == 0
    assert sum(before) + late_before == sum(after) + late_after == 4_000


# Custom generators


class Says:
    """Answers what it was told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def on_batch(self, timestamps_us: Any) -> Any:
        return self.answer(timestamps_us) if callable(self.answer) else self.answer


def test_one_answer_for_a_batch_moves_the_watermark_after_its_last_row() -> None:
    assert counts(et.custom(Says(60 * SECOND)), rows([0, 1, 2])) == ([3], 0)
    assert counts(et.custom(Says(60 * SECOND)), {"a": rows([0]), "b": rows([1, 2])})[1] == 0


def test_one_answer_for_each_row_moves_it_after_that_row() -> None:
    assert counts(et.custom(Says([60 * SECOND, 0])), rows([0, 1])) == ([1], 1)


def test_no_answer_is_no_news() -> None:
    assert counts(et.custom(Says(None)), rows([0, 100, 1])) == ([2, 1], 0)


@pytest.mark.parametrize(
    "answer", [PLUS_INFINITY, PLUS_INFINITY - 1, 2**62 + 1, MINUS_INFINITY, MINUS_INFINITY + 1]
)
@pytest.mark.parametrize("lateness", ["0s", "10s"])
def test_answers_at_the_ends_of_int64_are_answers(answer: int, lateness: str) -> None:
    found, late = counts(et.custom(Says([answer, answer])), rows([0, 1]), allowed_lateness=lateness)
    assert (sum(found), late) == ((1, 1) if answer > 0 else (2, 0))


def test_the_last_int64_is_an_answer_and_the_number_after_it_is_none() -> None:
    assert counts(et.custom(Says(2**63 - 1)), rows([0, 1])) == ([2], 0)
    with pytest.raises(et.UserCodeError, match=f"{2**63}, which is no int64"):
        counts(et.custom(Says(lambda ts: np.uint64(2**63))), rows([0, 1]))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ([1], r"shape \(1,\) of int64 for 2 timestamps: \[1\]"),
        ([[1, 2]], r"shape \(1, 2\)"),
        (1.5, r"shape \(\) of float64"),
        ("soon", r"shape \(\) of <U4"),
        ([True, False], r"of bool"),
    ],
)
def test_an_answer_of_the_wrong_shape_is_shown_with_its_place(answer: Any, shown: str) -> None:
    with pytest.raises(et.UserCodeError, match=shown) as error:
        pipeline(rows([0, 90]), generator=et.custom(Says(answer))).run()
    text = str(error.value)
    assert "Says.on_batch returned" in text
    assert "partition 'memory', rows 0 to 1" in text
    assert "1970-01-01 00:01:30" in text
    assert "return None, one integer, or one integer for each row" in text


def test_what_a_generator_raises_is_shown_with_its_place() -> None:
    def fail(timestamps_us: Any) -> Any:
        return 1 // (timestamps_us[0] * 0).item()

    with pytest.raises(et.UserCodeError, match=r"Says.on_batch raised ZeroDivisionError") as error:
        pipeline(rows([0, 90]), generator=et.custom(Says(fail))).run()
    assert "rows 0 to 1" in str(error.value)
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_a_class_makes_a_generator_for_each_partition() -> None:
    made: list[Any] = []

    class Counting:
        def __init__(self) -> None:
            made.append(self)

        def on_batch(self, timestamps_us: Any) -> Any:
            return None

    pipeline({"a": rows([0]), "b": rows([1])}, generator=et.custom(Counting)).run()
    assert len(made) == 2


def test_what_has_no_on_batch_is_refused() -> None:
    with pytest.raises(et.PlanError, match=r"5 has no on_batch"):
        et.custom(5)  # type: ignore[arg-type]  # on purpose


def test_a_generator_is_described_by_its_call() -> None:
    described = [
        (et.bounded_disorder("4h"), "bounded_disorder('4h')"),
        (et.ascending(), "ascending()"),
        (et.punctuated(column="m"), "punctuated(column='m')"),
        (et.percentile(0.9, initial="1m"), "percentile(0.9, initial='1m')"),
        (et.custom(Says(None)), "custom(Says)"),
    ]
    assert [g.describe() for g, _ in described] == [text for _, text in described]


def test_a_punctuated_column_of_integers_has_the_unit_of_the_time_column() -> None:
    """S1, S3: a mark of 25 beside times in seconds means 25 s."""
    table = pa.table({"t": [1, 2, 30, 3, 4], "w": [0, 0, 25, 25, 25]})
    stream = et.from_arrow(table, time="t", time_unit="s").watermark(et.punctuated(column="w"))
    run = stream.window(et.tumbling("10s")).aggregate(n=et.count()).run()
    assert run.side("late").num_rows == 2
