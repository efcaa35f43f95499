"""Output of an engine that was not yet taken: it is part of a savepoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from eventtime.state.parts import PartWriter, Saved

__all__ = ("Kept",)

_RESULTS: Final = "results"
_SIDE: Final = "side"


@dataclass
class Kept:
    """Results and side outputs, in order, until somebody takes them.

    In: `results.append`, `add_side`. Out: `take_results`, `take_side`. Surviving: `save`,
    `restore`.
    """

    results: list[pa.RecordBatch] = field(default_factory=list)
    sides: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def add_side(self, tag: str, batch: pa.RecordBatch) -> None:
        """Keep rows of a side output."""
        self.sides.setdefault(tag, []).append(batch)

    def take_results(self, schema: pa.Schema, *, keep: bool = False) -> pa.Table:
        """Hand results over, once unless they are kept."""
        taken = pa.Table.from_batches(self.results, schema)
        if not keep:
            self.results = []
        return taken

    def take_side(self, tag: str, schema: pa.Schema, *, keep: bool = False) -> pa.Table:
        """Hand the rows of a side output over, once unless they are kept."""
        taken = pa.Table.from_batches(self.sides.get(tag, []), schema)
        if not keep:
            self.sides.pop(tag, None)
        return taken

    def save(self, pack: PartWriter) -> None:
        """Write everything."""
        for batch in self.results:
            pack.add(batch, kind=_RESULTS)
        for tag, batches in self.sides.items():
            for batch in batches:
                pack.add(batch, kind=_SIDE, tag=tag)

    def restore(self, pack: Saved) -> None:
        """Keep what was kept when it was saved."""
        self.results = [block.batch() for block in pack.about(kind=_RESULTS)]
        for block in pack.about(kind=_SIDE):
            self.add_side(block.about["tag"], block.batch())
