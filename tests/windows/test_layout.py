"""Words of a slot: what they can hold, and what aggregates of one column share."""

from __future__ import annotations

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.windows.layout import Layout


def width(*aggregates: et.Aggregate, kind: pa.DataType) -> int:
    layout = Layout()
    for aggregate in aggregates:
        layout.add(aggregate, 0, kind, kind)
    return len(layout.neutral)


def test_mean_and_sum_and_count_of_a_column_keep_one_sum_and_one_count() -> None:
    for kind in (pa.int64(), pa.float64(), pa.decimal128(9, 2)):
        alone = width(et.mean("x"), kind=kind)
        assert width(et.mean("x"), et.sum("x"), et.count("x"), kind=kind) == alone


def test_variance_and_deviation_share_their_moments() -> None:
    assert width(et.var("x"), et.stddev("x", ddof=0), kind=pa.int64()) == width(
        et.var("x"), kind=pa.int64()
    )


def test_counting_rows_takes_no_word() -> None:
    layout = Layout()
    layout.add(et.count(), -1, pa.null(), pa.int64())
    assert len(layout.neutral) == 2
    assert len(layout.program) == 0


@pytest.mark.parametrize(
    ("aggregate", "kind", "holds"),
    [
        (et.sum("x"), pa.int8(), True),
        (et.min("x"), pa.timestamp("s"), True),
        (et.count("x"), pa.list_(pa.int8()), True),
        (et.min("x"), pa.decimal128(9), True),
        (et.first("x"), pa.decimal128(9), False),
        (et.min("x"), pa.string(), False),
        (et.collect("x"), pa.int8(), False),
        (et.count_distinct("x"), pa.int8(), False),
    ],
    ids=str,
)
def test_what_fits_in_words_needs_no_object(
    aggregate: et.Aggregate, kind: pa.DataType, *, holds: bool
) -> None:
    assert Layout.holds(aggregate, [kind]) is holds
