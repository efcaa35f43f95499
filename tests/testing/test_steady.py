"""Of a pipeline whose own code remembers, or goes by chance, that is said each time (S4, S28)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

import eventtime as et
from eventtime.testing import BrokenRuleError, Push, Streams, check, check_batches, strategies

SCHEMA = pa.schema({"t": pa.timestamp("s", "UTC"), "id": pa.int64()})
OUTPUT = pa.schema({"id": pa.int64()})
STREAMS = Streams(("a",), (Push("a", [{"t": t, "id": t // 2} for t in range(4)]),))
SAYS = "the same input has another answer when it comes again"


def source() -> et.Stream:
    return et.from_arrow(SCHEMA.empty_table(), time="t")


def counted(step: Any) -> et.Stream:
    marked = source().map_batches(step).watermark(et.bounded_disorder("10s"))
    return marked.window(et.tumbling("1m")).aggregate(n=et.count())


def of_a_set() -> et.Stream:
    seen: set[int] = set()

    def unseen(batch: pa.RecordBatch) -> pa.RecordBatch:
        is_new = [number not in seen for number in batch["id"].to_pylist()]
        seen.update(batch["id"].to_pylist())
        return batch.filter(pa.array(is_new, pa.bool_()))

    return counted(unseen)


def of_chance() -> et.Stream:
    dice = np.random.default_rng(1)
    return counted(lambda batch: batch.filter(pa.array(dice.random(len(batch)) < 0.5)))


def of_an_attribute() -> et.Stream:
    class Unseen(et.ProcessFunction):
        def __init__(self) -> None:
            self.seen: set[int] = set()

        def on_row(self, ctx: Any, row: Any) -> None:
            if row["id"] not in self.seen:
                ctx.emit(id=row["id"])
            self.seen.add(row["id"])

    keyed = source().watermark(et.bounded_disorder("10s")).key_by("id")
    return keyed.process(Unseen(), output=OUTPUT)


@pytest.mark.parametrize("made", [of_a_set, of_chance, of_an_attribute])
def test_it_is_said_each_time(made: Any) -> None:
    pipeline = made()
    left_out = ["oracle"] if made is of_an_attribute else []
    for _ in range(3):
        with pytest.raises(BrokenRuleError, match=SAYS):
            check(pipeline, STREAMS, without=left_out)


@pytest.mark.parametrize("made", [of_a_set, of_chance, of_an_attribute])
def test_hypothesis_hears_the_same_each_time(made: Any) -> None:
    pipeline = made()
    left_out = ["oracle"] if made is of_an_attribute else []

    @given(strategies.streams(pipeline))
    @strategies.settings(max_examples=50, database=None, derandomize=True)
    def checked(streams: Streams) -> None:
        check(pipeline, streams, without=left_out)

    with pytest.raises(BrokenRuleError, match=SAYS) as broken:
        checked()
    assert any(isinstance(step, Push) for step in broken.value.streams.steps)


def test_what_is_wrong_the_same_way_each_time_is_said_by_its_check() -> None:
    pipeline = counted(lambda batch: batch.slice(0, 1))
    with pytest.raises(BrokenRuleError) as broken:
        check_batches(pipeline, STREAMS)
    assert broken.value.check == "check_batches"
