"""What a shard holds, as parts of a savepoint and back: slices, corrections, closed windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from eventtime.errors import CheckpointError
from eventtime.state.parts import CutPart
from eventtime.windows.closed import ClosedWindow
from eventtime.windows.shares import keys_of_shard
from eventtime.windows.slice_map import slice_map

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sortedcontainers import SortedDict

    from eventtime.state.keys import KeyCodec
    from eventtime.state.parts import SavedPart
    from eventtime.windows.accumulators import Accumulators
    from eventtime.windows.slices import Slices

__all__ = (
    "CLOSED_WINDOW",
    "CORRECTIONS",
    "KEYS",
    "SLICE",
    "Contents",
    "Part",
    "restored_parts",
    "share_of",
)

KEYS: Final = "keys"
SLICE: Final = "slice"
CORRECTIONS: Final = "corrections"
CLOSED_WINDOW: Final = "closed_window"


@dataclass(frozen=True)
class Part:
    """Accumulators, or versions, of the keys of one slice or window, read back.

    Args:
        kind: SLICE, CORRECTIONS or CLOSED_WINDOW.
        at: index of the slice, or end of the window in microseconds.
        rows: one for each key; the first two columns are its word and whether it is the null key.
    """

    kind: str
    at: int
    rows: pa.RecordBatch


@dataclass(frozen=True)
class Contents:
    """The contents of one shard; what is not among them is rebuilt from them.

    Args:
        accumulators: of the shard.
        slices: of the shard.
        deltas: directory row of what came for closed windows of a slice and is still to be emitted.
        closed: windows that are closed and not expired, by their end.
    """

    accumulators: Accumulators
    slices: Slices
    deltas: SortedDict[int, int]
    closed: SortedDict[int, ClosedWindow]

    def save(self, cut: int) -> Iterator[CutPart]:
        """List everything, part by part.

        Args:
            cut: number of the cut under way.
        """
        accumulators = self.accumulators
        accumulators.begin_cut()
        for index, row in self.slices.rows.items():
            about: dict[str, str | int] = {"kind": SLICE, "at": index}
            version = accumulators.tables.version(row, cut)
            yield CutPart(about, version, partial(self.slices.copy, index))
        for index, row in self.deltas.items():
            about = {"kind": CORRECTIONS, "at": index}
            version = accumulators.tables.version(row, cut)
            yield CutPart(about, version, partial(accumulators.copy, row))
        for end, window in self.closed.items():
            about = {"kind": CLOSED_WINDOW, "at": end}
            yield CutPart(about, window.version(cut), window.copy)

    def fill(self, parts: Sequence[Part], schema: pa.Schema) -> None:
        """Put parts back, while nothing is held.

        Args:
            parts: each kind and place once, none without rows.
            schema: of results.

        Raises:
            CheckpointError: accumulators have other columns than these here.
        """
        tables: list[tuple[int, pa.RecordBatch]] = []
        for part in parts:
            if part.kind == CLOSED_WINDOW:
                self.closed[part.at] = ClosedWindow.restored(part.rows, schema)
                continue
            _check_columns(part.rows.schema, self.accumulators.saved_schema)
            row = self.accumulators.tables.create(part.at)
            (self.slices.rows if part.kind == SLICE else self.deltas)[part.at] = row
            tables.append((row, part.rows))
            # Objects remember in which order rows came, and so are restored all at once.
            if self.slices.has_limit and not self.accumulators.has_objects:
                self.accumulators.restore(tables)
                self.slices.relieve()
                tables = []
        self.accumulators.restore(tables)
        self.slices.map = slice_map(self.slices.rows)


def restored_parts(blocks: Sequence[SavedPart], codec: KeyCodec) -> list[Part]:
    """Decode the blocks of an operator: keys into a codec, and the parts of all shards as one.

    Args:
        blocks: of the operator, as its shards saved them.
        codec: new; knows the keys afterwards.
    """
    keys = [block.batch() for block in blocks if block.about["kind"] == KEYS]
    ids = _moved(codec.restore(keys)) if keys else None
    together: dict[tuple[str, int], list[pa.RecordBatch]] = {}
    for block in blocks:
        if block.about["kind"] != KEYS:
            place = block.about["kind"], block.about["at"]
            together.setdefault(place, []).append(block.batch())
    parts = []
    for (kind, at), batches in together.items():
        rows = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
        parts.append(Part(kind, at, rows if ids is None else _renumbered(rows, ids)))
    return parts


def share_of(parts: Sequence[Part], shards: int, shard: int) -> list[Part]:
    """Return what of each part belongs to a shard, without those that have nothing for it."""
    share = []
    for part in parts:
        mine = np.empty(part.rows.num_rows + 1, np.int64)
        mine = mine[: keys_of_shard(part.rows.column(0).to_numpy(), shards, shard, mine)]
        if len(mine):
            share.append(Part(part.kind, part.at, part.rows.take(pa.array(mine))))
    return share


def _check_columns(saved: pa.Schema, wanted: pa.Schema) -> None:
    """Refuse what looks otherwise: a user's aggregate may have changed behind its name."""
    if saved.equals(wanted):
        return
    pairs = zip_longest(map(str, saved), map(str, wanted), fillvalue="nothing")
    there, here = next((a, b) for a, b in pairs if a != b)
    msg = f"accumulators that were saved hold {there}, where those of the pipeline hold {here}"
    remedy = "restore with the aggregates that it was saved with"
    raise CheckpointError(msg, place="aggregate(...)", remedy=remedy)


def _moved(ids: np.ndarray) -> np.ndarray | None:
    """Return the ids of keys by those that they had; None where each has its own again."""
    return None if np.array_equal(ids, np.arange(len(ids))) else ids


def _renumbered(rows: pa.RecordBatch, ids: np.ndarray) -> pa.RecordBatch:
    """Put keys under the ids that they have here; the word of the null key stays 0."""
    words, nulls = rows.column(0).to_numpy(), rows.column(1).to_numpy(zero_copy_only=False)
    return rows.set_column(0, "key", pa.array(np.where(nulls, 0, ids[np.where(nulls, 0, words)])))
