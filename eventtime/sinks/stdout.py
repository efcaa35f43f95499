"""Standard output as JSON lines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventtime.errors import SinkError
from eventtime.sinks.json_text import json_rows
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("STDOUT", "StdoutEpochs", "StdoutSink", "to_stdout")

STDOUT: Final = "to_stdout()"
"""Where its errors say that they come from."""


def to_stdout() -> StdoutSink:
    """Write rows to standard output, a JSON object a line, as soon as they come out.

    Values are written as `to_json_lines` does. Whole lines only: a kill between two lines of a
    batch leaves no half one unless the pipe does. At least once: with checkpoints, what was written
    since the last one is written again after a restart.

    >>> to_stdout().describe()
    'standard output'
    """
    return StdoutSink()


@dataclass(frozen=True)
class StdoutSink:
    """Rows to a descriptor; made by `to_stdout`.

    Args:
        descriptor: of the pipe, file or terminal.
    """

    descriptor: int = 1

    @property
    def delivery(self) -> Delivery:
        """Before the checkpoint."""
        return "at_least_once"

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        return "at_least_once"

    @property
    def occupies(self) -> tuple[object, ...]:
        """The descriptor."""
        return ("descriptor", self.descriptor)

    def open(self, schema: pa.Schema) -> StdoutEpochs:
        """Start, for a run without checkpoints: rows are written as they come."""
        return self.open_epochs(schema, "")

    def open_epochs(self, schema: pa.Schema, job: str) -> StdoutEpochs:
        """Start."""
        del job
        check_text_types(schema, "JSON lines")
        return StdoutEpochs(self.descriptor)

    def describe(self) -> str:
        """One line for `explain()`."""
        return "standard output"


class StdoutEpochs:
    """Writes rows at once; see `EpochWriter` and `SinkWriter`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def recover(self, token: int) -> int:
        del token
        return 0

    def commit(
        self, epoch: int = 0, batches: Iterable[pa.RecordBatch] = (), token: int = 0
    ) -> None:
        """Write the rows of an epoch; of a run without checkpoints they were written."""
        del epoch, token
        for batch in batches:
            self.write(batch)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows.

        Raises:
            SinkError: nobody reads any more, or the disk is full.
        """
        if not batch.num_rows:
            return
        lines = json_rows(batch.columns, batch.schema.names).to_pylist()
        data = memoryview("\n".join([*lines, ""]).encode())
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            msg = f"standard output takes no more rows: {error.strerror}"
            remedy = "see what reads from it"
            raise SinkError(msg, place=STDOUT, remedy=remedy) from error

    def abort(self) -> None:
        """What was written stays."""

    def close(self) -> None:
        """The descriptor is not ours."""
