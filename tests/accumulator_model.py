"""A slow model of accumulators by slot, lists of rows in a dict; programs that drive both."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.windows.accumulator import Accumulator

SLOTS = 9

Row = tuple[int, int, Any]
"""Arrival, event time, value."""


@dataclass
class Model:
    """Rows by live slot; `arrived` numbers all rows in order of arrival."""

    rows: dict[int, list[Row]] = field(default_factory=dict)
    arrived: int = 0

    def add(self, slots: Sequence[int], times: Sequence[int], values: Sequence[Any]) -> None:
        for slot, time, value in zip(slots, times, values, strict=True):
            self.rows[slot].append((self.arrived, time, value))
            self.arrived += 1

    def merge(self, into: Sequence[int], source: Sequence[int]) -> None:
        for a, b in zip(into, source, strict=True):
            self.rows[a] = self.rows.get(a, []) + self.rows[b]


def known(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row[2] is not None]


def collected(rows: Sequence[Row]) -> list[Any] | None:
    """List what is known; no list at all where nothing is (D10)."""
    return [value for _, _, value in sorted(known(rows), key=lambda row: row[0])] or None


def distinct(rows: Sequence[Row]) -> int:
    return len({"nan" if is_nan(value) else value for _, _, value in known(rows)})


def first(rows: Sequence[Row]) -> Any:
    return min(known(rows), key=lambda row: row[1], default=(0, 0, None))[2]


def last(rows: Sequence[Row]) -> Any:
    return max(reversed(known(rows)), key=lambda row: row[1], default=(0, 0, None))[2]


def least(rows: Sequence[Row]) -> Any:
    return min(known(rows), key=lambda row: rank(row[2]), default=(0, 0, None))[2]


def greatest(rows: Sequence[Row]) -> Any:
    return max(known(rows), key=lambda row: rank(row[2]), default=(0, 0, None))[2]


def is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def rank(value: Any) -> Any:
    """Order NaN after all numbers, and text by its bytes."""
    if isinstance(value, str):
        return value.encode()
    return (True, 0) if is_nan(value) else (False, value)


def array_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Build an array that does not start at the beginning of its buffers."""
    if pa.types.is_dictionary(kind):
        return array_of(values, kind.value_type).dictionary_encode()
    if pa.types.is_run_end_encoded(kind):
        return pa.compute.run_end_encode(array_of(values, kind.value_type))
    return pa.array([None, *values[-1:], *values], kind).slice(1 + len(values[-1:]))


@dataclass
class Twins:
    """Accumulators that are given the same rows in other cuts, beside the model of both."""

    kind: pa.DataType
    accumulators: list[Accumulator]
    expected: Callable[[Sequence[Row]], Any]
    make: Callable[[], Accumulator]
    model: Model = field(default_factory=Model)

    def restart(self) -> None:
        """Save what is live, and go on with another first accumulator that was given it back."""
        slots = np.array(sorted(self.model.rows), np.int64)
        saved = self.accumulators[0].save(slots)()
        assert saved.type == self.accumulators[0].saved_type
        assert saved.null_count == 0
        saved.validate(full=True)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.schema({"saved": saved.type})) as writer:
            writer.write_batch(pa.record_batch({"saved": saved}))
        self.accumulators[0] = self.make()
        if len(slots):
            self.accumulators[0].reset(slots)
            # In another order than they were saved in: rows are shared out among shards.
            turned, order = slots[::-1].copy(), pa.array(range(len(slots)))[::-1]
            read = pa.ipc.open_stream(sink.getvalue()).read_next_batch().column(0)
            self.accumulators[0].restore(turned, read.take(order))

    def reset(self, slots: Sequence[int]) -> None:
        for accumulator in self.accumulators:
            accumulator.reset(np.array(slots, np.int64))
        self.model.rows.update({slot: [] for slot in slots})

    def add(
        self, slots: list[int], times: list[int], values: list[Any], cuts: Sequence[int]
    ) -> None:
        """Give all rows to the first accumulator at once, to the others cut at `cuts`."""
        for i, accumulator in enumerate(self.accumulators):
            edges = [0, *(sorted(cuts) if i else ()), len(slots)]
            for a, b in itertools.pairwise(edges):
                column = array_of(values[a:b], self.kind)
                accumulator.add(
                    np.array(slots[a:b], np.int64), [column], np.array(times[a:b], np.int64)
                )
        self.model.add(slots, times, values)

    def copy(self, into: Sequence[int], source: Sequence[int]) -> None:
        for accumulator in self.accumulators:
            accumulator.copy(np.array(into, np.int64), np.array(source, np.int64))
        self.model.merge(into, source)

    def merge(self, into: Sequence[int], source: Sequence[int]) -> None:
        for accumulator in self.accumulators:
            accumulator.merge(np.array(into, np.int64), np.array(source, np.int64))
        self.model.merge(into, source)

    def release(self, slots: Sequence[int]) -> None:
        for accumulator in self.accumulators:
            accumulator.release(np.array(slots, np.int64))
        for slot in slots:
            del self.model.rows[slot]

    def check(self, slots: Sequence[int]) -> None:
        """Compare what all accumulators say of the slots with the model."""
        expected = [self.expected(self.model.rows[slot]) for slot in slots]
        for accumulator in self.accumulators:
            accumulator.check_invariants()
            got = accumulator.result(np.array(slots, np.int64))
            got.validate(full=True)
            assert got.type == accumulator.result_type
            assert [repr(value) for value in got.to_pylist()] == [repr(v) for v in expected]
        assert all(accumulator.nbytes >= 0 for accumulator in self.accumulators)


def some(data: st.DataObject, slots: Sequence[int], most: int = SLOTS) -> list[int]:
    """Draw distinct slots out of the given ones, in any order."""
    if not slots:
        return []
    return data.draw(st.lists(st.sampled_from(slots), unique=True, max_size=most))


def drive(data: st.DataObject, twins: Twins, values: st.SearchStrategy[Any], steps: int) -> None:
    """Run a program of any steps in any order on the twins; slots are reused."""
    for _ in range(steps):
        live = sorted(twins.model.rows)
        free = [slot for slot in range(SLOTS) if slot not in twins.model.rows]
        step = data.draw(
            st.sampled_from(("reset", "add", "add", "add", "copy", "merge", "release", "restart"))
        )
        if step == "reset" or not live:
            # A slot may be reset while it holds something: what it held is gone.
            twins.reset(some(data, range(SLOTS)))
        elif step == "add":
            row = st.tuples(st.sampled_from(live), st.integers(-3, 3), values)
            rows = data.draw(st.lists(row, max_size=30))
            cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
            twins.add([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], cuts)
        elif step == "copy":
            into = some(data, free)
            twins.copy(into, [data.draw(st.sampled_from(live)) for _ in into])
        elif step == "restart":
            twins.restart()
        elif step == "merge":
            into = some(data, live, len(live) - 1)
            others = [slot for slot in live if slot not in into]
            twins.merge(into, [data.draw(st.sampled_from(others)) for _ in into])
        else:
            twins.release(some(data, live))
        live = sorted(twins.model.rows)
        twins.check(data.draw(st.permutations(live)))
