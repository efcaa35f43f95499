"""From fired slots to result rows: one batch for all that fired in one go, in the order of S24."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.duration import format_us
from eventtime.state.kernels import NULL_FLAG, ROWS, heads
from eventtime.timestamp import from_us
from eventtime.windows.stored import stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec
    from eventtime.windows.accumulators import Accumulators, Reading
    from eventtime.windows.closed import ClosedWindow
    from eventtime.windows.stored import Rows

__all__ = ("TIMING_TYPE", "Emission", "Firing", "ResultShape", "Segment")

Ints = NDArray[np.int64]
TIMING_TYPE = pa.dictionary(pa.int8(), pa.string())
_TIMINGS = pa.array(["on_time", "late"])
_BOUNDS = ("window_start", "window_end")
_NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True)
class ResultShape:
    """Names and types of a result.

    Args:
        keys: names of the key columns.
        bounds_type: type of window_start and window_end.
        time_unit: unit of integer bounds.
        retracting: whether there is a `diff` column.
    """

    keys: tuple[str, ...]
    bounds_type: pa.DataType
    time_unit: str | None
    retracting: bool

    def schema(self, key_types: Sequence[pa.DataType], outputs: Sequence[pa.Field]) -> pa.Schema:
        """Return the schema of results."""
        fields = [pa.field(n, t) for n, t in zip(self.keys, key_types, strict=True)]
        fields += [pa.field(name, self.bounds_type) for name in _BOUNDS]
        fields += list(outputs)
        fields += [
            pa.field("version", pa.int32()),
            pa.field("timing", TIMING_TYPE),
            pa.field("is_final", pa.bool_()),
        ]
        return pa.schema([*fields, pa.field("diff", pa.int8())] if self.retracting else fields)


@dataclass(frozen=True)
class Firing:
    """One window that fires at one point.

    Args:
        point_us: the grid point P that the watermark passed (D5).
        start_us: of the window.
        end_us: of the window.
        late: whether it corrects a closed window.
        is_final: whether no later version can come.
        slots: (keys,) int64.
        closed: what is remembered of the window; None when nothing can follow.
        by_key: whether slots are ascending by key word, and none is of the null key.
        is_whole: whether these are all keys of the window; if not, the others follow.
    """

    point_us: int
    start_us: int
    end_us: int
    late: bool
    is_final: bool
    slots: Ints
    closed: ClosedWindow | None
    by_key: bool = False
    is_whole: bool = True


@dataclass(frozen=True)
class Segment:
    """Where the rows of one firing are in a batch of results, and what is needed to merge shards.

    Args:
        order: (point, end, start): segments come out in this order.
        start: first row in the batch.
        words: (rows,) key words.
        nulls: (rows,) null keys.
    """

    order: tuple[int, int, int]
    start: int
    words: Ints
    nulls: NDArray[np.bool_]


class Emission:
    """Builds results: `add` what fires, `build` rows of it.

    Args:
        accumulators: of the shard.
        codec: of the keys.
        shape: of the result.
        schema: of the result.
        spill: takes the parts of a window that is too large for memory; None: none is.
        is_alone: whether there is no other shard, whose rows are to be merged with these.
    """

    def __init__(
        self,
        accumulators: Accumulators,
        codec: KeyCodec,
        shape: ResultShape,
        schema: pa.Schema,
        spill: Spill | None = None,
        *,
        is_alone: bool = True,
    ) -> None:
        self._acc, self._codec, self._shape, self._schema = accumulators, codec, shape, schema
        self._store = None if spill is None else spill.store
        self._is_alone = is_alone

        self._firings: list[Firing] = []
        self._segments: list[Segment] = []
        self._readings: list[Reading] = []
        self._rows = 0
        self._has_parts = False
        self._held: dict[pa.Scalar, pa.Array] = {}
        self._used: dict[pa.Scalar, pa.Array] = {}

    def add(self, firings: Sequence[Firing]) -> int:
        """Read firings, given in the order in which they come out, before their slots change.

        Returns:
            The rows folded into the windows that fired on time.

        Cost: one pass over the slots, and a sort of the keys of each firing.
        """
        slots = _joined([self._in_order(firing) for firing in firings])
        reading = self._acc.read(slots, lambda at: self._describe(firings, slots, at))
        at = on_time = 0
        for firing in firings:
            mine = slice(at, at + len(firing.slots))
            place = (firing.point_us, firing.end_us, firing.start_us)
            self._segments.append(
                Segment(place, self._rows + at, reading.keys[mine], reading.nulls[mine])
            )
            on_time += 0 if firing.late else int(reading.rows[mine].sum())
            at = mine.stop
        self._rows += at
        self._readings.append(reading)
        self._firings += firings
        self._has_parts |= any(not firing.is_whole for firing in firings)
        return on_time

    def _in_order(self, firing: Firing) -> Ints:
        """Return the slots of a firing in the order of their keys."""
        if firing.by_key and not self._codec.interned:
            return firing.slots
        n = len(firing.slots)
        keys, nulls = np.empty(n, np.int64), np.empty(n, np.bool_)
        heads(self._acc.tables.words, firing.slots, keys, nulls)
        return firing.slots[self._codec.order(keys, nulls)]

    def build(self) -> tuple[Rows, list[Segment]] | None:
        """Make one batch of all that was added since the last one; None if nothing was.

        That of a part of a window is put out of memory.

        Cost: one vectorised pass for each column over all firings together.
        """
        if not self._firings:
            return None
        firings, segments, readings = self._firings, self._segments, self._readings
        self._firings, self._segments, self._readings, self._rows = [], [], [], 0
        has_parts, self._has_parts = self._has_parts, False
        self._held, self._used = self._used, {}
        batch, old = self._laid_out(firings, segments, readings)
        if self._shape.retracting:
            batch, segments = self._with_retractions(firings, segments, batch, old)
        if self._store is None or not has_parts:
            return batch, segments
        if self._is_alone:
            segments = [_without_keys(segment) for segment in segments]
        return stored(batch, self._store), segments

    @property
    def must_build(self) -> bool:
        """Whether what was added cannot wait.

        A retraction repeats rows that must exist by then; parts of a window are large.
        """
        return self._shape.retracting or self._has_parts

    def _laid_out(
        self, firings: Sequence[Firing], segments: list[Segment], readings: Sequence[Reading]
    ) -> tuple[pa.RecordBatch, list[Ints]]:
        sizes = np.array([len(s.words) for s in segments])
        keys = self._codec.decode(
            _joined([r.keys for r in readings]), _joined([r.nulls for r in readings])
        )
        bounds = [
            self._repeated(v, sizes)
            for v in ([f.start_us for f in firings], [f.end_us for f in firings])
        ]
        results = (
            readings[0].columns
            if len(readings) == 1
            else [pa.concat_arrays(c) for c in zip(*(r.columns for r in readings), strict=True)]
        )
        versions, old = self._numbered(firings, segments)
        columns = [
            *keys, *bounds, *results,
            versions,
            pa.DictionaryArray.from_arrays(self._timings(firings, sizes), _TIMINGS),
            pa.array(np.repeat(np.array([f.is_final for f in firings], np.bool_), sizes)),
        ]  # fmt: skip
        if self._shape.retracting:
            columns.append(self._same(pa.scalar(1, pa.int8()), int(sizes.sum())))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema), old

    def _numbered(
        self, firings: Sequence[Firing], segments: list[Segment]
    ) -> tuple[pa.Array, list[Ints]]:
        """Return the version of each row, and the rows that they replace in each firing."""
        if all(f.closed is None for f in firings):
            n = sum(len(s.words) for s in segments)
            return self._same(pa.scalar(1, pa.int32()), n), [_NO_ROWS] * len(firings)
        numbered = [_versions(f, s) for f, s in zip(firings, segments, strict=True)]
        return pa.array(_joined([v for v, _ in numbered])), [old for _, old in numbered]

    def _timings(self, firings: Sequence[Firing], sizes: Ints) -> pa.Array:
        if not any(f.late for f in firings):
            return self._same(pa.scalar(0, pa.int8()), int(sizes.sum()))
        return pa.array(np.repeat(np.array([f.late for f in firings], np.int8), sizes))

    def _repeated(self, bounds_us: list[int], sizes: Ints) -> pa.Array:
        """Repeat a window bound for each row of its firing."""
        shape = self._shape
        once = from_us(np.array(bounds_us, np.int64), shape.bounds_type, shape.time_unit)
        if len(once) == 1:
            return self._same(once[0], int(sizes[0]))
        if once.null_count or shape.bounds_type.bit_width != 64:
            return once.take(pa.array(np.repeat(np.arange(len(once)), sizes)))
        return pa.array(np.repeat(once.view(pa.int64()).to_numpy(), sizes)).view(shape.bounds_type)

    def _same(self, value: pa.Scalar, n: int) -> pa.Array:
        """Return a value `n` times; batches that follow each other share its memory."""
        held = self._held.get(value)
        if held is None or len(held) < n:
            held = pa.repeat(value, n + n // 8)
        self._used[value] = held
        return held[:n]

    def _with_retractions(
        self,
        firings: Sequence[Firing],
        segments: list[Segment],
        batch: pa.RecordBatch,
        old_rows: list[Ints],
    ) -> tuple[pa.RecordBatch, list[Segment]]:
        """Put each retracted row (diff -1) right before the row that replaces it (diff +1)."""
        pieces, moved, at = [], [], 0
        for firing, segment, old in zip(firings, segments, old_rows, strict=True):
            new = batch.slice(segment.start, len(segment.words))
            replaced = np.flatnonzero(old >= 0)
            order = np.arange(len(new))
            piece = pa.Table.from_batches([new])
            if len(replaced):
                assert firing.closed is not None
                back = firing.closed.retracted(old[replaced])
                minus = pa.array(np.full(len(replaced), -1, np.int8))
                back = back.set_column(back.num_columns - 1, "diff", minus)
                both = pa.concat_tables([back, piece])
                order = np.argsort(np.concatenate([2 * replaced, 2 * np.arange(len(new)) + 1]))
                piece = both.take(pa.array(order))
                order = np.concatenate([replaced, np.arange(len(new))])[order]
            if firing.closed is not None:
                firing.closed.emitted.append(new)
            pieces.append(piece)
            moved.append(Segment(segment.order, at, segment.words[order], segment.nulls[order]))
            at += len(order)
        merged = pa.concat_tables(pieces).combine_chunks()
        batches = merged.to_batches()
        return (batches[0] if batches else batch), moved

    def _describe(self, firings: Sequence[Firing], slots: Ints, position: int) -> str:
        ends = np.cumsum([len(f.slots) for f in firings])
        firing = firings[int(np.searchsorted(ends, position, side="right"))]
        words = self._acc.tables.words[slots[position : position + 1]]
        key = [
            c[0].as_py() for c in self._codec.decode(words[:, 0], words[:, ROWS] & NULL_FLAG != 0)
        ]
        named = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._shape.keys, key, strict=True)
        )
        bounds = pa.array([firing.start_us, firing.end_us], pa.int64())
        shown = from_us(bounds.to_numpy(), self._shape.bounds_type, self._shape.time_unit)
        length = (
            format_us(firing.end_us - firing.start_us) if shown.null_count == 0 else "everything"
        )
        return f"window [{shown[0]}, {shown[1]}) of {length}, key {named or '(none)'}"


def _without_keys(segment: Segment) -> Segment:
    """Keep how many rows there are, and no memory for them."""
    n = len(segment.words)
    words, nulls = np.broadcast_to(np.int64(0), n), np.broadcast_to(np.False_, n)
    return replace(segment, words=words, nulls=nulls)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _versions(firing: Firing, segment: Segment) -> tuple[NDArray[np.int32], Ints]:
    if firing.closed is None:
        return np.ones(len(segment.words), np.int32), np.full(len(segment.words), -1, np.int64)
    return firing.closed.next_versions(segment.words, segment.nulls)
