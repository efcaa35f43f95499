"""The engine driven by hand: push batches, poll, advance the clock, finish or suspend (S5–S9).

The replay loop stands on the same parts; this is the door for tests, for embedding in another
program, and for partitions that come and go.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from eventtime.checks import check_flag, check_text, check_whole, is_one_of, shown
from eventtime.clock import Clock, SystemClock
from eventtime.compiled import CompiledPlan, compile_plan
from eventtime.doors import admitted, door
from eventtime.errors import PlanError
from eventtime.execution import QUARANTINE, naming_partitions
from eventtime.fingerprint import check_fingerprint, fingerprint
from eventtime.kept import Kept
from eventtime.ledger import Ledger
from eventtime.memory import MemoryLike, limit_of
from eventtime.progress import Progress
from eventtime.quarantine import Aside, quarantine_batch, quarantine_schema
from eventtime.savepoint import check_origin, read_savepoint, write_savepoint
from eventtime.stages import Stages
from eventtime.transform import Transform
from eventtime.windows.chunk import Chunk
from eventtime.windows.rises import raised

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.partition import PartitionIntake, Ready
    from eventtime.state.pack import Pack, PackWriter
    from eventtime.stream import Stream

__all__ = ("Engine",)


class Engine:
    """A pipeline that is fed by its caller, one partition's rows at a time.

    Feeding: `push`, `poll_empty`. Partitions: `add_partition`, `finish`. Stopping: `finish_all`,
    `suspend`. Taking: `results`, `side`. Looking: `watermark_us`, `ledger`, `is_empty`. Surviving:
    `savepoint`, `restore`. Not for several threads at once.

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

    def __init__(
        self,
        stream: Stream,
        partitions: list[str] | tuple[str, ...],
        *,
        clock: Clock | None = None,
        shards: int = 1,
        memory: MemoryLike | None = None,
    ) -> None:
        _check_arguments(stream, partitions, clock, shards)
        self._plan: CompiledPlan = compile_plan(stream.node)
        self._clock = clock if clock is not None else SystemClock()
        watermark = self._plan.watermark
        self._progress = Progress(watermark.idle_after_us, watermark.all_idle)
        self._kept = Kept()
        self._names: list[str] = []
        self._intakes: list[PartitionIntake] = []
        side, limit = self._kept.add_side, limit_of(memory, place="Engine(memory=…)")
        self._stages = Stages(self._plan.stages, self._names, side, shards, self._clock, limit)
        self._final = Transform(self._plan.final_steps, self._plan.stages[-1].schema)
        self._quarantine = quarantine_schema(self._plan.aside_schema, text=False)
        self._suspended = False
        self._broken: BaseException | None = None
        for name in sorted(partitions):
            self._add(name, known_at_start=True, historical=False)

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
        if (schema := self._stages.told(partition)) is not None:
            with self._unbroken():
                self._stages.broadcast(partition, admitted(batch, schema, partition))
            return
        p = self._index(partition)
        batch = admitted(batch, self._plan.branches[0].schema, f"partition {partition!r}")
        if batch.num_rows == 0:
            return
        with self._unbroken():
            self._progress.heard(p)
            ready = self._intakes[p].take(batch)
            self._set_aside(p)
            if ready is not None:
                self._process(p, ready)
            else:
                self._advance(self._progress.combine())

    def poll_empty(self, partition: str) -> None:
        """Note that a partition was polled and had nothing; long enough, and it is idle (S6)."""
        p = self._index(partition)
        with self._unbroken():
            self._progress.polled_empty(p, self._clock.now_us())
            self._advance(self._progress.combined_us)

    def finish(self, partition: str) -> None:
        """Note the end of a partition; after that of the last one every window fires (S9).

        The watermark is then plus infinity.
        """
        p = self._index(partition)
        with self._unbroken():
            ready = self._intakes[p].drain()
            self._set_aside(p)
            if ready is not None:
                self._process(p, ready)
            self._progress.finish(p)
            self._advance(self._progress.combined_us)

    def finish_all(self) -> None:
        """Note the end of all partitions that are left."""
        for i, state in enumerate(self._progress.partitions):
            if not state.finished:
                self.finish(self._names[i])

    def suspend(self) -> None:
        """Stop without an end of input: nothing fires and nothing more is taken (S9).

        Open windows stay open.
        """
        self._suspended = True
        self._stages.close()

    def savepoint(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        filesystem: FileSystem | None = None,
    ) -> None:
        """Write all state to one file, from which `restore` goes on as if nothing had been (S27).

        The engine goes on too; before an end for good, `suspend` first. What was not yet taken of
        results and side outputs is in it, too.

        Args:
            path: of the file, or a URI that pyarrow.fs opens.
            overwrite: replace a file that is there; it stays whole until the new one is.
            filesystem: of pyarrow or fsspec, for what a URI cannot say.

        Raises:
            OutputExistsError: the file is there.
            SinkError: the place cannot be written.
            UserCodeError: a watermark generator of your own does not say what it remembers.
        """
        check_flag(overwrite, place="overwrite=…")
        self._check_whole("savepoint(...)")
        self._stages.flush()
        write_savepoint(path, filesystem, self._saved, overwrite=overwrite)

    @classmethod
    def restore(
        cls,
        stream: Stream,
        path: str | os.PathLike[str],
        *,
        clock: Clock | None = None,
        shards: int = 1,
        filesystem: FileSystem | None = None,
        memory: MemoryLike | None = None,
    ) -> Engine:
        """Make an engine that goes on where another was when it wrote a savepoint (S28).

        Args:
            stream: declares the same pipeline (S29).
            path: of the savepoint, or a URI.
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
        check_origin(pack, "engine", str(path))
        what, place = f"the savepoint {str(path)!r}", "Engine.restore(stream, path)"
        check_fingerprint(pack.head["pipeline"], engine._plan, what, place)
        engine._restore(pack)
        return engine

    def results(self) -> pa.Table:
        """Return results since the last call, in the order of S24."""
        return self._kept.take_results(self._plan.schema)

    def side(self, tag: str) -> pa.Table:
        """Return rows of a side output since the last call."""
        schemas = {**self._plan.side_schemas, QUARANTINE: self._quarantine}
        if not is_one_of(tag, list(schemas)):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(msg, place="side(...)", remedy=f"tags are {', '.join(schemas)}")
        self._stages.flush()
        return self._kept.take_side(tag, schemas[tag])

    @property
    def watermark_us(self) -> int:
        """The combined watermark, int64 microseconds UTC."""
        return self._progress.combined_us

    @property
    def ledger(self) -> Ledger:
        """The balance as of now."""
        partitions = {
            name: intake.balance for name, intake in zip(self._names, self._intakes, strict=True)
        }
        return Ledger(partitions, self._stages.ledgers())

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self._stages.is_empty

    def _add(self, name: str, *, known_at_start: bool, historical: bool) -> None:
        check_text(
            name, what="name", place="add_partition(name)", remedy="name the partition, such as 'a'"
        )
        if name in self._names:
            msg = f"partition {name!r} is known already"
            raise PlanError(
                msg, place="add_partition(...)", remedy="give each partition its own name"
            )
        p = self._progress.add(name, known_at_start=known_at_start, historical=historical)
        branch, start_us = self._plan.branches[0], self._progress.partitions[p].watermark_us
        codec, clock = self._stages.codec, self._clock
        self._names.append(name)
        self._intakes.append(
            door(self._plan, branch, name, p, codec, clock=clock, watermark_us=start_us)
        )

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Remember what went wrong half-way: part of the rows is inside then, part is not."""
        try:
            yield
        except BaseException as error:
            self._broken = error
            raise

    def _check_whole(self, place: str) -> None:
        if self._broken is not None:
            first = str(self._broken).partition("\n")[0]
            msg = f"an earlier call failed half-way: {type(self._broken).__name__}: {first}"
            remedy = "restore the last savepoint, and push again what came after it"
            raise PlanError(msg, place=place, remedy=remedy)

    def _saved(self, pack: PackWriter) -> dict[str, Any]:
        """Write the blocks; returns the rest."""
        progress = self._progress.save(self._clock.now_us())
        head = {
            "pipeline": fingerprint(self._plan),
            "combined_us": self._progress.combined_us,
            "partitions": [
                {**known, "intake": intake.save()}
                for known, intake in zip(progress, self._intakes, strict=True)
            ],
            "operators": self._stages.save(pack),
            "rows_before_final_steps": self._final.rows,
        }
        self._kept.save(pack)
        return head

    def _restore(self, pack: Pack) -> None:
        head = pack.head
        for saved in head["partitions"]:
            self._add(saved["name"], known_at_start=True, historical=False)
        self._progress.restore(head["combined_us"], head["partitions"], self._clock.now_us())
        for intake, saved in zip(self._intakes, head["partitions"], strict=True):
            intake.restore(saved["intake"])
        self._stages.restore(pack)
        self._final.rows = head["rows_before_final_steps"]
        self._kept.restore(pack)

    def _process(self, p: int, ready: Ready) -> None:
        own = ready.block.rises
        judged = raised(own, self._progress.combined_us, self._progress.others_us(p))
        self._progress.moved(p, ready.after_us)
        assert ready.block.source is not None
        source = replace(ready.block.source, own_rises=own)
        block = replace(ready.block, rises=judged, source=source)
        chunk = Chunk.of_block(block, self._progress.combined_us)
        with naming_partitions([self._names[p]]):
            results, late = self._stages.submit(chunk)()
        ledger = self._intakes[p].ledger
        ledger.waiting -= len(ready)
        ledger.windowed += len(ready) - len(late)
        ledger.late += len(late)
        self._keep(results)
        self._stages.forget_keys([])

    def _advance(self, watermark_us: int) -> None:
        self._keep(self._stages.advance(watermark_us))

    def _keep(self, results: Iterable[pa.RecordBatch]) -> None:
        for batch in results:
            out, _ = self._final.apply(batch)
            if out.num_rows:
                self._kept.results.append(out)

    def _set_aside(self, p: int) -> None:
        rows, self._intakes[p].quarantined = self._intakes[p].quarantined, []
        if rows:
            asides = [Aside(p, r, np.zeros(len(r.numbers), np.int64)) for r in rows]
            self._kept.add_side(QUARANTINE, quarantine_batch(self._quarantine, asides, self._names))

    def _index(self, partition: str) -> int:
        if self._suspended:
            msg = "the engine was suspended and takes nothing more"
            raise PlanError(msg, place=f"partition {partition!r}", remedy="make a new engine")
        self._check_whole(f"partition {shown(partition)}")
        if not is_one_of(partition, self._names):
            msg = f"there is no partition {shown(partition)}"
            raise PlanError(
                msg,
                place="engine",
                remedy=f"partitions are {', '.join(self._names)}; see add_partition",
            )
        p = self._names.index(partition)
        if self._progress.partitions[p].finished:
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
