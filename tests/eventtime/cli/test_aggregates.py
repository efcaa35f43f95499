"""Aggregates are read token by token; what cannot be read is pointed at."""

from __future__ import annotations

import pytest

import eventtime as et
from eventtime.cli.aggregates import FUNCTIONS, parse_aggregate, parse_aggregates


@pytest.mark.parametrize(
    ("text", "name", "aggregate"),
    [
        ("count()", "count", et.count()),
        ("count(tailnum)", "count_tailnum", et.count("tailnum")),
        ("mean(dep_delay) as delay", "delay", et.mean("dep_delay")),
        ("  MEAN ( dep_delay )  AS  delay ", "delay", et.mean("dep_delay")),
        ("var(x, ddof=0)", "var_x", et.var("x", ddof=0)),
        ("stddev(x)", "stddev_x", et.stddev("x")),
        ("max(\"dep delay, min\") as 'worst one'", "worst one", et.max("dep delay, min")),
        ("sum(`as`) as as", "as", et.sum("as")),
        ("first(a.b-c)", "first_a.b-c", et.first("a.b-c")),
    ],
)
def test_what_is_read(text: str, name: str, aggregate: et.Aggregate) -> None:
    assert parse_aggregate(text) == (name, aggregate)


def test_every_function_of_the_library_is_known() -> None:
    for function in FUNCTIONS:
        assert parse_aggregate(f"{function}(x)")[1] == getattr(et, function)("x")


@pytest.mark.parametrize(
    ("text", "told", "at"),
    [
        ("maen(x)", "'maen' is no aggregate function", 1),
        ("count", "'(' is missing after 'count'", 6),
        ("mean(x", "',' or ')' is missing after 'x'", 7),
        ("mean(x y)", "',' or ')' is missing after 'x'", 8),
        ("mean()", "mean() needs a column", 6),
        ("mean(a, b)", "mean takes one column, not 2", 9),
        ("mean(x) delay", "'delay' is too much", 9),
        ("mean(x) as", "the name after 'as' is missing", 11),
        ("mean(x) as a b", "'b' is too much", 14),
        ("mean(x, ddof=0)", "mean takes no option 'ddof'", 9),
        ("var(x, ddof=x)", "ddof='x' is not a number of rows", 13),
        ("mean('x)", "a quote is not closed", 6),
        ("", "the function is missing", 1),
        ("(x)", "the function is missing", 1),
        ("mean(,x)", "a column is missing", 6),
        ("__import__('os').system('id')", "'__import__' is no aggregate function", 1),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, told: str, at: int) -> None:
    with pytest.raises(et.PlanError) as raised:
        parse_aggregate(text)
    assert told in raised.value.what
    assert f"character {at}" in raised.value.place
    assert raised.value.what.splitlines()[-1].index("^") == 7 + at - 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [("maen", "mean"), ("avg", "mean"), ("std", "stddev"), ("nunique", "count_distinct")],
)
def test_a_near_miss_is_guessed(written: str, meant: str) -> None:
    with pytest.raises(et.PlanError, match=f"did you mean '{meant}'"):
        parse_aggregate(f"{written}(x)")


def test_names_differ() -> None:
    assert list(parse_aggregates(["min(x)", "max(x)"])) == ["min_x", "max_x"]
    with pytest.raises(et.PlanError, match="two aggregates are called 'x'"):
        parse_aggregates(["min(a) as x", "max(b) as x"])
