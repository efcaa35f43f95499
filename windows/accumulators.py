"""The accumulators of one shard: words in an arena, objects beside them, by the same slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.errors import AggregateOverflowError
from eventtime.once import once
from eventtime.state.copies import Copies
from eventtime.state.kernels import (
    CHANGED,
    HEAD,
    KEY_WORD,
    NO_SLOT,
    NULL_FLAG,
    PAGE_SLOTS,
    ROWS,
    VERSION,
    read_words,
)
from eventtime.state.tables import Tables
from eventtime.windows import merge_kernels
from eventtime.windows.by_reference import ReferenceAccumulator
from eventtime.windows.collect import CollectAccumulator
from eventtime.windows.count_distinct import CountDistinctAccumulator
from eventtime.windows.fold_kernels import count_rows
from eventtime.windows.readout import SumTooLargeError
from eventtime.windows.slot_reading import read_slots
from eventtime.windows.user_aggregate import UserAccumulator
from eventtime.windows.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.windows.accumulator import Accumulator
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.spec import WindowSpec
    from eventtime.windows.words import Output

__all__ = ("Accumulators", "Reading", "words_of")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_NO_SLOTS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Reading:
    """The contents of slots at one moment.

    Args:
        keys: (n,) int64 key words.
        nulls: (n,) whether it is the null key.
        rows: (n,) int64 rows folded.
        columns: (n,) each, one for each aggregate.
    """

    keys: Ints
    nulls: NDArray[np.bool_]
    rows: Ints
    columns: list[pa.Array]


@once
def words_of(spec: WindowSpec) -> Words:
    """Lay the aggregates of a window out in words."""
    return Words.of(spec.outputs, spec.types)


class Accumulators:
    """Folds rows, merges slots, reads results; which slot is of which window it does not know.

    Folding: `reset`, `fold`. Merging: `combine`, `absorb`. Reading: `read`.
    Ending: `release`. Surviving: `saved_schema`, `begin_cut`, `copy`, `restore`.

    Args:
        words: how the aggregates lie in words, and which do not.
    """

    def __init__(self, words: Words) -> None:
        self._words, self.outputs, self.types = words, words.outputs, words.types
        self.inputs, self.folds = len(words.inputs), words.folds
        self._objects: list[tuple[int, Accumulator, tuple[int, ...]]] = []
        for i, output in enumerate(words.outputs):
            if i not in words.readers:
                inputs = [words.inputs[c] for c in output.columns]
                self._objects.append((i, _object(output, inputs), output.columns))
        self._renumberings = [0] * len(self._objects)
        self.tables = Tables(words.neutral)
        self._copies = Copies(self.tables)

    @property
    def lane_columns(self) -> list[int]:
        """Indices of the columns that must come as lanes."""
        return [fold.column for fold in self.folds]

    @property
    def has_objects(self) -> bool:
        """Whether there are accumulators that words do not hold."""
        return bool(self._objects)

    def reset(self, slots: Ints) -> None:
        """Prepare fresh slots; their words are neutral already."""
        for _, accumulator, _ in self._objects:
            accumulator.reset(slots)

    def fold(self, chunk: Chunk, position: int, slots: NDArray[np.int32]) -> None:
        """Fold rows of a chunk from `position` on, in order.

        Args:
            chunk: has the rows.
            position: of the first.
            slots: (m,) one for each row; NO_SLOT where it goes nowhere.
        """
        words = self.tables.words
        counting = next((fold for fold in self.folds if fold.counts_rows), None)
        if counting is None:
            count_rows(slots, words)
        for fold in self.folds:
            fold.run(chunk, position, slots, words, rows=fold is counting)
        if self._objects:
            self._add_to_objects(chunk, position, slots)

    def _add_to_objects(self, chunk: Chunk, position: int, slots: NDArray[np.int32]) -> None:
        kept = np.flatnonzero(slots != NO_SLOT)
        if not len(kept):
            return
        positions, into = kept + position, slots[kept].astype(np.int64)
        places, time_us = pa.array(positions), chunk.times(positions)
        for _, accumulator, columns in self._objects:
            accumulator.add(into, [chunk.column(c).take(places) for c in columns], time_us)

    def combine(self, into: Ints, left: Ints, right: Ints) -> None:
        """Write ``into = left + right``, where all of `left` came before.

        Args:
            into: (n,) slots, each just made or that of `left`; no two alike.
            left: (n,) slots.
            right: (n,) slots, NO_SLOT to add nothing.
        """
        words = self.tables.words
        merge_kernels.combine(into, left, right, words, words.view(np.float64), self._words.program)
        if self._objects:
            self._combine_objects(into, left, right)

    def absorb(self, table: int, source: Ints) -> None:
        """Merge `source` slots into a table by key; what is in the table came before."""
        into, fresh = self.tables.pair(table, source)
        self.combine(into, np.where(fresh, source, into), np.where(fresh, NO_SLOT, source))

    def _combine_objects(self, into: Ints, left: Ints, right: Ints) -> None:
        fresh, more = into != left, right != NO_SLOT
        for _, accumulator, _ in self._objects:
            accumulator.copy(into[fresh], left[fresh])
            accumulator.merge(into[more], right[more])

    def read(self, slots: Ints, describe: Callable[[int], str]) -> Reading:
        """Read accumulators as they are now. Cost: each slot is visited once.

        Args:
            slots: (n,) int64.
            describe: says where the slot at a position stands, for the error of a sum too large.
        """
        try:
            keys, nulls, rows, columns = read_slots(
                self.tables.words, slots, self._words.readers, self._words.null_words
            )
        except SumTooLargeError as error:
            raise self._overflow(error, describe(error.position)) from None
        columns |= {i: accumulator.result(slots) for i, accumulator, _ in self._objects}
        return Reading(keys, nulls, rows, [columns[i] for i in range(len(self.outputs))])

    @property
    def saved_schema(self) -> pa.Schema:
        """Columns of `copy`: key, whether it is null, rows, words, contents of objects."""
        if not self._objects:
            return self._words.saved
        objects = [pa.field(f"output_{i}", a.saved_type) for i, a, _ in self._objects]
        return pa.schema([*self._words.saved, *objects])

    def begin_cut(self) -> None:
        """Look for what has changed the saved form of accumulators that nobody touched."""
        self._copies.begin()
        renumberings = [accumulator.renumberings for _, accumulator, _ in self._objects]
        if renumberings != self._renumberings:
            self._renumberings = renumberings
            self.tables.dirs[:, VERSION] = CHANGED

    def copy(self, row: int) -> Callable[[], pa.RecordBatch]:
        """Copy the accumulators of a table; what is returned gives one row for each key, once."""
        held = self._copies.of(row)
        slots = self.tables.slots(row) if self._objects else _NO_SLOTS
        objects = [accumulator.save(slots) for _, accumulator, _ in self._objects]
        return lambda: self._rows(held.columns(len(self.tables.neutral)), objects)

    def saved(self, slots: Ints) -> pa.RecordBatch:
        """Copy accumulators: one row for each slot."""
        objects = [accumulator.save(slots) for _, accumulator, _ in self._objects]
        return self._rows(self._columns(slots), objects)

    def _columns(self, slots: Ints) -> Ints:
        """Copy words, (width, n)."""
        words = np.empty((len(self.tables.neutral), len(slots)), np.int64)
        read_words(self.tables.words, slots, np.array([w.ctypes.data for w in words], np.int64))
        return words

    def _rows(self, words: Ints, objects: list[Callable[[], pa.Array]]) -> pa.RecordBatch:
        is_null = words[ROWS] & NULL_FLAG != 0
        words[ROWS] &= NULL_FLAG - 1
        width, n = words.shape
        memory, size = pa.py_buffer(words), n * words.itemsize
        # A buffer each: of one at an offset in a larger one, what lies behind it is written, too.
        columns = [
            pa.Array.from_buffers(pa.int64(), n, [None, memory.slice(i * size, size)], 0)
            for i in (KEY_WORD, *range(ROWS, width))
        ]
        columns.insert(1, pa.array(is_null))
        columns += [contents() for contents in objects]
        return pa.RecordBatch.from_arrays(columns, schema=self.saved_schema)

    def restore(self, saved: Sequence[tuple[int, pa.RecordBatch]]) -> None:
        """Fill tables that are empty, all of them at once.

        Args:
            saved: directory row of each table, and what goes into it: one row or more.
        """
        # Once for all: each time the arena grows it is copied.
        pages = sum(batch.num_rows // PAGE_SLOTS + 1 for _, batch in saved)
        if pages > self.tables.n_free:
            self.tables.add_pages(pages - self.tables.n_free)
        slots = [self._enter(row, batch) for row, batch in saved]
        if not self._objects or not slots:
            return
        together = np.concatenate(slots)
        for i, (_, accumulator, _) in enumerate(self._objects, HEAD + 1 + len(self._words.names)):
            accumulator.reset(together)
            contents = pa.concat_arrays([batch.column(i) for _, batch in saved])
            accumulator.restore(together, contents)

    def _enter(self, row: int, batch: pa.RecordBatch) -> Ints:
        last = len(self.tables.neutral) + 1
        words = [batch.column(i).to_numpy() for i in (0, *range(2, last))]
        is_null = batch.column(1).to_numpy(zero_copy_only=False)
        if is_null.any():
            words[ROWS] = words[ROWS] | np.where(is_null, NULL_FLAG, 0)
        return self.tables.enter(row, words)

    def packed(self, slots: Ints) -> list[Bytes]:
        """Copy accumulators to buffers for `unpack`: their words, then what objects hold."""
        columns = {str(i): accumulator.save(slots)() for i, accumulator, _ in self._objects}
        return _packed(self._columns(slots), columns)

    def repacked(self, data: Bytes, n: int, chosen: Ints) -> list[Bytes]:
        """Copy some of the `n` accumulators that were packed to buffers for `unpack`."""
        words, objects = self._packed(data, n)
        columns = {}
        if objects is not None:
            some = objects.take(pa.array(chosen))
            columns = dict(zip(some.schema.names, some.columns, strict=True))
        return _packed(np.take(words, chosen, axis=1), columns)

    def packed_keys(self, data: Bytes, n: int) -> tuple[Ints, NDArray[np.bool_]]:
        """Return key words of accumulators that were packed, (n,), and which are null, (n,)."""
        words = self._packed_words(data, n)
        return words[KEY_WORD], words[ROWS] & NULL_FLAG != 0

    def _packed_words(self, data: Bytes, n: int) -> Ints:
        width = len(self.tables.neutral)
        return data[: 8 * n * width].view(np.int64).reshape(width, n)

    def _packed(self, data: Bytes, n: int) -> tuple[Ints, pa.RecordBatch | None]:
        words = self._packed_words(data, n)
        if not self._objects:
            return words, None
        with pa.ipc.open_stream(pa.py_buffer(data[words.nbytes :])) as reader:
            return words, reader.read_next_batch()

    def unpack(
        self,
        row: int,
        data: Bytes,
        n: int,
        expected: int = 0,
        wanted: Callable[[Ints, Bytes], NDArray[np.bool_]] | None = None,
    ) -> None:
        """Put accumulators into a table that has none of their keys.

        Args:
            row: of the table.
            data: what `packed` gave, as one buffer.
            n: accumulators in it.
            expected: keys that are to come in all, if the table is empty.
            wanted: says of key words and null flags which to take; None: all.
        """
        words, objects = self._packed(data, n)
        chosen = None
        if wanted is not None:
            nulls = (words[ROWS] & NULL_FLAG != 0).view(np.uint8)
            chosen = np.flatnonzero(wanted(words[KEY_WORD], nulls))
            words = np.take(words, chosen, axis=1)
        if not words.shape[1]:
            return
        slots = self.tables.enter(row, list(words), expected)
        if objects is None:
            return
        objects = objects if chosen is None else objects.take(pa.array(chosen))
        for i, accumulator, _ in self._objects:
            accumulator.reset(slots)
            accumulator.restore(slots, objects.column(str(i)))

    @property
    def nbytes(self) -> int:
        """Bytes held: of tables in use, and of objects."""
        return self.tables.nbytes + sum(a.nbytes for _, a, _ in self._objects)

    def release(self, *rows: int) -> None:
        """Retire tables with all their accumulators."""
        for row in rows:
            self._release_objects(row)
            self.tables.retire(row)

    def clear(self, row: int) -> None:
        """Make a table empty."""
        self._release_objects(row)
        self.tables.clear(row)

    def _release_objects(self, row: int) -> None:
        if self._objects:
            slots = self.tables.slots(row)
            for _, accumulator, _ in self._objects:
                accumulator.release(slots)

    def _overflow(self, error: SumTooLargeError, place: str) -> AggregateOverflowError:
        output = self.outputs[error.output]
        sum_of = f"{output.name} = {output.aggregate.describe()}"
        return AggregateOverflowError(
            f"{sum_of} is {error.value}, which does not fit {error.kind}",
            place=place,
            remedy=error.remedy,
        )


def _packed(words: Ints, objects: dict[str, pa.Array]) -> list[Bytes]:
    buffers = [words.view(np.uint8).reshape(-1)]
    if objects:
        batch, sink = pa.record_batch(objects), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        buffers.append(np.frombuffer(sink.getvalue(), np.uint8))
    return buffers


def _object(output: Output, inputs: list[pa.DataType]) -> Accumulator:
    aggregate = output.aggregate
    if aggregate.user is not None:
        return UserAccumulator(output.name, aggregate.user, inputs)
    if aggregate.function == "collect":
        return CollectAccumulator(inputs[0])
    if aggregate.function == "count_distinct":
        return CountDistinctAccumulator(inputs[0])
    return ReferenceAccumulator(inputs[0], aggregate.function)  # type: ignore[arg-type]
