"""The protocol of accumulators whose contents do not fit in words, addressed by slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

__all__ = ("Accumulator",)

Ints = NDArray[np.int64]


class Accumulator(Protocol):
    """Contents by slot: slots are indices into an arena, given back and reused.

    Life of a slot: `reset` … `release`. Contents: `add`, `copy`, `merge`. Reading: `result`.
    Surviving: `save`, `renumberings`, `restore`. Watching: `nbytes`,
    `check_invariants`. Slots handed in together are distinct unless said otherwise, and all but
    those of `reset` are between reset and release. It does not check this: the operator owns them.

    What `result` returns is a pure function of the rows of a slot in their order, bit for bit:
    neither the cuts between calls of `add` nor other slots show (S4).
    """

    @property
    def result_type(self) -> pa.DataType:
        """Type of what `result` returns."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held: O(slots) and a small multiple of the live contents."""
        ...

    def reset(self, slots: Ints) -> None:
        """Make slots empty, fresh or reused; room grows to the largest."""
        ...

    def add(self, slots: Ints, columns: Sequence[pa.Array], time_us: Ints) -> None:
        """Fold rows, in order of arrival.

        Args:
            slots: (m,) int64; repeats allowed.
            columns: the inputs, each (m,); may hold nulls.
            time_us: (m,) int64, event time in µs.
        """
        ...

    def copy(self, into: Ints, source: Ints) -> None:
        """Make `into` equal to `source`, (n,) each; `into` fresh and disjoint from `source`."""
        ...

    def merge(self, into: Ints, source: Ints) -> None:
        """Add the contents of `source` to `into`, (n,) each and disjoint; `source` stays.

        The rows of `into` count as arrived before those of `source`, unless the accumulator knows
        better, as `collect` does.
        """
        ...

    def result(self, slots: Ints) -> pa.Array:
        """Return one value for each slot, (n,) of `result_type`; any order, repeats allowed."""
        ...

    def release(self, slots: Ints) -> None:
        """Drop contents; the slots are not read again before a reset."""
        ...

    @property
    def saved_type(self) -> pa.DataType:
        """Type of what `save` returns: the same only if `restore` understands it."""
        ...

    def save(self, slots: Ints) -> Callable[[], pa.Array]:
        """Copy the contents of each slot.

        Returns:
            What gives them, (n,) of `saved_type` without nulls, later and in any thread.
        """
        ...

    @property
    def renumberings(self) -> int:
        """How often what `save` returns for a slot has changed while nobody touched the slot."""
        ...

    def restore(self, slots: Ints, saved: pa.Array) -> None:
        """Fill slots that are empty, all at once, with what `save` returned, maybe elsewhere.

        Of two values from one accumulator that arrived one after the other this still holds.
        """
        ...

    def check_invariants(self) -> None:
        """Assert what must always hold; for tests."""
        ...
