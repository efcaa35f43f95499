"""Where the results and side outputs of one run go: sinks, epochs, or memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.errors import CheckpointError, OutputExistsError
from eventtime.sinks.base import commit_all
from eventtime.sinks.epochs import EpochSink, EpochWriter, takes_epochs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from eventtime.sinks.base import Sink, SinkWriter
    from eventtime.sinks.epochs import Delivery
    from eventtime.state.parts import PartWriter, Saved

__all__ = ("RESULTS", "Epoch", "Outputs", "StagedOutputs", "staged_rows")

RESULTS: Final = ""
_OUTPUT: Final = "output"
_BLOCK_BYTES: Final = 64 << 20


@dataclass
class Outputs:
    """Outputs of a run without checkpoints: each row goes where it belongs at once.

    Beginning: `open`. Rows: `take`. End: `publish`, or `abort`.
    """

    writers: dict[str, SinkWriter] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def open(self, tag: str, sink: Sink, schema: pa.Schema) -> None:
        """Start an output."""
        self.writers[tag] = sink.open(schema)
        self.taken[tag] = sink.describe()

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        """Take rows."""
        writer = self.writers.get(tag)
        if writer is not None:
            writer.write(batch)
        else:
            self.kept.setdefault(tag, []).append(batch)

    def take_from(self, saved: Saved) -> None:
        """Take the rows that a savepoint holds for the end."""
        for block in saved.about(kind=_OUTPUT):
            self.take(str(block.about["tag"]), block.batch())

    def publish(self) -> None:
        """Give all outputs their final names."""
        commit_all(list(self.writers.values()))

    def abort(self) -> None:
        """Leave nothing behind."""
        for writer in self.writers.values():
            # One that raises, against its contract, keeps no other from being aborted.
            with contextlib.suppress(Exception):
                writer.abort()


@dataclass
class Epoch:
    """The rows between two checkpoints.

    Args:
        number: from 1 on.
        rows: by tag, in order.
    """

    number: int
    rows: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def add_to(self, writer: PartWriter, tags: Iterable[str]) -> None:
        """Make the rows of some outputs parts of a checkpoint."""
        for tag in tags:
            for i, batches in enumerate(_blocks(self.rows.get(tag, []))):
                about = _about(tag, self.number, i)
                writer.add(partial(pa.concat_batches, batches), self.number, **about)


def staged_rows(saved: Saved, tag: str, epoch: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an output that a checkpoint holds, of one epoch or of all, in order."""
    wanted: dict[str, str | int] = {"kind": _OUTPUT, "tag": tag}
    for block in saved.about(**wanted, **({} if epoch is None else {"epoch": epoch})):
        yield block.batch()


