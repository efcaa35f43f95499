"""Windows over windows, and steps before and behind the watermark, equal composed oracles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import (
    Where,
    all_null_times,
    assert_ledger,
    assert_rows,
    rows_of,
    source_of,
    stream_of,
    watermarked,
    windowed,
    without_detail,
)
from eventtime.testing.reference import Aggregate, Operator, Spec, replay
from strategies import Case, cases, specs

if TYPE_CHECKING:
    from eventtime.testing.reference import Row

FIRST = (Aggregate("rows", "count"), Aggregate("sum_n", "sum", "n"), Aggregate("max_x", "max", "x"))
SECOND = (
    Aggregate("windows", "count"),
    Aggregate("rows_in", "sum", "rows"),
    Aggregate("total", "sum", "sum_n"),
    Aggregate("highest", "max", "max_x"),
    Aggregate("latest", "last", "rows"),
)


@dataclass(frozen=True)
class Chain:
    """A replay through two windows."""

    case: Case
    second: Spec


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """The first window without lateness or discarding; the second as it comes."""
    case = draw(cases(has_global=False))
    unit = 1 if case.spec.size is not None and case.spec.size < 1_000 else 1_000_000
    first = replace(case.spec, aggregates=FIRST)
    if first.lateness:
        first = replace(first, mode="discarding")
    second = draw(specs(unit=unit))
    keys = draw(st.sampled_from([first.keys, first.keys[:1], ()]))
    second = replace(second, keys=keys, aggregates=SECOND, time="start", max_future=None)
    return Chain(Case(first, case.partitions), second)


def check_chain(chain: Chain) -> None:
    """Results, late results and ledger of the second window; late rows of the first."""
    case, second = chain.case, chain.second
    if all_null_times(case.partitions):
        return
    run = windowed(stream_of(source_of(case.partitions), case.spec), second).run()
    downstream = Operator(second)
    oracle = replay(case.partitions, case.spec, Operator(case.spec, downstream))
    assert_rows(run.table(), downstream.results)
    assert_rows(run.side("late"), oracle.late)
    assert_ledger(run.ledger, oracle)
    assert run.ledger.to_dict()["operators"][1] == downstream.ledger
    missed = [row["windows_missed"] for row in downstream.late]
    assert run.side("late_2").column("windows_missed").to_pylist() == missed


@given(chains())
def test_windows_over_windows_equal_composed_oracles(chain: Chain) -> None:
    check_chain(chain)


def check_filter_behind(case: Case) -> None:
    """Rows that are filtered behind the watermark move it all the same."""
    spec = replace(case.spec, behind=Where("b"))
    if all_null_times(case.partitions):
        return
    run, oracle = stream_of(source_of(case.partitions), spec).run(), replay(case.partitions, spec)
    assert_rows(run.table(), oracle.results)
    assert_rows(run.side("late"), oracle.late)
    assert_ledger(run.ledger, oracle)
    # Which of two partitions' quarantined rows comes first is left open between rows filtered out.
    side = rows_of(without_detail(run.side("quarantine")))
    for name in case.partitions:
        mine = [row for row in side if row["partition"] == name]
        assert mine == [row for row in oracle.quarantine if row["partition"] == name]


@given(cases())
def test_a_filter_behind_the_watermark_takes_rows_not_time(case: Case) -> None:
    check_filter_behind(case)


def check_filter_before(case: Case) -> None:
    """Rows that are filtered before the watermark might as well not be there."""
    left = {name: [r for r in rows if r["b"]] for name, rows in case.partitions.items()}
    filtered = {name: len(rows) - len(left[name]) for name, rows in case.partitions.items()}
    if all_null_times(left) and not any(filtered.values()):
        return
    stream = stream_of(source_of(case.partitions).filter(pc.field("b")), case.spec)
    run, oracle = stream.run(), replay(left, case.spec)
    for name, n in filtered.items():
        oracle.ledger[name]["rows_in"] += n
        oracle.ledger[name]["filtered"] += n
    assert_rows(run.table(), oracle.results)
    assert_rows(run.side("late"), oracle.late)
    assert_rows(without_detail(run.side("quarantine")), oracle.quarantine)
    assert_ledger(run.ledger, oracle)


@given(cases())
def test_a_filter_before_the_watermark_leaves_no_trace_but_in_the_ledger(case: Case) -> None:
    check_filter_before(case)


def doubled(row: Row) -> Row:
    """What the columns below are made of."""
    n = row["n"]
    return row | {"n": None if n is None else 2 * n}


def check_columns(case: Case) -> None:
    """`with_columns` before and behind the watermark, `map_batches` before it, `select` around."""
    spec = replace(case.spec, aggregates=(*FIRST, Aggregate("last_n", "last", "n")))
    if all_null_times(case.partitions):
        return
    twice: dict[str, Any] = {"n": pc.field("n") * 2}
    stream = source_of(case.partitions)
    streams = [
        stream_of(stream.with_columns(**twice), spec),
        windowed(watermarked(stream, spec).with_columns(**twice), spec),
        stream_of(
            stream.map_batches(lambda b: b.set_column(3, "n", pc.multiply(b.column("n"), 2))), spec
        ),
    ]
    oracle = replay({n: list(map(doubled, rows)) for n, rows in case.partitions.items()}, spec)
    for each in streams:
        run = each.run()
        assert_rows(run.table(), oracle.results)
        assert_ledger(run.ledger, oracle)


@given(cases())
def test_columns_made_on_the_way_count_as_if_they_had_been_read(case: Case) -> None:
    check_columns(case)


def check_once_on_time(case: Case) -> None:
    """What comes on time comes once, is not touched again if final, and its window is over."""
    if all_null_times(case.partitions):
        return
    rows = rows_of(stream_of(source_of(case.partitions), case.spec).run().table())
    new = [row for row in rows if row.get("diff") != -1]
    keys = [(*(row[k] for k in case.spec.keys), row["window_start"]) for row in new]
    on_time = Counter(k for k, row in zip(keys, new, strict=True) if row["timing"] == "on_time")
    assert all(n == 1 for n in on_time.values())
    final = [k for k, row in zip(keys, new, strict=True) if row["is_final"]]
    assert len(final) == len(set(final))
    last = dict(zip(keys, new, strict=True))
    assert all(last[k]["is_final"] for k in final)


@given(cases())
def test_nothing_comes_on_time_that_changes_later_unless_it_is_said_so(case: Case) -> None:
    check_once_on_time(case)


def test_hours_add_up_to_days() -> None:
    hour = 3_600_000_000
    rows = [{"t": i * hour // 2, "n": i, "x": None, "key": 1} for i in range(96)]
    blank = {"name": None, "b": None, "mark": None, "is_mark": None}
    hours = (
        source_of({"a": [row | blank for row in rows]})
        .watermark(et.ascending())
        .key_by("key")
        .window(et.tumbling("1h"))
        .aggregate(rows=et.count())
    )
    days = (
        hours.key_by("key").window(et.tumbling("1d")).aggregate(rows=et.sum("rows"), h=et.count())
    )
    table = days.to_table()
    assert table.column("rows").to_pylist() == [48, 48]
    assert table.column("h").to_pylist() == [24, 24]


def test_windows_over_the_global_window_are_refused() -> None:
    stream = windowed(watermarked(source_of({"a": []}), Spec(size=None)), Spec(size=None))
    with pytest.raises(et.PlanError, match="global window"):
        windowed(stream, Spec(size=10, aggregates=SECOND[:1], keys=())).to_table()
