"""Reading slots: one pass over the words of accumulators, straight into the columns of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.lanes import address_of
from eventtime.state.kernels import KEY_WORD, NULL_FLAG, ROWS, read_words
from eventtime.windows.readout import SumTooLargeError, room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from eventtime.windows.readout import Reader, Values

__all__ = ("read_slots",)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
_BLOCK = 10_000


def read_slots(
    words: Ints, slots: Ints, readers: Mapping[int, Reader], null_words: Sequence[int]
) -> tuple[Ints, Flags, Ints, dict[int, pa.Array]]:
    """Read accumulators as they are now. Cost: each slot is visited once.

    Words that are results as they stand go to their columns, all others through a block that stays
    in the cache: large results would spend half their time on memory that is new to the process.

    Args:
        words: (slots, width) int64.
        slots: (n,) int64.
        readers: by output.
        null_words: words that count nulls; for readers they become the counts of values.

    Returns:
        ``keys`` (n,) int64, ``nulls`` (n,) bool, ``rows`` (n,) int64 without the flag, and a column
        for each output.

    Raises:
        SumTooLargeError: with the output and the position among `slots`.
    """
    n = len(slots)
    straight = {r.word: room(n) for r in readers.values() if r.fill is None}
    straight |= {KEY_WORD: room(n), ROWS: room(n)}
    values = {i: r.room(n) if r.fill else straight[r.word] for i, r in readers.items()}
    seen = {r.seen: np.ones(n, np.bool_) for r in readers.values()}
    nulls = np.empty(n, np.bool_)
    block = np.empty((words.shape[1], min(n, _BLOCK)), np.int64)
    for first in range(0, n, _BLOCK):
        part = slice(first, min(first + _BLOCK, n))
        columns = [
            straight[word][part] if word in straight else row[: part.stop - first]
            for word, row in enumerate(block)
        ]
        read_words(words, slots[part], np.array([address_of(c) for c in columns], np.int64))
        rows = columns[ROWS]
        np.greater_equal(rows, NULL_FLAG, out=nulls[part])
        np.bitwise_and(rows, NULL_FLAG - 1, out=rows)
        for word in null_words:
            np.subtract(rows, columns[word], out=columns[word])
        for rule, flags in seen.items():
            if rule is not None:
                np.greater(columns[rule[0]], rule[1], out=flags[part])
        for i, reader in readers.items():
            _fill(i, reader, columns, values[i][part], first)
    made = {i: reader.column(values[i], seen[reader.seen]) for i, reader in readers.items()}
    return straight[KEY_WORD], nulls, straight[ROWS], made


def _fill(output: int, reader: Reader, columns: list[Ints], values: Values, first: int) -> None:
    if reader.fill is None:
        return
    try:
        reader.fill(columns, values)
    except SumTooLargeError as error:
        error.output, error.position = output, first + error.position
        raise
