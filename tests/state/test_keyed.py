"""What is saved of keyed state: only parts whose keys were touched, and all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from eventtime.state.blocks import MemoryBlocks, Spill
from eventtime.state.declared import value_state
from eventtime.state.keyed import KEYED, KeyedStates
from eventtime.state.keys import KeyCodec
from eventtime.state.moment import Moment

NO_NULLS = np.empty(0, np.uint8)


Rows = Callable[[], pa.RecordBatch]
Parts = dict[frozenset[tuple[str, Any]], tuple[int, Rows]]


class Part:
    """What was saved."""

    def __init__(self, about: dict[str, Any], rows: pa.RecordBatch) -> None:
        self.about, self._rows = about, rows

    def batch(self) -> pa.RecordBatch:
        return self._rows


class Writer:
    """Keeps parts of the last cut whose version is the same; reads the others later."""

    is_alone: ClassVar[bool] = False

    def __init__(self, last: Parts) -> None:
        self.last, self.parts = last, Parts()
        self.written = 0

    def keep(self, version: int, **about: Any) -> bool:
        held = self.last.get(frozenset(about.items()))
        if held is None or held[0] != version:
            return False
        self.parts[frozenset(about.items())] = held
        return True

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: Any,
    ) -> None:
        assert about["kind"] == KEYED
        assert version is not None
        self.written += 1
        later = rows if callable(rows) else lambda: rows
        self.parts[frozenset(about.items())] = version, cache(later)

    def saved(self) -> list[Part]:
        return [Part(dict(about), rows()) for about, (_, rows) in self.parts.items()]


def made(spill: Spill | None = None) -> tuple[KeyedStates, Moment]:
    moment, codec = Moment(), KeyCodec([pa.int64()])
    return KeyedStates({"x": value_state(pa.int64())}, codec, moment, spill), moment


def put(held: KeyedStates, moment: Moment, keys: Any, value: int | None) -> None:
    state: Any = held.states["x"]
    moment.slots = held.enter(np.asarray(keys, np.int64), NO_NULLS)
    state.set_rows(pa.array([value] * len(moment.slots), pa.int64()))


def test_only_parts_with_keys_that_were_touched_are_written_again() -> None:
    held, moment = made()
    put(held, moment, np.arange(100_000), 1)
    first = Writer({})
    version = held.save(first)
    assert first.written == len(first.parts) == 7
    again = Writer(first.parts)
    held.save(again)
    assert again.written == 0
    put(held, moment, [5, 99_999], 2)
    held.timers["event"].add(7, int(moment.slots[0]))
    third = Writer(again.parts)
    held.save(third)
    assert third.written == 2

    other, other_moment = made()
    other.restore(version, third.saved())
    state: Any = other.states["x"]
    other_moment.slots = other.enter(np.arange(100_000), NO_NULLS)
    got = state.get_rows().to_numpy()
    assert got[5] == got[99_999] == 2
    assert got.sum() == 100_002
    assert other.timers["event"].next_us == 7
    after = Writer(third.parts)
    other.save(after)
    assert after.written == 7, "slots are others after restoring: nothing may be kept"


def test_with_a_limit_what_is_outside_is_written_once_and_hidden_by_what_is_newer() -> None:
    held, moment = made(Spill(MemoryBlocks(), 200_000))
    for first in range(0, 20_000, 1_000):
        put(held, moment, np.arange(first, first + 1_000), 1)
    before = Writer({})
    held.save(before)
    put(held, moment, [5], 2)
    put(held, moment, [6], None)
    held.timers["event"].add(7, int(moment.slots[0]))
    after = Writer({about: (v, rows) for about, (v, rows) in before.parts.items()})
    version = held.save(after)
    lent = [held.is_lent]
    # Meanwhile the work goes on, and runs are merged: what was lent stays to be read.
    for first in range(0, 20_000, 1_000):
        put(held, moment, np.arange(first, first + 1_000), 3)
    rows = [part.batch().num_rows for part in before.saved()]
    assert sum(rows) == 20_000
    written = [part for part in after.saved() if frozenset(part.about.items()) not in before.parts]
    outside = [part for part in after.saved() if "run" in part.about]
    assert not [part for part in written if "run" in part.about]
    assert sum(part.batch().num_rows for part in outside) > 17_000
    assert [*lent, held.is_lent] == [True, False]

    for spill in (None, Spill(MemoryBlocks(), 200_000)):
        other, other_moment = made(spill)
        other.restore(version, after.saved())
        state: Any = other.states["x"]
        got: list[Any] = []
        for first in range(0, 20_000, 1_000):
            other_moment.slots = other.enter(np.arange(first, first + 1_000), NO_NULLS)
            got += state.get_rows().to_pylist()
        assert got == [1] * 5 + [2, None] + [1] * 19_993
        assert other.timers["event"].next_us == 7
