"""Keys outside of memory are those of a dict, however often they leave and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import ScratchError
from eventtime.state.blocks import MemoryBlocks
from eventtime.state.cold_keys import PARTS, ColdKeys, Columns, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.state.blocks import Bytes

WORDS = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), *range(10, 400)])
DTYPES: list[np.dtype[Any]] = [np.dtype(np.int64), np.dtype(np.uint8)]


def is_live(columns: Columns) -> Any:
    return columns[1] != 0


def put(cold: ColdKeys, held: dict[int, tuple[int, int]]) -> None:
    values = [value for value, _ in held.values()]
    flags = [flag for _, flag in held.values()]
    columns: Columns = [np.array(values, np.int64), np.array(flags, np.uint8)]
    cold.put(np.array(list(held), np.int64), columns)


def find(cold: ColdKeys, words: Sequence[int]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for places, (values, flags) in cold.find(np.array(words, np.int64)):
        for place, value, flag in zip(
            places.tolist(), values.tolist(), flags.tolist(), strict=True
        ):
            assert words[place] not in found
            found[words[place]] = value, flag
    return found


def live(held: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    return {word: value for word, value in held.items() if value[1]}


Held = dict[int, tuple[int, int]]
HELD = st.dictionaries(WORDS, st.tuples(st.integers(-9, 9), st.integers(0, 1)), max_size=150)


@given(st.lists(st.tuples(HELD, st.booleans()), max_size=8), st.lists(WORDS, unique=True))
def test_of_what_was_put_the_last_is_found(
    rounds: list[tuple[Held, bool]], asked: list[int]
) -> None:
    store = MemoryBlocks()
    cold, model = ColdKeys(store, DTYPES, is_live), Held()
    for held, is_swept in rounds:
        put(cold, held)
        model |= held
        if is_swept:
            cold.sweep()
            model = live(model)
            assert cold.rows == len(model)
        # What holds nothing may be found or not.
        assert live(find(cold, asked)) == live({w: model[w] for w in asked if w in model})
        assert {*live(model)} <= {int(w) for words in cold.words() for w in words}
        assert cold.rows <= 2 * sum(len(held) for held, _ in rounds)
    everything: Held = {}
    for part in range(PARTS):
        words, (values, flags) = cold.part(part)
        assert (parts_of(words) == part).all()
        pairs = zip(values.tolist(), flags.tolist(), strict=True)
        everything |= dict(zip(words.tolist(), pairs, strict=True))
    assert live(everything) == live(model)
    cold.clear()
    assert store.stats().blocks == cold.rows == 0


def test_runs_are_merged_so_that_few_are_read() -> None:
    store = MemoryBlocks()
    cold = ColdKeys(store, DTYPES, is_live)
    rng = np.random.default_rng(3)
    for _ in range(200):
        words = np.unique(rng.integers(0, 10_000, 500))
        cold.put(words, [words, np.ones(len(words), np.uint8)])
    blocks = store.stats().blocks
    assert blocks <= 6 * PARTS
    assert cold.rows <= 2 * 10_000
    # Each key was written a few times, not once for every time that others left.
    assert store.stats().put_bytes < 8 * 200 * 500 * 17


def test_what_was_cleared_hides_what_is_older() -> None:
    """Runs that are merged while an older one stays keep what says that nothing is held."""
    cold = ColdKeys(MemoryBlocks(), DTYPES, is_live)
    words = np.arange(10_000)
    mine = words[parts_of(words) == 5].tolist()
    put(cold, {word: (word, 1) for word in mine[:100]})
    put(cold, {mine[0]: (0, 0)})
    put(cold, {mine[101]: (7, 1)})
    assert cold.rows == 102
    assert find(cold, [mine[0], mine[1], mine[101]]) == {
        mine[0]: (0, 0),
        mine[1]: (mine[1], 1),
        mine[101]: (7, 1),
    }
    cold.sweep()
    assert cold.rows == 100
    assert find(cold, [mine[0]]) == {}


def test_where_the_disk_is_full_nothing_changes() -> None:
    class Full(MemoryBlocks):
        left = 10**9

        def put(self, buffers: Sequence[Bytes]) -> int:
            Full.left -= 1
            if Full.left < 0:
                msg = "no space"
                raise ScratchError(msg)
            return super().put(buffers)

    store = Full()
    cold = ColdKeys(store, DTYPES, is_live)
    first = {word: (word, 1) for word in range(300)}
    put(cold, first)
    for left in range(PARTS):
        Full.left = left
        with pytest.raises(ScratchError):
            put(cold, {word: (-word, 1) for word in range(600)})
        assert find(cold, range(600)) == first
        assert store.stats().blocks == PARTS
    # All runs are written, and none can be merged: what is found is the same.
    Full.left = PARTS
    put(cold, {word: (-word, 1) for word in range(600)})
    assert store.stats().blocks == 2 * PARTS
    assert find(cold, range(600)) == {word: (-word, 1) for word in range(600)}
    Full.left = 0
    cold.sweep()
    assert find(cold, range(600)) == {word: (-word, 1) for word in range(600)}


def test_words_come_back_from_their_hashes() -> None:
    words = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 5000)
    cold = ColdKeys(MemoryBlocks(), DTYPES, is_live)
    with patch.object(cold, "_merge"):
        cold.put(words, [words, np.ones(len(words), np.uint8)])
    assert np.array_equal(np.sort(np.concatenate(list(cold.words()))), np.sort(words))
