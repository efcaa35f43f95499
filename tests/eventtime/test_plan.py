"""The plan is plain data: comparable, walked towards the sources, printed."""

from __future__ import annotations

import pyarrow.compute as pc

import eventtime as et
from eventtime.plan import Aggregated, Read, Stepped, United, Watermarked, Windowed, describe, walk
from windowing import pipeline, rows


def test_a_plan_is_walked_from_the_result_to_every_source() -> None:
    one, other = et.from_arrow(rows([0]), time="t"), et.from_arrow(rows([1]), time="t")
    both = one.filter(pc.field("t").is_valid()).union(other).watermark(et.ascending())
    node = both.window(et.tumbling("1m")).aggregate(n=et.count()).node
    kinds = [type(n) for n in walk(node)]
    assert kinds == [Aggregated, Windowed, Watermarked, United, Stepped, Read, Read]


def test_equal_declarations_are_equal_plans() -> None:
    source = et.from_arrow(rows([0]), time="t")

    def declared(size: str) -> object:
        marked = source.watermark(et.bounded_disorder("1h")).key_by("t")
        return marked.window(et.tumbling(size)).aggregate(n=et.count()).node

    assert declared("60m") == declared("1h")
    assert declared("1h") != declared("2h")


def test_a_plan_is_printed_with_notes_beside_its_lines() -> None:
    node = pipeline(rows([0])).node
    lines = describe(node, notes={id(node): "  <- here"}).splitlines()
    assert lines[-1] == "-> aggregate n=count()  <- here"
    assert lines[1] == "-> watermark ascending(), minimum over partitions"


def test_where_late_rows_go_is_said() -> None:
    for late, text in (
        (None, "late rows to 'late'"),
        ("x", "late rows to 'x'"),
        (et.DROP, "counted only"),
    ):
        assert text in pipeline(rows([0]), window={"late": late}).explain()
