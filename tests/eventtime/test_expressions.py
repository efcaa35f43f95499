"""Expressions over batches: values in row order, the columns they read, names that do not exist."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from eventtime.errors import ColumnError, PlanError
from eventtime.expressions import check_columns, columns_of, evaluate, project, type_of

SCHEMA = pa.schema({"a": pa.int64(), "b": pa.float64(), "name": pa.string()})


def test_values_come_in_row_order_even_for_many_rows() -> None:
    n = 200_000
    batch = pa.record_batch({"a": pa.array(range(n))})
    assert evaluate(batch, pc.field("a") * 2).equals(pa.array(range(0, 2 * n, 2)))


def test_a_constant_is_repeated_for_each_row() -> None:
    batch = pa.record_batch({"a": [1, 2, 3]})
    assert evaluate(batch, pc.scalar(7)).to_pylist() == [7, 7, 7]


def test_no_rows_have_types_all_the_same() -> None:
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    assert project(empty, {"x": pc.field("a") + pc.field("b")}).schema == pa.schema(
        {"x": pa.float64()}
    )


def test_the_columns_of_an_expression_are_those_it_cannot_do_without() -> None:
    expression = pc.if_else(pc.field("a") > 1, pc.field("b"), pc.scalar(0.0))
    assert columns_of(SCHEMA, expression) == ["a", "b"]
    assert columns_of(SCHEMA, pc.scalar(1)) == []


def test_the_type_of_an_expression_is_known_without_rows() -> None:
    assert type_of(SCHEMA, pc.field("a") + pc.field("b"), place="here") == pa.float64()


@pytest.mark.parametrize("expression", [pc.field("name") + pc.field("a")])
def test_an_expression_that_does_not_fit_is_refused_with_its_place(
    expression: pc.Expression,
) -> None:
    with pytest.raises(
        PlanError, match=r"does not fit the columns(.|\n)*at:  here\n  fix: columns are a, b, name"
    ):
        type_of(SCHEMA, expression, place="here")


def test_an_expression_over_an_unknown_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        PlanError, match=r"'?z'?(.|\n)*at:  here\n  fix: (.|\n)*columns are a, b, name"
    ):
        type_of(SCHEMA, pc.field("z") > 1, place="here")


def test_a_misspelt_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(
        ColumnError, match=r"no column 'nme'(.|\n)*did you mean 'name'\? columns are a, b, name"
    ):
        check_columns(SCHEMA, ["a", "nme"], place="key_by(...)")
