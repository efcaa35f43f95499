"""Keys that have left memory, with what they hold: sorted runs in blocks, the newest one counts.

Keys are spread over parts by a hash of their word. A run of a part is one block, sorted by that
hash. Runs of like size are merged, so that a part has few, and what is merged is read and written a
few times in all.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.errors import ScratchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from eventtime.state.blocks import BlockStore

__all__ = ("PARTS", "ColdKeys", "Run", "parts_of")

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Living: TypeAlias = "tuple[Flags, pa.RecordBatch]"

_PART_BITS: Final = 6
PARTS: Final = 1 << _PART_BITS
_SHIFT: Final = np.uint64(64 - _PART_BITS)
# An odd number and its inverse: each word has a hash of its own, and comes back from it.
_SPREAD: Final = 0x9E3779B97F4A7C15
_BACK: Final = np.uint64(pow(_SPREAD, -1, 1 << 64))


def parts_of(words: Ints) -> Ints:
    """Return the part of each key word, (n,)."""
    return (_spread(words) >> _SHIFT).astype(np.int64)


class Run(NamedTuple):
    """Some keys of a part, each once.

    Args:
        block: that holds them.
        rows: how many they are.
        number: of the run, larger than that of every run before.
    """

    block: int
    rows: int
    number: int


class ColdKeys:
    """Key words and what they hold, in blocks.

    Leaving: `put`. Coming back: `find`. Looking: `rows`, `part`, `words`. Bounding: `sweep`,
    `clear`. Surviving: `runs`, `lend`, `made`, `is_lent`. A key may be put again: the last time
    counts.

    Args:
        store: of the blocks.
        schema: of the rows.
        living: see `KeyedRows.living`; what is dead stays so.
    """

    def __init__(
        self, store: BlockStore, schema: pa.Schema, living: Callable[[pa.RecordBatch], Living]
    ) -> None:
        self._store, self._living = store, living
        self._none = pa.RecordBatch.from_pylist([], schema)
        self._stored = schema.insert(0, pa.field("hash", pa.uint64()))
        # By part, oldest first.
        self._runs: list[list[Run]] = [[] for _ in range(PARTS)]
        self.made = 0
        """Number of the newest run."""
        # Blocks that another thread is still to read, and those of them that are not needed here.
        self._lent: set[int] = set()
        self._unwanted: set[int] = set()
        self._lock = Lock()

    @property
    def rows(self) -> int:
        """Keys that are out; those that were put again and not merged yet are counted again."""
        return sum(run.rows for runs in self._runs for run in runs)

    def put(self, words: Ints, rows: pa.RecordBatch) -> None:
        """Write what keys hold, each of them once.

        Args:
            words: (n,) of the keys.
            rows: (n,) what they hold.

        Raises:
            ScratchError: it cannot be written; nothing has changed.
        """
        hashes = _spread(words)
        order = np.argsort(hashes)
        hashes, rows = hashes[order], rows.take(pa.array(order))
        edges = _edges(hashes)
        new: list[tuple[int, Run]] = []
        try:
            for part in np.flatnonzero(np.diff(edges)).tolist():
                start, end = edges[part], edges[part + 1]
                run = self._written(hashes[start:end], rows.slice(start, end - start))
                new.append((part, run))
        except ScratchError:
            self._store.delete([run.block for _, run in new])
            raise
        for part, run in new:
            self._runs[part].append(run)
        for part, _ in new:
            self._merge(part, self._first_to_merge(part))

    def find(self, words: Ints) -> tuple[Ints, pa.RecordBatch]:
        """Return, for keys that are out, their places among `words` and what they hold.

        Args:
            words: (n,) different ones.

        Cost: every block of the parts that they fall to is read.
        """
        hashes = _spread(words)
        order = np.argsort(hashes)
        hashes = hashes[order]
        edges = _edges(hashes)
        places, found = [np.empty(0, np.int64)], [self._none]
        for part, runs in enumerate(self._runs):
            left = np.arange(edges[part], edges[part + 1])
            for run in reversed(runs):
                if not len(left):
                    break
                held, rows = self._read(run)
                at, hit = _looked_up(held, hashes[left])
                places.append(order[left[hit]])
                found.append(rows.take(pa.array(at[hit])))
                left = left[~hit]
        return np.concatenate(places), pa.concat_batches(found)

    def part(self, part: int) -> tuple[Ints, pa.RecordBatch]:
        """Return the key words of a part and what they hold."""
        if not self._runs[part]:
            return np.empty(0, np.int64), self._none
        hashes, rows = self._merged(self._runs[part])
        return _words(hashes), rows

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
            self._delete(runs)
            runs.clear()

    def runs(self, part: int) -> Sequence[Run]:
        """Return the runs of a part, oldest first."""
        return self._runs[part]

    def lend(self, run: Run) -> Callable[[], tuple[Ints, pa.RecordBatch]]:
        """Return what gives the words and rows of a run: once, later, in any thread."""
        with self._lock:
            self._lent.add(run.block)

        def read() -> tuple[Ints, pa.RecordBatch]:
            hashes, rows = self._read(run)
            with self._lock:
                self._lent.discard(run.block)
                is_unwanted = run.block in self._unwanted
                self._unwanted.discard(run.block)
            if is_unwanted:
                self._store.delete([run.block])
            return _words(hashes), rows

        return read

    @property
    def is_lent(self) -> bool:
        """Whether a run is still to be read in another thread."""
        return bool(self._lent)

    def _first_to_merge(self, part: int) -> int:
        """Return the first of the runs that are not much larger than all behind them."""
        runs = self._runs[part]
        first = len(runs) - 1
        rows = runs[first].rows
        while first > 0 and runs[first - 1].rows <= 2 * rows:
            first -= 1
            rows += runs[first].rows
        # A single run has nothing to be merged with.
        return first if first < len(runs) - 1 else len(runs)

    def _merge(self, part: int, first: int) -> None:
        runs = self._runs[part][first:]
        if not runs:
            return
        hashes, rows = self._merged(runs)
        if first == 0:
            # Nothing older that would come to light.
            alive, rows = self._living(rows)
            hashes, rows = hashes[alive], rows.filter(pa.array(alive))
        try:
            merged = [self._written(hashes, rows)] if len(hashes) else []
        except ScratchError:
            # The disk is full: many runs say the same as one.
            return
        self._runs[part][first:] = merged
        self._delete(runs)

    def _delete(self, runs: Iterable[Run]) -> None:
        with self._lock:
            blocks = {run.block for run in runs}
            self._unwanted |= blocks & self._lent
            blocks -= self._lent
        self._store.delete(sorted(blocks))

    def _merged(self, runs: Sequence[Run]) -> tuple[Hashes, pa.RecordBatch]:
        read = [self._read(run) for run in runs]
        if len(read) == 1:
            return read[0]
        hashes = np.concatenate([hashes for hashes, _ in read])
        rows = pa.concat_batches([rows for _, rows in read])
        # Stable: of a key the newest comes last. Runs in order are merged in linear time.
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        last = np.append(hashes[1:] != hashes[:-1], [True])
        return hashes[last], rows.take(pa.array(order[last]))

    def _written(self, hashes: Hashes, rows: pa.RecordBatch) -> Run:
        stored = pa.RecordBatch.from_arrays([pa.array(hashes), *rows.columns], schema=self._stored)
        block = self._store.put([np.frombuffer(stored.serialize(), np.uint8)])
        self.made += 1
        return Run(block, len(hashes), self.made)

    def _read(self, run: Run) -> tuple[Hashes, pa.RecordBatch]:
        data = self._store.get_many([run.block])[0]
        stored = pa.ipc.read_record_batch(pa.py_buffer(data), self._stored)
        return stored.column(0).to_numpy(), stored.remove_column(0)


def _looked_up(held: Hashes, wanted: Hashes) -> tuple[Ints, Flags]:
    """Return where hashes are among others, ascending, and whether they are."""
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return at, held[at] == wanted


def _spread(words: Ints) -> Hashes:
    hashes: Hashes = words.view(np.uint64) * np.uint64(_SPREAD)
    return hashes


def _words(hashes: Hashes) -> Ints:
    return (hashes * _BACK).view(np.int64)


def _edges(hashes: Hashes) -> list[int]:
    """Return where the parts begin among ascending hashes, and the end."""
    firsts = np.arange(PARTS, dtype=np.uint64) << _SHIFT
    return [*np.searchsorted(hashes, firsts).tolist(), len(hashes)]
