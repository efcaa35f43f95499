"""A store that takes whole epochs, over all processes of a simulated run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.errors import SinkError
from eventtime.sinks.epochs import check_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventtime.sinks.epochs import Delivery, Guarantee
    from eventtime.testing.simulation.world import World

__all__ = ("SimulatedSink", "Store")


@dataclass
class Store:
    """What one output holds, durable as soon as it is committed.

    Args:
        world: it is in.
        tag: of the output.
        forgets: whether it is broken: it takes an epoch as often as it is given it.
    """

    world: World
    tag: str
    forgets: bool = False
    epochs: list[tuple[int, list[pa.RecordBatch]]] = field(default_factory=list)
    token: int = 0

    @property
    def last(self) -> int:
        """Number of the last epoch."""
        return self.epochs[-1][0] if self.epochs and not self.forgets else 0

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return all rows, in the order of the epochs."""
        return pa.Table.from_batches([b for _, batches in self.epochs for b in batches], schema)


@dataclass(frozen=True, eq=False)
class SimulatedSink:
    """The sink of a store."""

    store: Store
    delivery: Delivery = "exactly_once"
    guarantee: Guarantee = "exactly_once"

    def open_epochs(self, schema: pa.Schema, job: str) -> _Writer:
        return _Writer(self.store)

    def describe(self) -> str:
        return f"a simulated store of {self.store.tag or 'results'}"


class _Writer:
    def __init__(self, store: Store) -> None:
        self._store = store

    def recover(self, token: int) -> int:
        store = self._store
        self._trouble("recover")
        check_token(store.token, token, store.tag)
        store.token = token
        return store.last

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        store, world = self._store, self._store.world
        self._trouble("commit")
        check_token(store.token, token, store.tag)
        if epoch <= store.last:
            return
        rows = [batch for batch in batches if batch.num_rows]
        world.trace.note("commit", store.tag, epoch, sum(batch.num_rows for batch in rows))
        store.epochs.append((epoch, rows))
        self._trouble("committed")

    def close(self) -> None:
        """Nothing is held."""

    def _trouble(self, where: str) -> None:
        world = self._store.world
        world.may_crash(where)
        if world.fails(where):
            msg = "the store cannot be reached"
            raise SinkError(msg, place=self._store.tag or "results")
