"""Results at the edges of their types: sums that overflow, wide decimals, NaN, -0.0, ties (D10)."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from windowing import in_slices, one, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST, SMALLEST = 2**63 - 1, -(2**63)
NAN, INF = math.nan, math.inf


# Integer sums


@pytest.mark.parametrize(
    "values", [[LARGEST], [SMALLEST], [LARGEST, 1, -1], [SMALLEST, -1, 1], [LARGEST, SMALLEST]]
)
def test_a_sum_that_leaves_int64_and_comes_back_is_exact(values: list[int]) -> None:
    assert one(et.sum("x"), values) == sum(values)


@pytest.mark.parametrize(
    "slices",
    [
        [[LARGEST], [LARGEST], [-LARGEST]],
        [[], [LARGEST, 1], [-1]],
        [[1], [SMALLEST, -1], []],
        [[-7], [LARGEST] * 3, [], [SMALLEST], [SMALLEST]],
    ],
)
def test_a_sum_that_leaves_int64_in_one_slice_comes_back_in_the_next(
    slices: list[list[int]],
) -> None:
    assert in_slices(et.sum("x"), slices) == sum(v for values in slices for v in values)


@pytest.mark.parametrize("values", [[LARGEST, 1], [SMALLEST, -1], [LARGEST] * 5, [SMALLEST] * 4])
def test_a_sum_beyond_int64_is_an_error_that_names_value_window_and_key(values: list[int]) -> None:
    data = rows([-30.0] * len(values), x=values, k=["north"] * len(values))
    stream = pipeline(data, keys=["k"], total=et.sum("x"))
    with pytest.raises(et.AggregateOverflowError) as error:
        stream.to_table()
    text = str(error.value)
    assert f"total = sum(x) is {sum(values)}, which does not fit int64" in text
    assert "1969-12-31 23:59:00" in text
    assert "k='north'" in text
    assert "decimal128(38, 0)" in text


def test_the_error_names_the_null_key_and_every_key_column() -> None:
    data = rows([0.0, 0.0, 0.0], x=[1, LARGEST, 1], a=[1, 2, 2], b=["p", None, None])
    with pytest.raises(et.AggregateOverflowError, match=r"a=2, b=None"):
        pipeline(data, keys=["a", "b"], s=et.sum("x")).to_table()


def test_the_error_without_a_key_says_so() -> None:
    with pytest.raises(et.AggregateOverflowError, match=r"key \(none\)"):
        one(et.sum("x"), [LARGEST, LARGEST])


def test_the_error_names_the_right_one_of_several_windows_that_fire_at_once() -> None:
    data = rows([0.0, 60.0, 60.0, 120.0], x=[1, LARGEST, 2, 3])
    stream = pipeline(data, generator=et.bounded_disorder("1h"), s=et.sum("x"))
    with pytest.raises(et.AggregateOverflowError, match=r"window \[1970-01-01 00:01:00"):
        stream.to_table()


def test_uint64_sums_are_exact_up_to_int64() -> None:
    assert one(et.sum("x"), pa.array([2**63 - 2, 1], pa.uint64())) == LARGEST
    with pytest.raises(et.AggregateOverflowError, match=f"is {2**63},"):
        one(et.sum("x"), pa.array([2**63 - 1, 1], pa.uint64()))
    with pytest.raises(et.AggregateOverflowError, match=f"is {2**66 - 4},"):
        one(et.sum("x"), pa.array([2**64 - 1] * 4, pa.uint64()))


def test_means_are_taken_of_128_bits() -> None:
    assert one(et.mean("x"), [LARGEST] * 4) == pytest.approx(float(LARGEST), rel=1e-15)
    assert one(et.mean("x"), [SMALLEST] * 3) == pytest.approx(float(SMALLEST), rel=1e-15)
    assert one(et.mean("x"), pa.array([2**64 - 1] * 3, pa.uint64())) == pytest.approx(
        2.0**64, rel=1e-15
    )


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()]
)
def test_narrow_integers_add_up_to_int64(kind: pa.DataType) -> None:
    top = 2 ** (kind.bit_width - (0 if pa.types.is_unsigned_integer(kind) else 1)) - 1
    assert one(et.sum("x"), pa.array([top] * 3, kind)) == 3 * top


def test_booleans_add_up_to_the_number_of_true_ones() -> None:
    assert one(et.sum("x"), [True, False, None, True]) == 2
    assert one(et.mean("x"), [True, False, None, True]) == pytest.approx(2 / 3)


def test_durations_add_up_to_a_duration() -> None:
    assert one(et.sum("x"), pa.array([2, -5], pa.duration("s"))) == dt.timedelta(seconds=-3)


# Decimals


def decimals(values: Sequence[str | None], precision: int = 38, scale: int = 2) -> pa.Array:
    return pa.array(
        [None if v is None else Decimal(v) for v in values], pa.decimal128(precision, scale)
    )


WIDE = "9" * 36 + ".99"
"""The largest decimal of 38 digits, two of them behind the point."""


def test_decimal_sums_are_exact() -> None:
    assert one(et.sum("x"), decimals(["0.10"] * 3 + ["-0.40", None], 9)) == Decimal("-0.10")


def test_a_decimal_sum_beyond_38_digits_that_comes_back_is_exact() -> None:
    assert one(et.sum("x"), decimals([WIDE, WIDE, f"-{WIDE}"])) == Decimal(WIDE)
    assert in_slices(
        et.sum("x"), [[Decimal(WIDE)], [Decimal(WIDE)], [Decimal(f"-{WIDE}")]], pa.decimal128(38, 2)
    ) == Decimal(WIDE)


@pytest.mark.parametrize("values", [[WIDE, "0.01"], [f"-{WIDE}", "-0.01"], [WIDE] * 1_000])
def test_a_decimal_sum_beyond_38_digits_is_an_error_that_shows_it(values: list[str]) -> None:
    exact = sum(int(v.replace(".", "")) for v in values)
    with pytest.raises(et.AggregateOverflowError, match="does not fit decimal128") as error:
        one(et.sum("x"), decimals(values))
    shown = str(error.value).split(" is ")[1].split(",")[0]
    assert shown == f"{'-' * (exact < 0)}{abs(exact) // 100}.{abs(exact) % 100:02}"


@pytest.mark.parametrize(
    ("values", "cast"),
    [
        (pa.array([LARGEST, 1]), "decimal128(38, 0)"),
        (pa.array([2**64 - 1, 1], pa.uint64()), "decimal128(38, 0)"),
        (decimals([WIDE, "0.01"]), "float64"),
        (pa.array([Decimal("9" * 38)] * 2, pa.decimal128(38, 0)), "float64"),
        (pa.array([LARGEST, 1], pa.duration("us")), "int64 and then to decimal128(38, 0)"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_the_remedy_for_a_sum_that_is_too_large_helps(values: pa.Array, cast: str) -> None:
    with pytest.raises(et.AggregateOverflowError) as error:
        one(et.sum("x"), values)
    assert f" to {cast} before" in error.value.remedy
    wide = pc.field("x")
    for name in cast.split(" and then to "):
        wide = wide.cast(pa.decimal128(38, 0) if "decimal" in name else pa.type_for_alias(name))
    numbers = values.cast(pa.int64()) if pa.types.is_duration(values.type) else values
    exact = sum(Fraction(value) for value in numbers.to_pylist())
    assert abs(Fraction(one(et.sum(wide), values)) / exact - 1) < 1e-15


def test_decimal_extremes_order_negative_wide_and_small_values() -> None:
    values = decimals(["0.01", "-0.01", WIDE, f"-{WIDE}", None])
    assert one(et.min("x"), values) == Decimal(f"-{WIDE}")
    assert one(et.max("x"), values) == Decimal(WIDE)


def test_decimals_have_a_mean_and_a_variance() -> None:
    values = decimals(["1.50", "-2.50", "4.00", None], 10)
    assert one(et.mean("x"), values) == 1.0
    assert one(et.var("x"), values) == pytest.approx(10.75)
    assert one(et.stddev("x", ddof=0), values) == pytest.approx(math.sqrt(21.5 / 3))


def test_a_mean_of_negative_decimals_does_not_cancel() -> None:
    assert one(et.mean("x"), decimals(["-0.01", "-0.03"])) == pytest.approx(-0.02, rel=1e-15)
    assert one(et.mean("x"), decimals([f"-{WIDE}", WIDE, "3.00"])) == pytest.approx(1.0)


# Floats


@pytest.mark.parametrize("values", [[1.0, NAN, -1.0], [NAN, 1.0, -1.0], [-1.0, 1.0, NAN]])
def test_nan_is_greater_than_every_number(values: list[float]) -> None:
    assert one(et.min("x"), values) == -1.0
    assert math.isnan(one(et.max("x"), values))
    assert in_slices(et.min("x"), [[v] for v in values]) == -1.0
    assert math.isnan(in_slices(et.max("x"), [[v] for v in values]))


def test_nan_alone_is_least_and_greatest() -> None:
    assert math.isnan(one(et.min("x"), [NAN, None]))
    assert math.isnan(one(et.max("x"), [NAN, NAN]))
    assert one(et.min("x"), [NAN, INF]) == INF


def test_infinities_are_extremes() -> None:
    assert one(et.max("x"), [-INF, None]) == -INF
    assert one(et.min("x"), [INF]) == INF
    assert math.isnan(one(et.sum("x"), [INF, -INF]))


def test_of_equal_zeros_the_first_to_arrive_stays() -> None:
    for values in ([0.0, -0.0], [-0.0, 0.0]):
        for aggregate in (et.min("x"), et.max("x")):
            assert math.copysign(1, one(aggregate, values)) == math.copysign(1, values[0])
            assert math.copysign(1, in_slices(aggregate, [[v] for v in values])) == math.copysign(
                1, values[0]
            )


def test_float_sums_follow_row_order() -> None:
    assert one(et.sum("x"), [1e16, 1.0, -1e16]) == 0.0
    assert one(et.sum("x"), [1e16, -1e16, 1.0]) == 1.0


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_float_widths_keep_their_type_as_extremes_and_widen_as_sums(kind: pa.DataType) -> None:
    import numpy as np

    values = pa.array(np.array([1.5, -2.5], {16: "f2", 32: "f4", 64: "f8"}[kind.bit_width]), kind)
    data = rows([0.0, 0.0], x=values)
    table = pipeline(data, lo=et.min("x"), s=et.sum("x"), f=et.first("x")).to_table()
    assert [table.schema.field(n).type for n in ("lo", "s", "f")] == [kind, pa.float64(), kind]
    assert [table.column(n)[0].as_py() for n in ("lo", "s", "f")] == [-2.5, -1.0, 1.5]


def test_variance_does_not_cancel_far_from_zero() -> None:
    assert one(et.var("x"), [1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]) == 30.0
    assert in_slices(et.var("x"), [[1e9 + 4], [1e9 + 7, 1e9 + 13], [], [1e9 + 16]]) == 30.0


def test_the_spread_of_large_integers_is_exact_once_a_constant_is_subtracted() -> None:
    values = [10**18 + v for v in (4, 7, 13, 16)]
    assert one(et.var(pc.field("x") - 10**18), values) == 30.0
    # As it stands, of floats that lie 128 apart.
    assert abs(one(et.stddev("x"), values) - math.sqrt(30)) <= 4 * max(values) * 2**-51


# Nulls and types


@pytest.mark.parametrize(
    ("aggregate", "empty"),
    [
        (et.count(), 2),
        (et.count("x"), 0),
        (et.sum("x"), None),
        (et.min("x"), None),
        (et.max("x"), None),
        (et.mean("x"), None),
        (et.var("x"), None),
        (et.stddev("x"), None),
        (et.first("x"), None),
        (et.last("x"), None),
        (et.count_distinct("x"), 0),
        (et.collect("x"), None),
    ],
    ids=lambda a: a.describe() if isinstance(a, et.Aggregate) else "",
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(9, 2)])
def test_over_nulls_alone_there_is_no_value(
    aggregate: et.Aggregate, empty: Any, kind: pa.DataType
) -> None:
    assert one(aggregate, pa.array([None, None], kind)) == empty
    assert in_slices(aggregate, [[None], [None]], kind) == empty


def test_any_and_all_leave_nulls_out() -> None:
    assert one(et.any("x"), [None, False, True]) is True
    assert one(et.all("x"), [None, True]) is True
    assert one(et.all("x"), [True, False, None]) is False
    assert one(et.any("x"), pa.array([None], pa.bool_())) is None
    assert one(et.all("x"), pa.array([None], pa.bool_())) is None


def test_spread_needs_more_rows_than_ddof() -> None:
    assert one(et.var("x"), [3.0]) is None
    assert one(et.var("x", ddof=0), [3.0]) == 0.0
    assert one(et.stddev("x", ddof=2), [3.0, 4.0, None]) is None


def test_of_equal_times_first_takes_the_earliest_arrival_and_last_the_latest() -> None:
    assert one(et.first("x"), [None, 1, 2, 3]) == 1
    assert one(et.last("x"), [1, 2, 3, None]) == 3
    assert one(et.first("x"), ["b", "a"]) == "b"
    assert one(et.last("x"), ["b", "a"]) == "a"


def test_first_and_last_go_by_event_time_not_arrival() -> None:
    assert one(et.first("x"), [1, 2, 3], [20.0, 5.0, 10.0]) == 2
    assert one(et.last("x"), [1, 2, 3], [20.0, 5.0, 10.0]) == 1


@pytest.mark.parametrize(
    ("kind", "least", "greatest"),
    [
        (pa.uint64(), 0, 2**64 - 1),
        (pa.int64(), SMALLEST, LARGEST),
        (pa.date32(), dt.date(1969, 12, 31), dt.date(2024, 2, 29)),
        (pa.date64(), dt.date(1969, 12, 31), dt.date(2024, 2, 29)),
        (pa.timestamp("ms"), dt.datetime(1960, 1, 1), dt.datetime(2024, 1, 1)),  # noqa: DTZ001 - without a zone
        (pa.time32("s"), dt.time(0), dt.time(23, 59, 59)),
        (pa.time64("us"), dt.time(0), dt.time(23, 59, 59, 1)),
        (pa.duration("ms"), dt.timedelta(-1), dt.timedelta(1)),
        (pa.string(), "", "ž"),
        (pa.large_binary(), b"\x00", b"\xff"),
        (pa.bool_(), False, True),
    ],
    ids=str,
)
def test_extremes_keep_the_type_of_their_column(
    kind: pa.DataType, least: Any, greatest: Any
) -> None:
    values = pa.array([greatest, None, least], kind)
    data = rows([0.0, 0.0, 1.0], x=values)
    table = pipeline(
        data, lo=et.min("x"), hi=et.max("x"), a=et.first("x"), z=et.last("x")
    ).to_table()
    assert {table.schema.field(n).type for n in ("lo", "hi", "a", "z")} == {kind}
    row = table.to_pylist()[0]
    assert [row[n] for n in ("lo", "hi", "a", "z")] == [least, greatest, greatest, least]
