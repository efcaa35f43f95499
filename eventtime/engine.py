"""The engine driven by hand: push batches, poll, advance the clock, finish or suspend (S5–S9).

The replay loop stands on the same parts; this is the door for tests, for embedding in another
program, and for partitions that come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from eventtime.checkpoints import as_checkpoints
from eventtime.checks import check_flag, check_text, check_whole, is_one_of, shown
from eventtime.clock import Clock, SystemClock
from eventtime.core import Core, compiled
from eventtime.doors import admitted, check_alike
from eventtime.engine_checkpoints import EngineCheckpoints
from eventtime.engine_look import look_at
from eventtime.errors import PlanError
from eventtime.fingerprint import check_fingerprint
from eventtime.instant import as_us
from eventtime.memory import MemoryLike, limit_of
from eventtime.savepoint import check_origin, named, read_savepoint, resumed_from, write_savepoint
from eventtime.soundness import Soundness

if TYPE_CHECKING:
    import os
    from datetime import datetime

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.checkpoints import Checkpoints
    from eventtime.engine_look import EngineLook
    from eventtime.ledger import Ledger
    from eventtime.report import Resumed
    from eventtime.savepoint import SavepointPlace
    from eventtime.state.parts import Saved
    from eventtime.stream import Stream

__all__ = ("Engine",)


class Engine:
    """A pipeline that is fed by its caller, one partition's rows at a time.

    Feeding: `push`, `advance_to`, `poll_empty`. Partitions: `add_partition`, `finish`. Stopping:
    `finish_all`, `suspend`. Taking: `results`, `side`. Looking: `watermark_us`, `ledger`, `look`,
    `is_empty`. Surviving: `checkpoint`, `checkpoint_if_due`, `resumed`, `notes`; `savepoint`,
    `restore`. Not for several threads at once.

    Args:
        stream: declares the pipeline; its sources give the schema only and are not read.
        partitions: names of those known at the start: nothing fires before each was heard (S8).
        clock: of processing time: idleness (S6) and the future guard (S11) go by it.
        shards: threads that share the keys.
        memory: how much of the state may be in memory; see `Stream.run`.

    >>> import pyarrow as pa, eventtime as et
    >>> rows = pa.record_batch({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
    >>> stream = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> engine = Engine(stream.window(et.tumbling("1m")).aggregate(x=et.sum("x")), ["a"])
    >>> engine.push("a", rows)
    >>> engine.results().column("x").to_pylist()
    [1]
    """

    _drives: ClassVar[type[Core]] = Core

    def __init__(
        self,
        stream: Stream,
        partitions: list[str] | tuple[str, ...],
        *,
        clock: Clock | None = None,
        shards: int = 1,
        memory: MemoryLike | None = None,
        checkpoint: str | os.PathLike[str] | Checkpoints | None = None,
    ) -> None:
        _check_arguments(stream, partitions, clock, shards)
        wanted = as_checkpoints(checkpoint, place="Engine(checkpoint=…)")
        limit = limit_of(memory, place="Engine(memory=…)")
        self._clock = clock if clock is not None else SystemClock()
        check_alike(plan := compiled(stream.node))
        self._core = self._drives(plan, self._clock, shards, limit)
        self._soundness = Soundness()
        self.resumed: Resumed | None = None
        self.notes: Any = None
        self._checkpoints: EngineCheckpoints | None = None
        if wanted is not None:
            self._checkpoints = EngineCheckpoints(wanted, self._core.plan, self._clock)
            if self._checkpoints.saved is not None:
                self._go_on(self._checkpoints.saved)
        is_begun = self.resumed is not None
        for name in sorted(set(partitions) - set(self._core.names) if is_begun else partitions):
            self._add(name, known_at_start=not is_begun, historical=False)

    def add_partition(self, name: str, *, historical: bool = False) -> None:
        """Take in a partition found while running: it starts at the combined watermark (S8).

        Args:
            name: new and unique.
            historical: it holds old rows: it starts at minus infinity and holds the others back.
        """
        self._add(name, known_at_start=False, historical=historical)

    def push(self, partition: str, batch: pa.RecordBatch) -> None:
        """Process rows of a partition, each judged against the watermark before it (S4).

        Args:
            partition: a known name, or that of a broadcast stream.
            batch: rows with at least the columns the pipeline reads.

        Raises:
            PlanError: unknown or finished partition, missing columns, or the engine was suspended,
                or broken off by an earlier error.
            SchemaError: a column of another type.
        """
        if (schema := self._core.stages.told(partition)) is not None:
            with self._soundness:
                self._core.stages.broadcast(partition, admitted(batch, schema, partition))
            return
        p = self._index(partition)
        batch = admitted(batch, self._core.plan.branches[0].schema, f"partition {partition!r}")
        if batch.num_rows == 0:
            return
        with self._soundness:
            self._core.take(p, batch)
        if self._checkpoints is not None:
            self._checkpoints.note(batch.num_rows)

    def poll_empty(self, partition: str) -> None:
        """Note that a partition was polled and had nothing; long enough, and it is idle (S6)."""
        p = self._index(partition)
        with self._soundness:
            self._core.poll_empty(p)

    def advance_to(self, partition: str, time: datetime | int) -> None:
        """Move a partition's watermark without rows: a heartbeat, by whoever knows more (S2, S5).

        It never goes back; an earlier time changes nothing. The partition counts as heard (S6).

        Args:
            partition: a known name.
            time: that all rows before have been seen: a datetime with a zone, or int64
                microseconds UTC.

        Raises:
            PlanError: as for `push`; or it is no time, or one without a zone.

        >>> import pyarrow as pa, eventtime as et
        >>> rows = pa.record_batch({"t": pa.array([0], pa.timestamp("s", "UTC")), "x": [1]})
        >>> stream = et.from_arrow(rows, time="t").watermark(et.ascending())
        >>> engine = Engine(stream.window(et.tumbling("1m")).aggregate(x=et.sum("x")), ["a"])
        >>> engine.push("a", rows)
        >>> engine.advance_to("a", 60_000_000)
        >>> engine.results().column("x").to_pylist()
        [1]
        """
        p, time_us = self._index(partition), as_us(time, place="advance_to(time)")
        with self._soundness:
            self._core.advance_to(p, time_us)

    def finish(self, partition: str) -> None:
        """Note the end of a partition; after that of the last one every window fires (S9).

        The watermark is then plus infinity.
        """
        p = self._index(partition)
        with self._soundness:
            self._core.finish(p)

    def finish_all(self) -> None:
        """Note the end of all partitions that are left."""
        for name, state in zip(self._core.names, self._core.progress.partitions, strict=True):
            if not state.finished:
                self.finish(name)

    def suspend(self) -> None:
        """Stop without an end of input: nothing fires and nothing more is taken (S9).

        Open windows stay open. With checkpoints, call `checkpoint` before it.

        Raises:
            CheckpointError: the checkpoint under way could not be written.
        """
        self._soundness.suspend()
        self._core.stages.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def checkpoint(self, notes: object = None) -> int:
        """Write a checkpoint now: what changed since the last one (S27).

        What was not yet taken of results and side outputs is in it; what was taken behind it comes
        once more after a restart (at least once).

        Args:
            notes: what you must know to go on, such as how far your own input was pushed; anything
                JSON holds. The engine that goes on has it in `notes`.

        Returns:
            Its number; it is durable.

        Raises:
            PlanError: the engine has no folder of checkpoints, was suspended, or broken off by an
                earlier error; or JSON cannot hold the notes.
            FencedError: a newer process has taken the folder over.
            CheckpointError: it could not be written.

        >>> import tempfile, pyarrow as pa, eventtime as et
        >>> rows = pa.record_batch({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
        >>> marked = et.from_arrow(rows, time="t").watermark(et.ascending())
        >>> stream = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     engine = Engine(stream, ["a"], checkpoint=folder)
        ...     engine.push("a", rows[:1])
        ...     number = engine.checkpoint({"next row": 1})
        ...     engine = Engine(stream, ["a"], checkpoint=folder)  # as after a restart
        >>> engine.push("a", rows[engine.notes["next row"] :])
        >>> engine.results().column("x").to_pylist()
        [1]
        """
        found = self._checkpointing("checkpoint(...)")
        found.cut(self._core, notes)
        return found.settle()

    def checkpoint_if_due(self, notes: object = None) -> bool:
        """Begin a checkpoint if one is due by time, rows or demand; it is written in a thread.

        Call it between pushes. The work waits for a copy of what changed, no more.

        Args:
            notes: as for `checkpoint`.

        Returns:
            Whether one was begun; the next call, or `suspend`, raises if it cannot be written.

        Raises:
            PlanError, FencedError, CheckpointError: as for `checkpoint`; also of the one before.
        """
        found = self._checkpointing("checkpoint_if_due(...)")
        if not found.is_due():
            return False
        found.cut(self._core, notes)
        return True

    def savepoint(
        self,
        path: SavepointPlace,
        *,
        overwrite: bool = False,
        filesystem: FileSystem | None = None,
    ) -> None:
        """Write all state to one file, from which `restore` goes on as if nothing had been (S27).

        The engine goes on too; before an end for good, `suspend` first. What was not yet taken of
        results and side outputs is in it, too.

        Args:
            path: of the file, a URI that pyarrow.fs opens, or a binary stream to write to.
            overwrite: replace a file that is there; it stays whole until the new one is.
            filesystem: of pyarrow or fsspec, for what a URI cannot say.

        Raises:
            OutputExistsError: the file is there.
            SinkError: the place cannot be written.
            UserCodeError: a watermark generator of your own does not say what it remembers.
        """
        check_flag(overwrite, place="overwrite=…")
        self._soundness.check_whole("savepoint(...)")
        write_savepoint(path, filesystem, self._core.save, overwrite=overwrite)

    @classmethod
    def restore(
        cls,
        stream: Stream,
        path: SavepointPlace,
        *,
        clock: Clock | None = None,
        shards: int = 1,
        filesystem: FileSystem | None = None,
        memory: MemoryLike | None = None,
    ) -> Engine:
        """Make an engine that goes on where another was when it wrote a savepoint (S28).

        Args:
            stream: declares the same pipeline (S29).
            path: of the savepoint, a URI, or a binary stream to read.
            clock: of processing time; what passed meanwhile is no silence of partitions (S6).
            shards: threads that share the keys; any number.
            filesystem: of pyarrow or fsspec.
            memory: how much of the state may be in memory; any amount.

        Raises:
            CheckpointError: it is no whole savepoint, or one of another pipeline.

        >>> import tempfile, pyarrow as pa, eventtime as et
        >>> rows = pa.record_batch({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
        >>> marked = et.from_arrow(rows, time="t").watermark(et.ascending())
        >>> stream = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
        >>> engine = Engine(stream, ["a"])
        >>> engine.push("a", rows[:1])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     engine.savepoint(f"{folder}/now")
        ...     engine = Engine.restore(stream, f"{folder}/now")
        >>> engine.push("a", rows[1:])
        >>> engine.results().column("x").to_pylist()
        [1]
        """
        engine = cls(stream, [], clock=clock, shards=shards, memory=memory)
        pack = read_savepoint(path, filesystem)
        what, place = f"the savepoint {named(path)!r}", "Engine.restore(stream, path)"
        check_origin(pack, "engine", what, place)
        check_fingerprint(pack.head["pipeline"], engine._core.plan, what, place)
        engine._go_on(pack)
        return engine

    def results(self, *, keep: bool = False) -> pa.Table:
        """Return results since the last call, in the order of S24; `keep` leaves them there."""
        return self._core.kept.take_results(self._core.plan.schema, keep=keep)

    def side(self, tag: str, *, keep: bool = False) -> pa.Table:
        """Return rows of a side output since the last call; `keep` leaves them there."""
        schemas = self._core.side_schemas
        if not is_one_of(tag, list(schemas)):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(msg, place="side(...)", remedy=f"tags are {', '.join(schemas)}")
        self._core.stages.flush()
        return self._core.kept.take_side(tag, schemas[tag], keep=keep)

    def look(self) -> EngineLook:
        """Look at partitions, timers and what is held. Cost: O(keys held) and O(timers)."""
        return look_at(self._core)

    @property
    def watermark_us(self) -> int:
        """The combined watermark, int64 microseconds UTC."""
        return self._core.progress.combined_us

    @property
    def ledger(self) -> Ledger:
        """The balance as of now."""
        return self._core.ledger()

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self._core.stages.is_empty

    def _add(self, name: str, *, known_at_start: bool, historical: bool) -> None:
        remedy = "name the partition, such as 'a'"
        check_text(name, what="name", place="add_partition(name)", remedy=remedy)
        if name in self._core.names:
            msg = f"partition {name!r} is known already"
            remedy = "give each partition its own name"
            raise PlanError(msg, place="add_partition(...)", remedy=remedy)
        self._core.add(name, known_at_start=known_at_start, historical=historical)

    def _go_on(self, saved: Saved) -> None:
        self._core.restore(saved)
        self.resumed, self.notes = resumed_from(saved), saved.head.get("notes")

    def _checkpointing(self, place: str) -> EngineCheckpoints:
        if self._checkpoints is None:
            msg = "the engine has no folder for checkpoints"
            raise PlanError(msg, place=place, remedy="make it with checkpoint='…'")
        self._soundness.check_going_on(place)
        return self._checkpoints

    def _index(self, partition: str) -> int:
        self._soundness.check_going_on(f"partition {shown(partition)}")
        if not is_one_of(partition, self._core.names):
            msg = f"there is no partition {shown(partition)}"
            remedy = f"partitions are {', '.join(self._core.names)}; see add_partition"
            raise PlanError(msg, place="engine", remedy=remedy)
        p = self._core.names.index(partition)
        if self._core.progress.partitions[p].finished:
            msg = f"partition {partition!r} has finished"
            raise PlanError(msg, place="engine", remedy="add_partition(...) under a new name")
        return p


def _check_arguments(stream: object, partitions: object, clock: object, shards: object) -> None:
    if not hasattr(stream, "node"):
        msg = f"{shown(stream)} is no stream"
        remedy = "give what .window(...).aggregate(...) returns"
        raise PlanError(msg, place="Engine(stream)", remedy=remedy)
    if not isinstance(partitions, list | tuple):
        msg = f"{shown(partitions)} is no list of names"
        remedy = "name the partitions, such as ['a', 'b']; [] if all are found later"
        raise PlanError(msg, place="Engine(partitions)", remedy=remedy)
    for name in partitions:
        remedy = "name each partition, such as 'a'"
        check_text(name, what="name", place="Engine(partitions)", remedy=remedy)
    if clock is not None and not callable(getattr(clock, "now_us", None)):
        msg = f"{shown(clock)} is no clock"
        remedy = "an object with now_us(), such as et.ManualClock()"
        raise PlanError(msg, place="Engine(clock=…)", remedy=remedy)
    what, remedy = "a number above zero", "1, or the number of processor cores"
    check_whole(shards, least=1, what=what, place="Engine(shards=…)", remedy=remedy)
