"""Keys outside of memory are those of a dict, however often they leave and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import ScratchError
from eventtime.state.blocks import MemoryBlocks
from eventtime.state.cold_keys import PARTS, ColdKeys, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.state.blocks import BlockStore, Bytes

WORDS = st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), *range(10, 400)])
SCHEMA = pa.schema({"value": pa.int64(), "flag": pa.uint8()})


def living(rows: pa.RecordBatch) -> tuple[Any, pa.RecordBatch]:
    return rows.column("flag").to_numpy() != 0, rows


def cold_keys(store: BlockStore) -> ColdKeys:
    return ColdKeys(store, SCHEMA, living)


def put(cold: ColdKeys, held: dict[int, tuple[int, int]]) -> None:
    rows = [{"value": value, "flag": flag} for value, flag in held.values()]
    cold.put(np.array(list(held), np.int64), pa.RecordBatch.from_pylist(rows, SCHEMA))


def put_words(cold: ColdKeys, words: Any) -> None:
    rows = [pa.array(words), pa.array(np.ones(len(words), np.uint8))]
    cold.put(words, pa.RecordBatch.from_arrays(rows, schema=SCHEMA))


def pairs_of(rows: pa.RecordBatch) -> list[tuple[int, int]]:
    return [(row["value"], row["flag"]) for row in rows.to_pylist()]


def find(cold: ColdKeys, words: Sequence[int]) -> dict[int, tuple[int, int]]:
    places, rows = cold.find(np.array(words, np.int64))
    assert len(np.unique(places)) == len(places)
    return {words[at]: pair for at, pair in zip(places.tolist(), pairs_of(rows), strict=True)}


def live(held: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    return {word: value for word, value in held.items() if value[1]}


Held = dict[int, tuple[int, int]]
HELD = st.dictionaries(WORDS, st.tuples(st.integers(-9, 9), st.integers(0, 1)), max_size=150)


@given(st.lists(st.tuples(HELD, st.booleans()), max_size=8), st.lists(WORDS, unique=True))
def test_of_what_was_put_the_last_is_found(
    rounds: list[tuple[Held, bool]], asked: list[int]
) -> None:
    store = MemoryBlocks()
    cold, model = cold_keys(store), Held()
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
        words, rows = cold.part(part)
        assert (parts_of(words) == part).all()
        everything |= dict(zip(words.tolist(), pairs_of(rows), strict=True))
    assert live(everything) == live(model)
    cold.clear()
    assert store.stats().blocks == cold.rows == 0


def test_runs_are_merged_so_that_few_are_read() -> None:
    store = MemoryBlocks()
    cold = cold_keys(store)
    rng = np.random.default_rng(3)
    for _ in range(200):
        words = np.unique(rng.integers(0, 10_000, 500))
        put_words(cold, words)
    blocks = store.stats().blocks
    assert blocks <= 6 * PARTS
    assert cold.rows <= 2 * 10_000
    # Each key was written a few times, not once for every time that others left.
    assert store.stats().put_bytes < 8 * 200 * 500 * 17


def test_what_was_cleared_hides_what_is_older() -> None:
    """Runs that are merged while an older one stays keep what says that nothing is held."""
    cold = cold_keys(MemoryBlocks())
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
    cold = cold_keys(store)
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
    cold = cold_keys(MemoryBlocks())
    with patch.object(cold, "_merge"):
        put_words(cold, words)
    assert np.array_equal(np.sort(np.concatenate(list(cold.words()))), np.sort(words))
