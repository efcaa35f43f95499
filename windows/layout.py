"""How the aggregates of a window lie in the words of a slot, and how a result is read out of them.

Aggregates of one column share primitives: mean, sum and count of `x` keep one sum and one count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, INT, OBJECT, UINT64, lane_kind
from eventtime.state.kernels import HEAD, ROWS
from eventtime.windows import fold_kernels as fold
from eventtime.windows import merge_kernels as merge
from eventtime.windows import primitives as kept
from eventtime.windows import readout
from eventtime.windows.chunk_kernels import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from eventtime.windows.aggregate import Aggregate
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.readout import Reader

__all__ = ("Fold", "Layout")

Ints = NDArray[np.int64]
_LARGEST, _SMALLEST = 2**63 - 1, -(2**63)
_NAN, _MINUS_INF = (int(np.float64(x).view(np.int64)) for x in (np.nan, -np.inf))

_EMPTY: dict[int, tuple[int, ...]] = {
    kept.NULLS: (0,),
    kept.SUM_INT: (0, 0),
    kept.SUM_FLOAT: (0,),
    kept.MIN_INT: (_LARGEST,),
    kept.MAX_INT: (_SMALLEST,),
    kept.MIN_FLOAT: (_NAN,),
    kept.MAX_FLOAT: (_MINUS_INF,),
    kept.MOMENTS: (0, 0, 0),
    kept.FIRST: (0, 0, 0),
    kept.LAST: (0, 0, 0),
    kept.DECIMAL_SUM: (0, 0, 0),
    kept.DECIMAL_MIN: (0, 0, 0),
    kept.DECIMAL_MAX: (0, 0, 0),
}

_SUMS = {INT: kept.SUM_INT, UINT64: kept.SUM_INT, FLOAT: kept.SUM_FLOAT, DECIMAL: kept.DECIMAL_SUM}
_MINS = {INT: kept.MIN_INT, UINT64: kept.MIN_INT, FLOAT: kept.MIN_FLOAT, DECIMAL: kept.DECIMAL_MIN}
_NUMBERS = {INT: fold.SIGNED, UINT64: fold.UNSIGNED, FLOAT: fold.REAL, DECIMAL: fold.WIDE}
_MAXES = {INT: kept.MAX_INT, UINT64: kept.MAX_INT, FLOAT: kept.MAX_FLOAT, DECIMAL: kept.DECIMAL_MAX}


@dataclass
class Layout:
    """The words of one accumulator and what to do with them.

    Building: `add` for each aggregate, then `neutral` and `program`. Running: `fold_column`.
    """

    words: list[int] = field(default_factory=lambda: [0] * HEAD)
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def holds(aggregate: Aggregate, kinds: Sequence[pa.DataType]) -> bool:
        """Say whether words can hold this aggregate; otherwise it needs an accumulator object."""
        if aggregate.function in {"user", "collect", "count_distinct"}:
            return False
        if aggregate.function == "count":
            return True
        lane = lane_kind(kinds[0])
        return lane != OBJECT and not (lane == DECIMAL and aggregate.function in {"first", "last"})

    def add(self, aggregate: Aggregate, column: int, kind: pa.DataType, out: pa.DataType) -> Reader:
        """Give an aggregate its words; returns how to read its result.

        Args:
            aggregate: one that `holds`.
            column: index of its input column; -1 for `count()`.
            kind: type of the column.
            out: type of the result.
        """
        if column < 0:
            return readout.counted(ROWS)
        lane = self.kinds[column] = lane_kind(kind)
        if aggregate.function in {"first", "last"}:
            at = self._place(kept.FIRST if aggregate.function == "first" else kept.LAST, column)
            return readout.ordered(at, out)
        if aggregate.function in {"var", "stddev"}:
            at = self._place(kept.MOMENTS, column)
            return readout.spread(at, aggregate.ddof, kind, root=aggregate.function == "stddev")
        count = self._place(kept.NULLS, column)
        if aggregate.function == "count":
            return readout.counted(count)
        if aggregate.function in {"sum", "mean"}:
            total = self._place(_SUMS[lane], column)
            average = aggregate.function == "mean"
            return (
                readout.mean(lane, total, count, kind)
                if average
                else readout.total(lane, total, count, out)
            )
        least = aggregate.function in {"min", "all"}
        at = self._place((_MINS if least else _MAXES)[lane], column)
        return readout.extreme(lane, at, count, out)

    @property
    def neutral(self) -> Ints:
        """The words of an empty accumulator, (width,) int64."""
        return np.array(self.words, np.int64)

    @property
    def null_words(self) -> list[int]:
        """Words that count nulls; readers see them as counts of values."""
        return [at for (primitive, _), at in self.places.items() if primitive == kept.NULLS]

    @property
    def names(self) -> list[str]:
        """Names of the words behind the head: primitive, column, and which word of several."""
        return [
            f"{kept.NAMES[primitive]}_{column}" + (f"_{i}" if len(_EMPTY[primitive]) > 1 else "")
            for primitive, column in sorted(self.places, key=lambda place: self.places[place])
            for i in range(len(_EMPTY[primitive]))
        ]

    @property
    def program(self) -> Ints:
        """What a merge does, (steps, 5) int64; see `merge_kernels`."""
        steps = [step for column in sorted(self.kinds) for step in self._steps(column)]
        return np.array(steps, np.int64).reshape(-1, 5)

    def folds(self) -> list[Fold]:
        """Return one fold for each column that words hold."""
        return [
            Fold(column, self.kinds[column], self._offsets(column)) for column in sorted(self.kinds)
        ]

    def _place(self, primitive: int, column: int) -> int:
        place = self.places.get((primitive, column))
        if place is None:
            place = self.places[primitive, column] = len(self.words)
            self.words.extend(_EMPTY[primitive])
        return place

    def _steps(self, column: int) -> list[tuple[int, ...]]:
        at, lane = self._offsets(column).get, self.kinds[column]
        steps = []
        if at(kept.NULLS) is not None:
            kind = {FLOAT: merge.FLOAT_STATS, DECIMAL: merge.DECIMAL_STATS}.get(
                lane, merge.INT_STATS
            )
            places = [at(primitives.get(lane, -1), -1) for primitives in (_SUMS, _MINS, _MAXES)]
            steps.append((kind, at(kept.NULLS, -1), *places))
        if at(kept.MOMENTS) is not None:
            steps.append((merge.MOMENTS, at(kept.MOMENTS, -1), -1, -1, -1))
        if at(kept.FIRST) is not None or at(kept.LAST) is not None:
            steps.append((merge.ORDERED, at(kept.FIRST, -1), at(kept.LAST, -1), -1, -1))
        return steps

    def _offsets(self, column: int) -> dict[int, int]:
        return {primitive: at for (primitive, c), at in self.places.items() if c == column}


@dataclass(frozen=True)
class Fold:
    """Folds one column into its words."""

    column: int
    kind: str
    offsets: dict[int, int]

    @property
    def counts_rows(self) -> bool:
        """Whether it can count rows on the way, which saves a visit of each slot."""
        return kept.NULLS in self.offsets

    def run(
        self, chunk: Chunk, position: int, slots: NDArray[np.int32], words: Ints, *, rows: bool
    ) -> None:
        """Fold the values of rows into their slots, in order.

        Args:
            chunk: has the rows.
            position: of the first.
            slots: (m,) int32, one for each row from there on; NO_SLOT: none.
            words: (slots, width) int64.
            rows: whether to count the rows as well.
        """
        at = self.offsets.get
        floats = words.view(np.float64)
        lane = LANES + 2 * self.column
        where = (chunk.spans, chunk.starts, chunk.addresses, lane, position, slots)
        if kept.MOMENTS in self.offsets:
            number = _NUMBERS[self.kind]
            fold.add_moments(*where, number, words, floats, self.offsets[kept.MOMENTS])
        if kept.FIRST in self.offsets or kept.LAST in self.offsets:
            fold.add_ordered(*where, words, at(kept.FIRST, -1), at(kept.LAST, -1))
        nulls = at(kept.NULLS, -1)
        if nulls < 0:
            return
        if self.kind == OBJECT:
            fold.add_nulls(*where, rows, words, nulls)
        elif self.kind == FLOAT:
            offsets = (at(kept.SUM_FLOAT, -1), at(kept.MIN_FLOAT, -1), at(kept.MAX_FLOAT, -1))
            fold.add_float(*where, rows, words, floats, nulls, *offsets)
        elif self.kind == DECIMAL:
            offsets = (at(kept.DECIMAL_SUM, -1), at(kept.DECIMAL_MIN, -1), at(kept.DECIMAL_MAX, -1))
            fold.add_decimal(*where, rows, words, nulls, *offsets)
        else:
            offsets = (at(kept.SUM_INT, -1), at(kept.MIN_INT, -1), at(kept.MAX_INT, -1))
            fold.add_int(*where, rows, words, nulls, *offsets, self.kind == UINT64)
