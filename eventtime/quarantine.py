"""The quarantine side output: rows without a usable time, in replay order (S11, S12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.partition import PartitionIntake, Quarantined
from eventtime.pieces import Piece, positions_of
from eventtime.windows.late import beside_own, own_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Aside", "QuarantineOrder", "quarantine_batch", "quarantine_schema")

Ints = NDArray[np.int64]
_TEXT = [pa.field("line", pa.int64()), pa.field("raw", pa.string())]


@dataclass(frozen=True)
class Aside:
    """Quarantined rows of one partition.

    Args:
        partition: its index.
        rows: what was set aside.
        places: (n,) int64, the position in the chunk before which each row stood.
        rank: of asides at one place: ends of partitions as they came, then what stood right
            before the row.
    """

    partition: int
    rows: Quarantined
    places: Ints
    rank: int = 2**31


class QuarantineOrder:
    """Lets a quarantined row out right before the next row of its partition, whatever the cuts.

    Args:
        intakes: of all partitions; their `quarantined` lists are emptied here.
    """

    def __init__(self, intakes: Sequence[PartitionIntake]) -> None:
        self._intakes = intakes
        self._ended = 0

    def passed(self, pieces: Sequence[Piece], spans: Ints) -> list[Aside]:
        """Return what stood before rows that were just taken, in order."""
        found = []
        for piece in pieces:
            if not self._intakes[piece.partition].quarantined:
                continue
            numbers = np.asarray(piece.ready.numbers)[piece.first : piece.last]
            positions = positions_of(spans, piece.number)
            found += [
                Aside(piece.partition, rows, positions[np.searchsorted(numbers, rows.numbers)])
                for rows in self._taken_before(piece.partition, int(numbers[-1]))
            ]
        return found

    def rest(self, p: int, place: int, last: int) -> list[Aside]:
        """Return what stood behind the last row of a partition.

        Args:
            p: the partition.
            place: in the chunk, where it ended.
            last: number of that row.
        """
        # What stood before it comes out when the chunk is passed.
        before = self._taken_before(p, last)
        rows, self._intakes[p].quarantined = self._intakes[p].quarantined, before
        self._ended += 1
        return [Aside(p, r, np.full(len(r.numbers), place), self._ended) for r in rows]

    def _taken_before(self, p: int, number: int) -> list[Quarantined]:
        taken, kept = [], []
        for rows in self._intakes[p].quarantined:
            cut = int(np.searchsorted(rows.numbers, number))
            if cut:
                taken.append(_part(rows, 0, cut))
            if cut < len(rows.numbers):
                kept.append(_part(rows, cut, len(rows.numbers)))
        self._intakes[p].quarantined = kept
        return taken


def quarantine_schema(columns: pa.Schema, *, text: bool) -> pa.Schema:
    """Return the schema: own columns, partition, reason, detail (and line, raw for text)."""
    extra = [pa.field(name, pa.string()) for name in ("partition", "reason", "detail")]
    return beside_own(columns, [*extra, *(_TEXT if text else [])])


def quarantine_batch(
    schema: pa.Schema, asides: Sequence[Aside], names: Sequence[str]
) -> pa.RecordBatch:
    """Lay quarantined rows out as one batch, in replay order; columns a row lacks are null."""
    laid = pa.concat_batches([_laid_out(schema, aside, names[aside.partition]) for aside in asides])
    order = np.lexsort(
        (
            np.concatenate([a.rows.numbers for a in asides]),
            np.concatenate([np.full(len(a.places), a.rank) for a in asides]),
            np.concatenate([a.places for a in asides]),
        )
    )
    return laid.take(pa.array(order))


def _laid_out(schema: pa.Schema, aside: Aside, name: str) -> pa.RecordBatch:
    rows, n = aside.rows.rows, aside.rows.rows.num_rows
    laid = {
        "partition": pa.array([name] * n, pa.string()),
        "reason": pa.array([aside.rows.reason] * n, pa.string()),
        "detail": pa.array(aside.rows.detail, pa.string()),
    }
    # Rows that did not parse have a line and their text, all others the columns of their partition.
    text = [f.name for f in _TEXT]
    unread = aside.rows.reason == "malformed" and rows.schema.names == text
    # The extra columns come last: of text sources `raw`, otherwise `detail`.
    extra = [*laid, *text] if schema.names[-1] == text[-1] else [*laid]
    names = text if unread else own_names(rows.schema.names, extra)
    laid.update(zip(names, rows.columns, strict=True))
    columns = [laid[f.name] if f.name in laid else pa.nulls(n, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _part(rows: Quarantined, first: int, last: int) -> Quarantined:
    part = slice(first, last)
    return Quarantined(
        rows.rows.slice(first, last - first), rows.reason, rows.detail[part], rows.numbers[part]
    )
