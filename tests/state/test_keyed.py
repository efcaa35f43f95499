"""What is saved of keyed state: only parts whose keys were touched, and all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eventtime.state.declared import value_state
from eventtime.state.keyed import KEYED, KeyedStates
from eventtime.state.keys import KeyCodec
from eventtime.state.moment import Moment

if TYPE_CHECKING:
    from collections.abc import Callable

NO_NULLS = np.empty(0, np.uint8)


class Writer:
    """Keeps parts of the last cut whose version is the same."""

    def __init__(self, last: dict[int, tuple[int, pa.RecordBatch]]) -> None:
        self.last, self.parts = last, dict[int, tuple[int, pa.RecordBatch]]()
        self.written = 0

    def keep(self, version: int, **about: Any) -> bool:
        held = self.last.get(about["part"])
        if held is None or held[0] != version:
            return False
        self.parts[about["part"]] = held
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
        self.parts[about["part"]] = version, rows() if callable(rows) else rows


def made() -> tuple[KeyedStates, Moment]:
    moment = Moment()
    return KeyedStates({"x": value_state(pa.int64())}, KeyCodec([pa.int64()]), moment), moment


def put(held: KeyedStates, moment: Moment, keys: Any, value: int) -> None:
    state: Any = held.states["x"]
    moment.slots = held.enter(np.asarray(keys, np.int64), NO_NULLS)
    state.set_rows(value)


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
    other.restore(version, [rows for _, rows in third.parts.values()], [])
    state: Any = other.states["x"]
    other_moment.slots = other.enter(np.arange(100_000), NO_NULLS)
    got = state.get_rows().to_numpy()
    assert got[5] == got[99_999] == 2
    assert got.sum() == 100_002
    assert other.timers["event"].next_us == 7
    after = Writer(third.parts)
    other.save(after)
    assert after.written == 7, "slots are others after restoring: nothing may be kept"
