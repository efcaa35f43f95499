"""The log keeps values by position, few chunks, nobody's batch alive, and forgets on demand."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state import value_log
from eventtime.state.value_log import ValueLog


@given(
    st.lists(st.lists(st.text(max_size=3) | st.none(), max_size=6), max_size=12),
    st.data(),
    st.sampled_from([1, 40, 2**30]),
)
def test_take_gives_what_was_appended_and_kept(
    batches: list[list[str | None]], data: st.DataObject, largest: int
) -> None:
    log, expected = ValueLog(pa.string()), list[str | None]()
    with mock.patch.object(value_log, "_LARGEST_CHUNK_BYTES", largest):
        for batch in batches:
            assert log.append(pa.array(batch, pa.string())) == len(expected)
            expected += batch
            log.check_invariants()
        wanted = np.array([data.draw(st.booleans()) for _ in expected], np.bool_)
        renumbered = log.keep(wanted)
        log.check_invariants()
    assert len(log) == wanted.sum()
    kept = np.flatnonzero(wanted)
    order = data.draw(st.permutations(kept.tolist()))
    taken = log.take(renumbered[order])
    assert taken.to_pylist() == [expected[i] for i in order]


def test_many_small_batches_make_few_chunks() -> None:
    log = ValueLog(pa.int64())
    for i in range(1000):
        log.append(pa.array([i]))
    assert len(log._chunks) <= 10
    assert log.take(np.arange(1000)).to_pylist() == list(range(1000))


def test_the_log_does_not_keep_the_batch_of_its_caller_alive() -> None:
    batch = pa.array(np.arange(100_000))
    log = ValueLog(pa.int64())
    log.append(batch.slice(7, 3))
    assert log._chunks[0].buffers()[1].size < 1000
    assert log.take(np.array([2, 0])).to_pylist() == [9, 7]


def test_an_empty_log_takes_nothing() -> None:
    log = ValueLog(pa.list_(pa.int8()))
    assert log.take(np.zeros(0, np.int64)).type == pa.list_(pa.int8())
    assert log.append(pa.array([], pa.list_(pa.int8()))) == 0
    assert log.keep(np.zeros(0, np.bool_)).tolist() == []


def test_clear_forgets_everything() -> None:
    log = ValueLog(pa.int64())
    log.append(pa.array([1, 2]))
    log.clear()
    assert (len(log), log.nbytes) == (0, 0)
    assert log.append(pa.array([3])) == 0
