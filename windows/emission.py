"""From fired slots to result rows: one batch for all that fired in one go, in the order of S24."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.duration import format_us
from eventtime.state.kernels import NULL_FLAG, ROWS
from eventtime.timestamp import from_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.state.keys import KeyCodec
    from eventtime.windows.accumulators import Accumulators, Reading
    from eventtime.windows.closed import ClosedWindow

__all__ = ("TIMING_TYPE", "Emission", "Firing", "ResultShape", "Segment")

Ints = NDArray[np.int64]
TIMING_TYPE = pa.dictionary(pa.int8(), pa.string())
_TIMINGS = pa.array(["on_time", "late"])
_BOUNDS = ("window_start", "window_end")


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
        slots: (keys,) int64, any order.
        closed: what is remembered of the window; None when nothing can follow.
    """

    point_us: int
    start_us: int
    end_us: int
    late: bool
    is_final: bool
    slots: Ints
    closed: ClosedWindow | None


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
    """

    def __init__(
        self, accumulators: Accumulators, codec: KeyCodec, shape: ResultShape, schema: pa.Schema
    ) -> None:
        self._acc, self._codec, self._shape, self._schema = accumulators, codec, shape, schema

        self._firings: list[Firing] = []
        self._segments: list[Segment] = []
        self._readings: list[Reading] = []
        self._rows = 0

    def add(self, firings: Sequence[Firing]) -> int:
        """Read firings, given in the order in which they come out, before their slots change.

        Returns:
            The rows folded into the windows that fired on time.

        Cost: one pass over the slots, and a sort of the keys of each firing.
        """
        words = self._acc.tables.words
        parts, on_time, first = [], [], self._rows
        for firing in firings:
            keys = words[firing.slots, 0]
            nulls = words[firing.slots, ROWS] & NULL_FLAG != 0
            order = self._codec.order(keys, nulls)
            parts.append(firing.slots[order])
            place = (firing.point_us, firing.end_us, firing.start_us)
            self._segments.append(Segment(place, self._rows, keys[order], nulls[order]))
            if not firing.late:
                on_time.append(slice(self._rows - first, self._rows - first + len(order)))
            self._rows += len(order)
        reading = self._acc.read(_joined(parts))
        self._readings.append(reading)
        self._firings += firings
        return sum(int((reading.words[ROWS, part] & (NULL_FLAG - 1)).sum()) for part in on_time)

    def build(self) -> tuple[pa.RecordBatch, list[Segment]] | None:
        """Make one batch of all that was added since the last one; None if nothing was.

        Cost: one vectorised pass for each column over all firings together.
        """
        if not self._firings:
            return None
        firings, segments, readings = self._firings, self._segments, self._readings
        self._firings, self._segments, self._readings, self._rows = [], [], [], 0
        batch, old = self._laid_out(firings, segments, readings)
        return (
            self._with_retractions(firings, segments, batch, old)
            if self._shape.retracting
            else (batch, segments)
        )

    @property
    def must_build(self) -> bool:
        """Whether what was added cannot wait: a retraction repeats rows that must exist by then."""
        return self._shape.retracting

    def _laid_out(
        self, firings: Sequence[Firing], segments: list[Segment], readings: Sequence[Reading]
    ) -> tuple[pa.RecordBatch, list[Ints]]:
        sizes = np.array([len(s.words) for s in segments])
        keys = self._codec.decode(
            _joined([s.words for s in segments]), _joined([s.nulls for s in segments])
        )
        bounds = [
            self._repeated(v, sizes)
            for v in ([f.start_us for f in firings], [f.end_us for f in firings])
        ]
        results = self._acc.results(
            readings, lambda position: self._describe(firings, segments, position)
        )
        numbered = [_versions(f, s) for f, s in zip(firings, segments, strict=True)]
        late = np.repeat(np.array([f.late for f in firings], np.int8), sizes)
        columns = [
            *keys, *bounds, *results,
            pa.array(_joined([v for v, _ in numbered])),
            pa.DictionaryArray.from_arrays(pa.array(late), _TIMINGS),
            pa.array(np.repeat(np.array([f.is_final for f in firings], np.bool_), sizes)),
        ]  # fmt: skip
        if self._shape.retracting:
            columns.append(pa.array(np.ones(int(sizes.sum()), np.int8)))
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        return batch, [old for _, old in numbered]

    def _repeated(self, bounds_us: list[int], sizes: Ints) -> pa.Array:
        """Repeat a window bound for each row of its firing."""
        shape = self._shape
        once = from_us(np.array(bounds_us, np.int64), shape.bounds_type, shape.time_unit)
        if len(once) == 1:
            return pa.repeat(once[0], int(sizes[0]))
        if once.null_count or shape.bounds_type.bit_width != 64:
            return once.take(pa.array(np.repeat(np.arange(len(once)), sizes)))
        return pa.array(np.repeat(once.view(pa.int64()).to_numpy(), sizes)).view(shape.bounds_type)

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

    def _describe(self, firings: Sequence[Firing], segments: list[Segment], position: int) -> str:
        index = int(np.searchsorted([s.start for s in segments], position, side="right")) - 1
        segment, firing = segments[index], firings[index]
        at = slice(position - segment.start, position - segment.start + 1)
        key = [c[0].as_py() for c in self._codec.decode(segment.words[at], segment.nulls[at])]
        named = ", ".join(
            f"{name}={value!r}" for name, value in zip(self._shape.keys, key, strict=True)
        )
        bounds = pa.array([firing.start_us, firing.end_us], pa.int64())
        shown = from_us(bounds.to_numpy(), self._shape.bounds_type, self._shape.time_unit)
        length = (
            format_us(firing.end_us - firing.start_us) if shown.null_count == 0 else "everything"
        )
        return f"window [{shown[0]}, {shown[1]}) of {length}, key {named or '(none)'}"


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _versions(firing: Firing, segment: Segment) -> tuple[NDArray[np.int32], Ints]:
    if firing.closed is None:
        return np.ones(len(segment.words), np.int32), np.full(len(segment.words), -1, np.int64)
    return firing.closed.next_versions(segment.words, segment.nulls)
