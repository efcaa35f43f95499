"""Rows that wait in checkpoints for the end of a run: few parts, however many epochs there were."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from eventtime.state.parts import PartWriter, Saved

__all__ = ("OUTPUT", "HeldRows", "divided", "held_rows")

OUTPUT: Final = "output"
_BLOCK_BYTES: Final = 64 << 20
# So many parts of a kind are joined, unless they are large.
_JOINED: Final = 16
_JOINED_ROWS: Final = 1 << 20


@dataclass(frozen=True)
class _Part:
    """One part: rows of an output from consecutive epochs.

    Args:
        tag: of the output.
        epoch: the first.
        part: of several of one epoch.
        epochs: how many they are.
        rows: how many rows.
    """

    tag: str
    epoch: int
    part: int
    epochs: int
    rows: int

    @property
    def about(self) -> dict[str, str | int]:
        return {
            "kind": OUTPUT,
            "tag": self.tag,
            "epoch": self.epoch,
            "part": self.part,
            "epochs": self.epochs,
        }


class HeldRows:
    """The rows of outputs that are published at the end, as parts of the last checkpoint.

    Each row is written again about once for each 16-fold of the epochs.

    Args:
        saved: holds those of earlier epochs; None: there are none.
        but: outputs that are not held.
    """

    def __init__(self, saved: Saved | None = None, but: Collection[str] = ()) -> None:
        self._parts: dict[str, list[_Part]] = {}
        for block in [] if saved is None else saved.about(kind=OUTPUT):
            about = block.about
            if about["tag"] not in but:
                names = ("tag", "epoch", "part", "epochs", "rows")
                part = _Part(*(about[name] for name in names))
                self._parts.setdefault(part.tag, []).append(part)

    @property
    def tags(self) -> list[str]:
        """Outputs that have rows."""
        return sorted(self._parts)

    def save(
        self,
        rows: Mapping[str, Sequence[pa.RecordBatch]],
        epoch: int,
        writer: PartWriter,
        last: Saved | None,
    ) -> None:
        """Make all rows parts of a checkpoint.

        Args:
            rows: new ones, by tag.
            epoch: they are of.
            writer: of the checkpoint.
            last: holds those of earlier epochs.
        """
        for tag, parts in self._parts.items():
            self._parts[tag] = self._kept(parts, writer, last)
        for tag, batches in rows.items():
            for i, block in enumerate(divided(batches)):
                part = _Part(tag, epoch, i, 1, sum(batch.num_rows for batch in block))
                writer.add(partial(pa.concat_batches, block), epoch, **part.about)
                self._parts.setdefault(tag, []).append(part)

    def _kept(self, parts: list[_Part], writer: PartWriter, last: Saved | None) -> list[_Part]:
        tail = parts[-_JOINED:]
        is_long = len(tail) == _JOINED and len({part.epochs for part in tail}) == 1
        joins = is_long and sum(part.rows for part in tail) <= _JOINED_ROWS
        for part in parts[:-_JOINED] if joins else parts:
            if not writer.keep(part.epoch, **part.about):
                writer.add(partial(_read, last, [part]), part.epoch, **part.about)
        if not joins:
            return parts
        first, rows = tail[0], sum(part.rows for part in tail)
        joined = _Part(first.tag, first.epoch, first.part, first.epochs * _JOINED, rows)
        writer.add(partial(_read, last, tail), first.epoch, **joined.about)
        return [*parts[:-_JOINED], joined]


def held_rows(saved: Saved, tag: str, epoch: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an output that a checkpoint holds, of one epoch or of all, in order."""
    wanted: dict[str, str | int] = {} if epoch is None else {"epoch": epoch}
    for block in saved.about(kind=OUTPUT, tag=tag, **wanted):
        yield block.batch()


def divided(rows: Sequence[pa.RecordBatch]) -> list[list[pa.RecordBatch]]:
    """Divide rows into blocks of a size that is written and read well."""
    blocks: list[list[pa.RecordBatch]] = []
    size = _BLOCK_BYTES
    for batch in rows:
        if size >= _BLOCK_BYTES:
            blocks.append([])
            size = 0
        blocks[-1].append(batch)
        size += batch.nbytes
    return blocks


def _read(saved: Saved | None, parts: Sequence[_Part]) -> pa.RecordBatch:
    assert saved is not None
    blocks = [saved.about(**part.about)[0] for part in parts]
    return pa.concat_batches([block.batch() for block in blocks])
