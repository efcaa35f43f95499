"""Blocks of state outside of the tables: what a store of them must do, and one that holds memory.

A block is written once, read any number of times and deleted. It is scratch: what outlives the
process is a checkpoint, which no store of blocks knows of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("BlockStats", "BlockStore", "Bytes", "MemoryBlocks", "Spill", "joined")

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class BlockStats:
    """What a store holds and did.

    Args:
        blocks: held now.
        nbytes: their bytes.
        put_bytes: bytes put so far.
        got_bytes: bytes read so far.
    """

    blocks: int
    nbytes: int
    put_bytes: int
    got_bytes: int


class BlockStore(Protocol):
    """Blocks of bytes by number.

    Writing: `put`, `delete`, `flush`. Reading: `get_many`, `stats`. Ending: `close`. May be used by
    several threads. A block that was put is whole or an error is raised: never half of it, never
    other bytes.

    Every method raises `ScratchError` where the disk fails.
    """

    def put(self, buffers: Sequence[Bytes]) -> int:
        """Write a block.

        Args:
            buffers: uint8, contiguous; the block is one after the other.

        Returns:
            Its number, greater than that of every block before.

        Raises:
            ScratchError: it cannot be written, such as where the disk is full; nothing of it stays,
                and what was there before is there still.
        """
        ...

    def get_many(self, blocks: Sequence[int]) -> list[Bytes]:
        """Read blocks, each (bytes,) uint8, not to be written to.

        Raises:
            ScratchError: one is gone, cannot be read, or is not what was put.
        """
        ...

    def delete(self, blocks: Sequence[int]) -> None:
        """Forget blocks; their room is used again sooner or later."""
        ...

    def flush(self) -> None:
        """Give room back that can be had at once: after it an empty store takes next to none."""
        ...

    def close(self) -> None:
        """Forget everything; may be called more than once."""
        ...

    def stats(self) -> BlockStats:
        """Return what it holds and did."""
        ...


@dataclass(frozen=True)
class Spill:
    """Where state goes that has no room in memory.

    Args:
        store: of blocks; others may share it.
        budget_bytes: what whoever has this may hold in memory.
    """

    store: BlockStore
    budget_bytes: int


class MemoryBlocks:
    """Blocks in memory: the model of the others, and what they are measured against.

    >>> store = MemoryBlocks()
    >>> block = store.put([np.array([1, 2], np.uint8), np.array([3], np.uint8)])
    >>> store.get_many([block])[0].tolist()
    [1, 2, 3]
    """

    def __init__(self) -> None:
        self._blocks: dict[int, Bytes] = {}
        self._next = self._put = self._got = 0

    def put(self, buffers: Sequence[Bytes]) -> int:
        block, self._next = self._next, self._next + 1
        data = self._blocks[block] = joined(buffers)
        self._put += len(data)
        return block

    def get_many(self, blocks: Sequence[int]) -> list[Bytes]:
        found = [self._blocks[block] for block in blocks]
        self._got += sum(map(len, found))
        return found

    def delete(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            del self._blocks[block]

    def flush(self) -> None:
        """Do nothing: memory is given back at once."""

    def close(self) -> None:
        self._blocks.clear()

    def stats(self) -> BlockStats:
        held = sum(map(len, self._blocks.values()))
        return BlockStats(len(self._blocks), held, self._put, self._got)


def joined(buffers: Sequence[Bytes]) -> Bytes:
    """Copy buffers into one."""
    return np.concatenate([np.empty(0, np.uint8), *buffers])