class StagedOutputs(Outputs):
    """Outputs of a run with checkpoints: rows wait in them until they may be seen (S27, S28).

    Sinks that take epochs commit each as soon as its checkpoint is durable. Rows for memory, and
    for sinks that are published as a whole, stay in the checkpoints until the end.

    Beginning: `open`, `recover`. Rows: `take`. A cut: `end_epoch`, `save`; then, in the thread that
    writes it, `commit_early`, `commit`. End: `publish_from`, `close`.

    Args:
        job: names the outputs for good.
        epoch: number of the last one that ended.
        is_published: whether an earlier process did that: what has its final name is left alone.
    """

    def __init__(self, job: str, epoch: int, *, is_published: bool = False) -> None:
        super().__init__()
        self._is_published = is_published
        self.job, self.epoch = job, Epoch(epoch + 1)
        self.bytes_staged = 0
        self._sinks: dict[str, EpochSink] = {}
        self._epochs: dict[str, EpochWriter] = {}
        # Parts of earlier epochs that stay until the end, and what reads them.
        self._held: list[tuple[dict[str, str | int], Callable[[], pa.RecordBatch] | None]] = []

    def open(self, tag: str, sink: Sink, schema: pa.Schema) -> None:
        if not takes_epochs(sink):
            self.taken[tag] = sink.describe()
            with contextlib.suppress(*([OutputExistsError] if self._is_published else [])):
                super().open(tag, sink, schema)
            return
        self._sinks[tag] = sink
        self._epochs[tag] = sink.open_epochs(schema, f"{self.job}/{tag or 'results'}")
        self.taken[tag] = sink.describe()

    def recover(self, saved: Saved | None, token: int) -> None:
        """Complete what the checkpoint promised, and fence off older processes.

        Args:
            saved: to go on from; None: from the beginning.
            token: of this process.

        Raises:
            CheckpointError: an output is not as the checkpoint left it.
            FencedError: a newer process has claimed an output.
        """
        before = {} if saved is None else saved.head["outputs"]
        for tag, known in before.items():
            if not known["held"] and tag not in self._epochs:
                msg = f"{tag or 'results'!r} went to {known['sink']} until the checkpoint was made"
                remedy = "name that output again, or start over without the checkpoint"
                raise CheckpointError(msg, place=f"run({tag or 'sink'}=…)", remedy=remedy)
        for tag, writer in self._epochs.items():
            last = writer.recover(token)
            exact = self._sinks[tag].delivery == "exactly_once"
            if saved is not None and tag in before and exact:
                self._complete(tag, last, before[tag], saved, token)
        for block in [] if saved is None else saved.about(kind=_OUTPUT):
            tag, epoch, part = (block.about[name] for name in ("tag", "epoch", "part"))
            if tag not in self._epochs:
                self._held.append((_about(tag, epoch, part), block.batch))

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        self.epoch.rows.setdefault(tag, []).append(batch)
        self.bytes_staged += batch.nbytes

    def end_epoch(self) -> Epoch:
        """Begin the next one; returns that which ended."""
        ended, self.epoch, self.bytes_staged = self.epoch, Epoch(self.epoch.number + 1), 0
        return ended

    def save(self, ended: Epoch, writer: PartWriter) -> dict[str, dict[str, str | bool]]:
        """Make the rows of an epoch, and those held since earlier, parts of its checkpoint.

        Returns:
            What the outputs are, for JSON.
        """
        for about, read in self._held:
            kept = writer.keep(int(about["epoch"]), **about)
            if not kept:
                assert read is not None
                writer.add(read, int(about["epoch"]), **about)
        held = [tag for tag in ended.rows if tag not in self._epochs]
        self._held = [(about, None) for about, _ in self._held]
        for tag in held:
            n = len(_blocks(ended.rows[tag]))
            self._held += [(_about(tag, ended.number, i), None) for i in range(n)]
        exact = [tag for tag in self._epochs if self._sinks[tag].delivery == "exactly_once"]
        ended.add_to(writer, [*held, *exact])
        tags = {*self.taken, *(str(about["tag"]) for about, _ in self._held)}
        return {
            tag: {"held": tag not in self._epochs, "sink": self.taken.get(tag, "memory")}
            for tag in sorted(tags)
        }

    def commit_early(self, ended: Epoch, token: int) -> None:
        """Commit before the checkpoint, where rows are to arrive at least once."""
        self._commit(ended, token, ("at_least_once",))

    def commit(self, ended: Epoch, token: int) -> None:
        """Commit behind the checkpoint, which is durable."""
        self._commit(ended, token, ("exactly_once", "at_most_once"))

    def publish_from(self, saved: Saved) -> None:
        """Publish what was held for the end, and give memory its rows."""
        for tag, writer in self.writers.items():
            for batch in staged_rows(saved, tag):
                writer.write(batch)
        self.keep_from(saved)
        self.publish()

    def keep_from(self, saved: Saved) -> None:
        """Give memory the rows that were held for it."""
        for about, _ in self._held:
            tag = str(about["tag"])
            if tag not in self.taken and tag not in self.kept:
                self.kept[tag] = list(staged_rows(saved, tag))

    def close(self) -> None:
        """Let go of all sinks; what was not published is given up."""
        for writer in self._epochs.values():
            with contextlib.suppress(Exception):
                writer.close()
        self.abort()

    def _commit(self, ended: Epoch, token: int, deliveries: Sequence[Delivery]) -> None:
        for tag, writer in self._epochs.items():
            if self._sinks[tag].delivery in deliveries:
                writer.commit(ended.number, ended.rows.get(tag, []), token)

    def _complete(
        self, tag: str, last: int, known: Mapping[str, str | bool], saved: Saved, token: int
    ) -> None:
        """Commit the epoch of the checkpoint if its process did not come so far."""
        epoch, sink = int(saved.head["epoch"]), self.taken[tag]
        if last > epoch:
            msg = f"{sink} has taken epoch {last}, and the checkpoint holds the older epoch {epoch}"
            remedy = "go on from the newest checkpoint, or write to another output"
            raise CheckpointError(msg, place=sink, remedy=remedy)
        if known["held"]:
            self._epochs[tag].commit(epoch, staged_rows(saved, tag), token)
        elif last < epoch - 1:
            msg = f"{sink} has taken epoch {last} last, but the checkpoint holds epoch {epoch} only"
            remedy = "put the output back as it was, or start over without the checkpoint"
            raise CheckpointError(msg, place=sink, remedy=remedy)
        elif last < epoch:
            self._epochs[tag].commit(epoch, staged_rows(saved, tag, epoch), token)


def _about(tag: str, epoch: int, part: int) -> dict[str, str | int]:
    return {"kind": _OUTPUT, "tag": tag, "epoch": epoch, "part": part}


def _blocks(rows: Sequence[pa.RecordBatch]) -> list[list[pa.RecordBatch]]:
    """Divide rows into blocks of a size that is written and read well."""
    blocks: list[list[pa.RecordBatch]] = []
    held = _BLOCK_BYTES
    for batch in rows:
        if held >= _BLOCK_BYTES:
            blocks.append([])
            held = 0
        blocks[-1].append(batch)
        held += batch.nbytes
    return blocks
