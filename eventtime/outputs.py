"""Where the results and side outputs of one run go: sinks, epochs, or memory."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final

from eventtime.clock import Interval
from eventtime.errors import CheckpointError, OutputExistsError
from eventtime.held import OUTPUT, HeldRows, held_rows
from eventtime.interrupts import interrupts_wait
from eventtime.sinks.base import commit_all, opens
from eventtime.sinks.epochs import EpochSink, EpochWriter, takes_epochs
from eventtime.sinks.files import FileSink
from eventtime.sinks.one_epoch import OneEpoch
from eventtime.state.saved import Checkpoint
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.sinks.base import AnySink, SinkWriter
    from eventtime.sinks.epochs import Delivery
    from eventtime.state.parts import PartWriter, Saved

__all__ = ("RESULTS", "Epoch", "Outputs", "StagedOutputs")

RESULTS: Final = ""
_LET_GO: Final = "let_go"


@dataclass
class Outputs:
    """Outputs of a run without checkpoints: each row goes where it belongs at once.

    Beginning: `open`. Rows: `take`, `turn`. End: `publish`, or `abort`. `holds_transactions` says
    whether a table's lasts all the run long.
    """

    writers: dict[str, SinkWriter] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)

    holds_transactions: ClassVar[bool] = True

    def open(self, tag: str, sink: AnySink, schema: pa.Schema) -> None:
        """Start an output."""
        if opens(sink):
            # A file that is begun is to be known; for a database, which may hang, nothing waits.
            is_file = isinstance(sink, FileSink)
            with interrupts_wait() if is_file else contextlib.nullcontext():
                self.writers[tag] = sink.open(schema)
        elif takes_epochs(sink):
            self.writers[tag] = OneEpoch(sink, schema)
        self._describe(tag, sink)

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        """Take rows."""
        writer = self.writers.get(tag)
        if writer is not None:
            writer.write(batch)
        else:
            self.kept.setdefault(tag, []).append(batch)

    def turn(self) -> bool:
        """Note the end of a turn of a live run: what may be seen at once is to be.

        Returns:
            Whether all results so far are where they can be seen.
        """
        return True

    def take_from(self, saved: Saved) -> None:
        """Take the rows that a savepoint holds for the end.

        Raises:
            CheckpointError: an output took its rows epoch by epoch, or let go of them: the earlier
                ones are not here.
        """
        for tag, known in saved.head["outputs"].items():
            if _LET_GO in known:
                self._check_whole(tag, known)
            elif not known["held"]:
                msg = f"{tag or 'results'!r} went to {known['sink']} as the checkpoints were made"
                remedy = "give checkpoint= (--checkpoint) too, and that output again"
                raise CheckpointError(msg, place="run(start_from=…)", remedy=remedy)
        for block in saved.about(kind=OUTPUT):
            self.take(str(block.about["tag"]), block.batch())

    def publish(self, check: Callable[[], None] | None = None) -> None:
        """Give all outputs their final names; `check` is asked last, and may raise."""
        commit_all(list(self.writers.values()), check=check)

    def abort(self) -> None:
        """Leave nothing behind."""
        for writer in self.writers.values():
            # One that raises, against its contract, keeps no other from being aborted.
            with contextlib.suppress(Exception):
                writer.abort()

    def _describe(self, tag: str, sink: AnySink) -> None:
        self.taken[tag] = sink.describe()
        if not getattr(sink, "keeps_rows", True):
            self.passing.add(tag)

    def _check_whole(self, tag: str, known: Mapping[str, Any]) -> None:
        """Refuse an output that would have only the rows from now on."""
        if known[_LET_GO] and tag not in self.passing:
            rows, name = counted(known[_LET_GO], "row"), tag or "results"
            msg = f"no output kept the {rows} of {name!r} that came before the checkpoint"
            remedy = "leave that output out, or start over without the checkpoint to have them all"
            raise CheckpointError(msg, place=_argument(tag), remedy=remedy)


@dataclass
class Epoch:
    """The rows between two checkpoints.

    Args:
        number: from 1 on.
        rows: by tag, in order.
    """

    number: int
    rows: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)


class StagedOutputs(Outputs):
    """Outputs of a run with checkpoints: rows wait in them until they may be seen (S27, S28).

    Sinks that take epochs commit each as soon as its checkpoint is durable. Rows for memory, and
    for sinks that are published as a whole, stay in the checkpoints until the end.

    Beginning: `open`, `recover`. Rows: `take`, `turn`. A cut: `end_epoch`, `save`; then, in the
    thread that writes it, `commit_early`, `commit`. End: `publish_from`, `close`.

    Args:
        job: names the outputs for good.
        epoch: number of the last one that ended.
        clock: of the machine's time.
        every_us: how often what is to arrive at least once is committed; None: after each turn.
        is_published: whether an earlier process did that: what has its final name is left alone.
    """

    holds_transactions: ClassVar[bool] = False

    def __init__(
        self,
        job: str,
        epoch: int,
        clock: Clock,
        every_us: int | None = None,
        *,
        is_published: bool = False,
    ) -> None:
        super().__init__()
        self._clock, self._interval = clock, Interval(every_us or 0, clock.now_us())
        self._may_wait = every_us is not None
        self._is_published = is_published
        self.job, self.epoch = job, Epoch(epoch + 1)
        self.bytes_staged = self._token = 0
        self._sinks: dict[str, EpochSink] = {}
        self._epochs: dict[str, EpochWriter] = {}
        # What arrives at least once is committed by the loop and by the thread of checkpoints.
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)
        self._held = HeldRows()
        self._let_go: dict[str, int] = {}

    def open(self, tag: str, sink: AnySink, schema: pa.Schema) -> None:
        self._describe(tag, sink)
        if not takes_epochs(sink):
            with contextlib.suppress(*([OutputExistsError] if self._is_published else [])):
                super().open(tag, sink, schema)
            return
        self._sinks[tag] = sink
        self._epochs[tag] = sink.open_epochs(schema, f"{self.job}/{tag or 'results'}")

    def recover(self, saved: Saved | None, token: int) -> None:
        """Complete what the checkpoint promised, and fence off older processes.

        Args:
            saved: to go on from; None: from the beginning.
            token: of this process.

        Raises:
            CheckpointError: an output is not as the checkpoint left it.
            FencedError: a newer process has claimed an output.
        """
        self._token = token
        before = {} if saved is None else saved.head["outputs"]
        for tag, known in before.items():
            if _LET_GO in known:
                self._check_whole(tag, known)
            elif self._is_lost(tag, known, saved):
                msg = f"{tag or 'results'!r} went to {known['sink']} until the checkpoint was made"
                remedy = "name that output again, or start over without the checkpoint"
                raise CheckpointError(msg, place=_argument(tag), remedy=remedy)
        for tag, writer in self._epochs.items():
            last = writer.recover(token)
            exact = self._sinks[tag].delivery == "exactly_once"
            if saved is not None and tag in before and _LET_GO not in before[tag] and exact:
                self._complete(tag, last, before[tag], saved, token)
        self._held = HeldRows(saved, but=self._epochs)
        self._let_go = {tag: before.get(tag, {}).get(_LET_GO, 0) for tag in self.passing}

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        self.epoch.rows.setdefault(tag, []).append(batch)
        self.bytes_staged += batch.nbytes

    def turn(self) -> bool:
        """Commit what is to arrive at least once: it need not wait for a checkpoint."""
        if self._interval.has_passed(self._clock.now_us()):
            self._commit_waiting()
        return RESULTS not in self.epoch.rows

    def end_epoch(self) -> Epoch:
        """Begin the next one; returns that which ended.

        What waits for its interval is committed first: the thread of checkpoints might come to it
        after rows of the next epoch, and newer versions of a result would be overwritten.
        """
        if self._may_wait:
            self._commit_waiting()
        ended, self.epoch, self.bytes_staged = self.epoch, Epoch(self.epoch.number + 1), 0
        return ended

    def save(
        self, ended: Epoch, writer: PartWriter, last: Saved | None
    ) -> dict[str, dict[str, str | bool | int]]:
        """Make the rows of an epoch, and those held since earlier, parts of its checkpoint.

        Args:
            ended: the epoch.
            writer: of the checkpoint.
            last: the checkpoint before, which holds those of earlier epochs.

        Returns:
            What the outputs are, for JSON.
        """
        held = {tag: rows for tag, rows in ended.rows.items() if tag not in self._epochs}
        self._held.save(held, ended.number, writer, last)
        exact = [tag for tag in self._epochs if self._sinks[tag].delivery == "exactly_once"]
        until_committed = {tag: ended.rows[tag] for tag in exact if tag in ended.rows}
        HeldRows().save(until_committed, ended.number, writer, None)
        about: dict[str, dict[str, str | bool | int]] = {
            tag: {"held": tag not in self._epochs, "sink": self.taken.get(tag, "memory")}
            for tag in sorted({*self.taken, *self._held.tags})
        }
        for tag in self.passing:
            self._let_go[tag] += sum(batch.num_rows for batch in ended.rows.get(tag, []))
            about[tag][_LET_GO] = self._let_go[tag]
        return about

    def commit_early(self, ended: Epoch, token: int) -> None:
        """Commit before the checkpoint, where rows are to arrive at least once."""
        self._commit(ended, token, ("at_least_once",))

    def commit(self, ended: Epoch, token: int) -> None:
        """Commit behind the checkpoint, which is durable."""
        self._commit(ended, token, ("exactly_once", "at_most_once"))

    def publish_from(self, saved: Saved, check: Callable[[], None]) -> None:
        """Publish what was held for the end, and give memory its rows.

        Args:
            saved: holds them.
            check: raises if a newer process has taken over: it publishes then, not this one.
        """
        for tag, writer in self.writers.items():
            for batch in held_rows(saved, tag):
                writer.write(batch)
        self.keep_from(saved)
        self.publish(check)

    def keep_from(self, saved: Saved) -> None:
        """Give memory the rows that were held for it."""
        for tag in self._held.tags:
            if tag not in self.taken:
                self.kept[tag] = list(held_rows(saved, tag))

    def close(self) -> None:
        """Let go of all sinks; what was not published is given up."""
        for writer in self._epochs.values():
            with contextlib.suppress(Exception):
                writer.close()
        self.abort()

    def _commit_waiting(self) -> None:
        for tag in [tag for tag in self.epoch.rows if tag in self._epochs]:
            if self._sinks[tag].delivery == "at_least_once":
                rows = self.epoch.rows.pop(tag)
                with self._locks[tag]:
                    self._epochs[tag].commit(self.epoch.number, rows, self._token)

    def _is_lost(self, tag: str, known: Mapping[str, Any], saved: Saved | None) -> bool:
        """Whether rows that an output took, or was to take, would be missed in silence."""
        if not known["held"]:
            return tag not in self._epochs
        is_left = tag in self.passing and not self._is_published
        return is_left and saved is not None and bool(saved.about(kind=OUTPUT, tag=tag))

    def _commit(self, ended: Epoch, token: int, deliveries: Sequence[Delivery]) -> None:
        for tag, writer in self._epochs.items():
            if self._sinks[tag].delivery in deliveries:
                with self._locks[tag]:
                    writer.commit(ended.number, ended.rows.get(tag, []), token)

    def _complete(
        self, tag: str, last: int, known: Mapping[str, Any], saved: Saved, token: int
    ) -> None:
        """Commit the epoch of the checkpoint if its process did not come so far.

        An output other than that which a savepoint knows has what comes from there on.
        """
        epoch, sink = int(saved.head["epoch"]), self.taken[tag]
        is_savepoint = not isinstance(saved, Checkpoint)
        if last > epoch:
            msg = f"{sink} has taken epoch {last}, and the checkpoint holds the older epoch {epoch}"
            remedy = "go on from the newest checkpoint, or write to another output"
            raise CheckpointError(msg, place=sink, remedy=remedy)
        if known["held"]:
            self._epochs[tag].commit(epoch, held_rows(saved, tag), token)
        elif is_savepoint and not last and sink != known["sink"]:
            self._epochs[tag].commit(epoch, [], token)
        elif last < epoch - 1:
            msg = f"{sink} has taken epoch {last} last, but the checkpoint holds epoch {epoch} only"
            remedy = "put the output back as it was, or " + (
                "name another output, for what comes from there on"
                if is_savepoint
                else "start over without the checkpoint"
            )
            raise CheckpointError(msg, place=sink, remedy=remedy)
        elif last < epoch:
            self._epochs[tag].commit(epoch, held_rows(saved, tag, epoch), token)


def _argument(tag: str) -> str:
    return "run(sides=…)" if tag else "run(sink=…)"
