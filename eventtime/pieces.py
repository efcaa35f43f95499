"""Stretches of partitions' buffers, out of which replay makes chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from eventtime.partition import Ready

__all__ = ("CHUNKS_AHEAD", "CHUNK_ROWS", "Piece", "positions_of")

Ints = NDArray[np.int64]
CHUNK_ROWS = 262144
CHUNKS_AHEAD = 2


@dataclass
class Piece:
    """Consecutive rows of one partition's buffer.

    Args:
        number: that stands for it in spans.
        partition: its index.
        ready: the buffer.
        first, last: the first row taken, and one past the last.
    """

    number: int
    partition: int
    ready: Ready
    first: int
    last: int


def positions_of(spans: Ints, number: int) -> Ints:
    """Return the positions in the chunk of the rows of one piece, ascending."""
    lengths = spans[:, 2] - spans[:, 1]
    starts = np.cumsum(lengths) - lengths
    mine = spans[:, 0] == number
    within = np.cumsum(lengths[mine]) - lengths[mine]
    shifts: Ints = np.repeat(starts[mine] - within, lengths[mine])
    return np.arange(len(shifts)) + shifts
