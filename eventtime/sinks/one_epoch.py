"""A run without checkpoints into a sink that takes epochs only: all of its rows are one epoch."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.sinks.epochs import EpochSink

__all__ = ("OneEpoch",)

_TOKEN: Final = 1


class OneEpoch:
    """Keeps the rows, and commits them at the end; see `SinkWriter`.

    Cost: all rows stay in memory until then.

    Args:
        sink: whose epochs these are.
        schema: of the rows.
    """

    def __init__(self, sink: EpochSink, schema: pa.Schema) -> None:
        self._writer = sink.open_epochs(schema, f"{uuid.uuid4().hex}/results")
        self._batches: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)

    def commit(self) -> None:
        self._writer.recover(_TOKEN)
        self._writer.commit(_TOKEN, self._batches, _TOKEN)
        self._writer.close()

    def abort(self) -> None:
        self._writer.close()
