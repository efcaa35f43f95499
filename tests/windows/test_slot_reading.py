"""Words of many slots as columns: more of them than go through the cache at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from eventtime.lanes import INT
from eventtime.state.kernels import NULL_FLAG, ROWS
from eventtime.windows import readout
from eventtime.windows.slot_reading import read_slots

# Words of a slot: key, rows, count, sum (two words), least.
COUNT, SUM, LEAST = 2, 3, 5
MANY = 25_000


@pytest.fixture(name="words")
def random_words() -> np.ndarray:
    rng = np.random.default_rng(5)
    words = rng.integers(1, 100, (MANY, 6))
    words[:, 0] = rng.permutation(MANY)
    words[:, SUM + 1] = 0
    return words


def test_every_slot_is_read_in_the_order_asked_for(words: np.ndarray) -> None:
    slots = np.random.default_rng(6).permutation(MANY)
    words[17, 1] |= NULL_FLAG
    words[18, COUNT] = 0
    readers = {
        0: readout.counted(ROWS),
        1: readout.extreme(INT, LEAST, COUNT, pa.int64()),
        2: readout.mean(INT, SUM, COUNT, pa.int64()),
        3: readout.extreme(INT, LEAST, COUNT, pa.int64()),
    }
    keys, nulls, rows, columns = read_slots(words, slots, readers, ())
    wanted = words[slots]
    least = pa.array(wanted[:, LEAST], mask=slots == 18)
    with np.errstate(divide="ignore"):
        means = pa.array(wanted[:, SUM] / wanted[:, COUNT], mask=slots == 18)
    assert np.array_equal(keys, wanted[:, 0])
    assert np.array_equal(nulls, slots == 17)
    assert np.array_equal(rows, wanted[:, ROWS] & (NULL_FLAG - 1))
    assert columns == {
        0: pa.array(wanted[:, 1] & (NULL_FLAG - 1)), 1: least, 2: means, 3: least,
    }  # fmt: skip


def test_no_slots_are_empty_columns(words: np.ndarray) -> None:
    readers = {0: readout.total(INT, SUM, COUNT, pa.int64()), 1: readout.counted(COUNT)}
    keys, nulls, rows, columns = read_slots(words, np.empty(0, np.int64), readers, ())
    assert len(keys) == len(nulls) == len(rows) == len(columns[0]) == len(columns[1]) == 0


def test_a_sum_too_large_is_found_wherever_it_stands(words: np.ndarray) -> None:
    words[MANY - 3, SUM + 1] = 1
    readers = {4: readout.counted(COUNT), 7: readout.total(INT, SUM, COUNT, pa.int64())}
    with pytest.raises(readout.SumTooLargeError) as error:
        read_slots(words, np.arange(MANY), readers, ())
    assert (error.value.output, error.value.position) == (7, MANY - 3)


def test_a_count_of_nulls_is_read_as_one_of_values(words: np.ndarray) -> None:
    words[:, ROWS] = words[:, COUNT] + np.arange(MANY)
    words[7, ROWS] |= NULL_FLAG
    readers = {0: readout.counted(COUNT), 1: readout.extreme(INT, LEAST, COUNT, pa.int64())}
    _, _, _, columns = read_slots(words, np.arange(MANY), readers, [COUNT])
    assert columns[0].to_pylist() == list(range(MANY))
    assert columns[1].null_count == 1
    assert columns[1][0].as_py() is None
