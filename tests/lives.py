"""The lives of a replay that is killed: each ends behind a cut, or at the end of all input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.state.pack import PackWriter

if TYPE_CHECKING:
    from eventtime.execution import Execution


class KilledError(Exception):
    """What a process that is killed sees last."""


@dataclass
class Life:
    """One process: takes outputs, and dies behind a pause."""

    steps: int | None
    out: dict[str, list[pa.RecordBatch]]
    execution: Execution = field(init=False)
    stops: bool = False
    saved: bytes = b""

    def is_due(self, rows: int) -> bool:
        """Count steps."""
        assert rows >= 0
        if self.steps is not None:
            self.steps -= 1
        return self.steps == 0

    def pause(self, *, is_end: bool) -> None:
        """Save, balanced, and be killed."""
        if is_end:
            return
        self.execution.ledger().assert_balanced()
        stream = pa.BufferOutputStream()
        pack = PackWriter(stream)
        pack.finish(self.execution.save(pack))
        self.saved = stream.getvalue().to_pybytes()
        raise KilledError

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        """Take an output."""
        self.out.setdefault(tag, []).append(batch)
