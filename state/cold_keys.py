"""Keys that have left memory, with what they hold: sorted runs in blocks, the newest one counts.

Keys are spread over parts by a hash of their word. A run of a part is one block, sorted by that
hash. Runs of like size are merged, so that a part has few, and what is merged is read and written a
few times in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import ScratchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventtime.state.blocks import BlockStore, Bytes

__all__ = ("PARTS", "ColdKeys", "Columns", "parts_of")

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Columns = list[NDArray[Any]]
"""What keys hold: arrays with an item for each."""

_PART_BITS: Final = 6
PARTS: Final = 1 << _PART_BITS
_SHIFT: Final = np.uint64(64 - _PART_BITS)
# An odd number and its inverse: each word has a hash of its own, and comes back from it.
_SPREAD: Final = 0x9E3779B97F4A7C15
_BACK: Final = np.uint64(pow(_SPREAD, -1, 1 << 64))


def parts_of(words: Ints) -> Ints:
    """Return the part of each key word, (n,)."""
    return (_spread(words) >> _SHIFT).astype(np.int64)


class ColdKeys:
    """Key words and what they hold, in blocks.

    Leaving: `put`. Coming back: `find`. Looking: `rows`, `part`, `words`. Bounding: `sweep`,
    `clear`. A key may be put again: the last time counts.

    Args:
        store: of the blocks.
        dtypes: of the columns, those of eight bytes before those of one.
        live: tells of columns which items hold something that lives; what is dead stays so.
    """

    def __init__(
        self,
        store: BlockStore,
        dtypes: Sequence[np.dtype[Any]],
        live: Callable[[Columns], NDArray[np.bool_]],
    ) -> None:
        self._store, self._dtypes, self._live = store, list(dtypes), live
        # By part, oldest first: (block, rows).
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(PARTS)]

    @property
    def rows(self) -> int:
        """Keys that are out; those that were put again and not merged yet are counted again."""
        return sum(n for runs in self._runs for _, n in runs)

    def put(self, words: Ints, columns: Columns) -> None:
        """Write what keys hold, each of them once.

        Args:
            words: (n,) of the keys.
            columns: each (n,).

        Raises:
            ScratchError: it cannot be written; nothing has changed.
        """
        hashes = _spread(words)
        order = np.argsort(hashes)
        hashes = hashes[order]
        edges = _edges(hashes)
        new: list[tuple[int, int, int]] = []
        try:
            for part in np.flatnonzero(np.diff(edges)).tolist():
                some = slice(edges[part], edges[part + 1])
                block = self._written(hashes[some], [column[order[some]] for column in columns])
                new.append((part, block, edges[part + 1] - edges[part]))
        except ScratchError:
            self._store.delete([block for _, block, _ in new])
            raise
        for part, block, n in new:
            self._runs[part].append((block, n))
            self._merge(part, self._first_to_merge(part))

    def find(self, words: Ints) -> Iterator[tuple[Ints, Columns]]:
        """Yield, for keys that are out, their places among `words` and what they hold.

        Args:
            words: (n,) different ones.

        Cost: every block of the parts that they fall to is read.
        """
        hashes = _spread(words)
        order = np.argsort(hashes)
        hashes = hashes[order]
        edges = _edges(hashes)
        for part, runs in enumerate(self._runs):
            left = np.arange(edges[part], edges[part + 1])
            for run in reversed(runs):
                if not len(left):
                    break
                held, columns = self._read(run)
                at = np.minimum(np.searchsorted(held, hashes[left]), len(held) - 1)
                hit = held[at] == hashes[left]
                yield order[left[hit]], [column[at[hit]] for column in columns]
                left = left[~hit]

    def part(self, part: int) -> tuple[Ints, Columns]:
        """Return the key words of a part and what they hold."""
        hashes, columns = self._merged(self._runs[part])
        return _words(hashes), columns

    def words(self) -> Iterator[Ints]:
        """Yield the key words of all that is out; repeats allowed. Cost: everything is read."""
        for runs in self._runs:
            for run in runs:
                yield _words(self._read(run)[0])

    def sweep(self) -> None:
        """Forget keys that hold nothing that lives. Cost: everything is read and written."""
        for part in range(PARTS):
            self._merge(part, 0)

    def clear(self) -> None:
        """Forget everything."""
        for runs in self._runs:
            self._store.delete([block for block, _ in runs])
            runs.clear()

    def _first_to_merge(self, part: int) -> int:
        """Return the first of the runs that are not much larger than all behind them."""
        runs = self._runs[part]
        first = len(runs) - 1
        rows = runs[first][1]
        while first > 0 and runs[first - 1][1] <= 2 * rows:
            first -= 1
            rows += runs[first][1]
        # A single run has nothing to be merged with.
        return first if first < len(runs) - 1 else len(runs)

    def _merge(self, part: int, first: int) -> None:
        runs = self._runs[part][first:]
        if not runs:
            return
        hashes, columns = self._merged(runs)
        if first == 0:
            # Nothing older that would come to light.
            live = self._live(columns)
            hashes, columns = hashes[live], [column[live] for column in columns]
        try:
            merged = [(self._written(hashes, columns), len(hashes))] if len(hashes) else []
        except ScratchError:
            # The disk is full: many runs say the same as one.
            return
        self._runs[part][first:] = merged
        self._store.delete([block for block, _ in runs])

    def _merged(self, runs: Sequence[tuple[int, int]]) -> tuple[Hashes, Columns]:
        read = [self._read(run) for run in runs]
        if len(read) == 1:
            return read[0]
        none = [np.empty(0, np.uint64), *(np.empty(0, dtype) for dtype in self._dtypes)]
        arrays = [[hashes, *columns] for hashes, columns in read]
        hashes, *columns = (np.concatenate(some) for some in zip(none, *arrays, strict=True))
        # Stable: of a key the newest comes last. Runs in order are merged in linear time.
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        last = np.append(hashes[1:] != hashes[:-1], [True])[: len(hashes)]
        order = order[last]
        return hashes[last], [column[order] for column in columns]

    def _written(self, hashes: Hashes, columns: Columns) -> int:
        buffers: list[Bytes] = [np.ascontiguousarray(a).view(np.uint8) for a in (hashes, *columns)]
        return self._store.put(buffers)

    def _read(self, run: tuple[int, int]) -> tuple[Hashes, Columns]:
        block, n = run
        data, at, columns = self._store.get_many([block])[0], 8 * n, []
        for dtype in self._dtypes:
            end = at + n * dtype.itemsize
            columns.append(data[at:end].view(dtype))
            at = end
        return data[: 8 * n].view(np.uint64), columns


def _spread(words: Ints) -> Hashes:
    hashes: Hashes = words.view(np.uint64) * np.uint64(_SPREAD)
    return hashes


def _words(hashes: Hashes) -> Ints:
    return (hashes * _BACK).view(np.int64)


def _edges(hashes: Hashes) -> list[int]:
    """Return where the parts begin among ascending hashes, and the end."""
    firsts = np.arange(PARTS, dtype=np.uint64) << _SHIFT
    return [*np.searchsorted(hashes, firsts).tolist(), len(hashes)]
