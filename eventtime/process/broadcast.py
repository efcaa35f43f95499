"""Broadcast streams: changes of a small table that every key sees, each from its event time on."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.process.rows import python_rows
from eventtime.sources.base import MalformedRows, Poll
from eventtime.timestamp import to_us
from eventtime.transform import Transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventtime.sources.base import Source
    from eventtime.sources.feed import AnySource
    from eventtime.transform import Step

__all__ = ("Broadcast", "Changes", "malformed")

_ORDER: Final = "__order"
_BATCH_ROWS: Final = 65_536


@dataclass(frozen=True)
class Broadcast:
    """One broadcast stream.

    Args:
        source: of its rows.
        steps: on them.
    """

    source: AnySource
    steps: tuple[Step, ...]

    @property
    def schema(self) -> pa.Schema:
        """Of its rows behind the steps."""
        schema = self.source.schema()
        for step in self.steps:
            schema = step.output(schema)
        return schema

    def read(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield all rows of a bounded source, before the steps.

        Raises:
            SourceError: rows do not parse; names the stream.
        """
        for reader in cast("Source", self.source).open(None, _BATCH_ROWS):
            try:
                while not isinstance(answer := reader.read(), Poll):
                    if isinstance(answer, MalformedRows):
                        raise malformed(name, reader.name)
                    yield answer
            finally:
                reader.close()


class Changes:
    """Rows of broadcast streams that wait for the watermark.

    In: `read`, `push`. Out: `due`. Surviving: `save`, `restore`.

    Args:
        streams: by name.
    """

    def __init__(self, streams: Mapping[str, Broadcast]) -> None:
        self.streams = streams
        self._before = {
            name: Transform(stream.steps, stream.source.schema(), f"rows of {name!r}")
            for name, stream in streams.items()
        }
        self._waiting: list[tuple[int, int, str, pa.RecordBatch, int]] = []
        self._arrived = 0

    def read(self) -> list[int]:
        """Take in all rows of all streams; returns their times."""
        streams = self.streams.items()
        return [
            time_us
            for name, stream in streams
            for batch in stream.read(name)
            for time_us in self.push(name, batch)
        ]

    def push(self, name: str, batch: pa.RecordBatch) -> list[int]:
        """Take rows of a source in; returns the times of those that its steps leave.

        Raises:
            SourceError: one has no event time.
        """
        source, batch = self.streams[name].source, self._before[name].apply(batch)[0]
        times, admitted = to_us(batch.column(source.time), source.time_unit)
        if admitted is not None:
            row = int(np.flatnonzero(~admitted)[0])
            msg = f"row {row} of the broadcast stream {name!r} has no event time that is admitted"
            remedy = f"filter such rows out, or fill {source.time!r}"
            raise SourceError(msg, place=source.describe(), remedy=remedy)
        for i, time_us in enumerate(times.tolist()):
            heappush(self._waiting, (time_us, self._arrived, name, batch, i))
            self._arrived += 1
        found: list[int] = times.tolist()
        return found

    def due(self, time_us: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows up to a time, in order of time, then of arrival."""
        while self._waiting and self._waiting[0][0] <= time_us:
            _, _, name, batch, i = heappop(self._waiting)
            row = batch.slice(i, 1)
            yield name, next(python_rows(row.schema.names, row.columns, 1))

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting = []

    def save(self) -> dict[str, pa.RecordBatch]:
        """Return the rows that wait, by stream, with their order."""
        found = {}
        for name in self.streams:
            mine = [(n, b.slice(i, 1)) for _, n, s, b, i in self._waiting if s == name]
            if mine:
                rows = pa.concat_batches([row for _, row in mine])
                found[name] = rows.append_column(_ORDER, pa.array([n for n, _ in mine]))
        return found

    def restore(self, saved: Sequence[tuple[str, pa.RecordBatch]]) -> list[int]:
        """Take over what waited; returns the times."""
        for name, rows in saved:
            source = self.streams[name].source
            batch = rows.drop_columns([_ORDER])
            times = to_us(batch.column(source.time), source.time_unit)[0].tolist()
            numbers = rows.column(_ORDER).to_pylist()
            for i, (time_us, number) in enumerate(zip(times, numbers, strict=True)):
                heappush(self._waiting, (time_us, number, name, batch, i))
                self._arrived = max(self._arrived, number + 1)
        return [entry[0] for entry in self._waiting]


def malformed(name: str, place: str) -> SourceError:
    """Build the error for rows of a broadcast stream that do not parse: there is no quarantine."""
    msg = f"rows of the broadcast stream {name!r} do not parse"
    return SourceError(msg, place=place, remedy="mend what sends them")
