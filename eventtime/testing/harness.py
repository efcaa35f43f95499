"""A pipeline driven by hand in a test: rows, watermarks and the clock move when told to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Self

from eventtime.checks import shown
from eventtime.clock import ManualClock
from eventtime.duration import DurationLike, parse_us
from eventtime.errors import EventTimeError, PlanError, SchemaError
from eventtime.instant import Instant, instant_us
from eventtime.plan import DROP, Windowed, walk
from eventtime.testing.driving import drive
from eventtime.testing.given import check_pipeline, check_streams
from eventtime.testing.lives import Lives
from eventtime.testing.looking import Looking
from eventtime.testing.rows import batch_of, source_of
from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Checkpoint,
    Crash,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Row,
    Step,
    Streams,
    check_step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import pyarrow as pa

    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.window import WindowExplained
    from eventtime.memory import MemoryLike
    from eventtime.stream import Stream

__all__ = ("Harness",)

_LATE: Final = "late"
_QUARANTINE: Final = "quarantine"


class Harness(Looking):
    """A pipeline in a test. Nothing sleeps, nothing is written to disk.

    Driving: `push`, `advance_watermark`, `advance_clock`, `poll_empty`, `add_partition`, `finish`,
    `finish_all`; `do`, `play`. Surviving: `snapshot`, `restore`, `restart`, `checkpoint`, `crash`.
    What came out since it was last asked for: `results`, `side`. All that came out so far:
    `all_results`, `all_of`, `late`, `quarantine`. Looking: `watermark`, `watermark_of`, `held_by`,
    `is_idle`, `ledger`, `timers`, `state`, `is_empty`; `streams`, `timeline`, `explain_row`,
    `explain_window`. Ending: `close`, or `with`.

    Args:
        pipeline: declares what to compute; its sources give the schema only and are not read.
        partitions: names of those known at the start: nothing fires before each was heard (S8).
        start: what the clock shows: ISO 8601 text, a datetime, or microseconds since 1970.
        shards: threads that share the keys.
        memory: how much of the state may be in memory; see `Stream.run`.

    >>> import pyarrow as pa, eventtime as et
    >>> schema = pa.schema({"t": pa.timestamp("s", "UTC"), "x": pa.int64()})
    >>> stream = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    >>> harness = Harness(stream.window(et.tumbling("1m")).aggregate(x=et.sum("x")))
    >>> harness.push("a", [{"t": "1970-01-01T00:00:10Z", "x": 1}])
    >>> harness.advance_watermark("a", "1970-01-01T00:01:00Z")
    >>> harness.results().column("x").to_pylist()
    [1]
    """

    def __init__(
        self,
        pipeline: Stream,
        partitions: Sequence[str] = ("a",),
        *,
        start: Instant = 0,
        shards: int = 1,
        memory: MemoryLike | None = None,
    ) -> None:
        self.clock = ManualClock(instant_us(start, place="Harness(start=…)"))
        self.pipeline = pipeline
        check_pipeline(pipeline, place="Harness(pipeline)")
        # What is no list of names the engine refuses.
        given: Any = partitions
        is_list = isinstance(given, Iterable) and not isinstance(given, str)
        names: Any = tuple(given) if is_list else given
        self._lives = Lives(pipeline, names, self.clock, shards=shards, memory=memory)
        self._steps: list[Step] = []
        self._begun: tuple[tuple[str, ...], int] | None = names, self.clock.now_us()

    @classmethod
    def of(
        cls,
        pipeline: Stream,
        streams: Streams,
        *,
        shards: int = 1,
        memory: MemoryLike | None = None,
    ) -> Self:
        """Make a harness that has the partitions and the clock of `streams`, and `play` them."""
        check_streams(streams, place="Harness.of(…, streams)")
        names, start = streams.partitions, streams.start_us
        harness = cls(pipeline, names, start=start, shards=shards, memory=memory)
        harness.play(streams)
        return harness

    # Driving

    def push(self, partition: str, rows: Sequence[Row] | pa.RecordBatch | pa.Table) -> None:
        """Let rows arrive in a partition, as one batch.

        Args:
            partition: a known name, or that of a broadcast stream.
            rows: values by column, times as ISO 8601 text, datetimes or whole units of the column;
                what a row leaves out is null. Or a batch, or a table.

        Raises:
            PlanError: as `Engine.push`; or a row has a column that there is not.
            SchemaError: a value does not fit its column.
        """
        given: Any = list(rows) if isinstance(rows, list | tuple) else rows
        self.do(Push(partition, given))

    def laid_out(
        self, partition: str, rows: Sequence[Row] | pa.RecordBatch | pa.Table
    ) -> pa.RecordBatch:
        """Return rows as the batch that `push` makes of them."""
        source, place = source_of(self.pipeline, partition), f"push({shown(partition)}, rows)"
        time, unit = source.time, source.time_unit
        return batch_of(rows, source.schema(), time=time, time_unit=unit, place=place)

    def advance_watermark(self, partition: str, time: Instant) -> None:
        """Move a partition's watermark without rows: a heartbeat; see `Engine.advance_to`."""
        self.do(Heartbeat(partition, instant_us(time, place="advance_watermark(…, time)")))

    def advance_clock(self, by: DurationLike) -> None:
        """Let processing time pass, such as '5s'; below zero, the clock is stepped back."""
        self.do(AdvanceClock(parse_us(by, name="by", negative=True)))

    def poll_empty(self, partition: str) -> None:
        """Poll a partition that has nothing: long enough, and it is idle (S6)."""
        self.do(PollEmpty(partition))

    def add_partition(self, name: str, *, historical: bool = False) -> None:
        """Let a partition be found: it starts at the combined watermark, or not at all (S8)."""
        self.do(AddPartition(name, historical))

    def finish(self, partition: str) -> None:
        """Let a partition end; after the last one every window fires (S9)."""
        self.do(Finish(partition))

    def finish_all(self) -> None:
        """Let all partitions end that have not."""
        for known in self.look().partitions:
            if not known.is_finished:
                self.finish(known.name)

    def do(self, step: Step) -> None:
        """Do one step of the kit's alphabet.

        Raises:
            PlanError: it is none.
        """
        check_step(step, place="do(step)")
        self._steps.append(step)
        try:
            self._do(step)
        except (PlanError, SchemaError):
            self._steps.pop()  # refused at the door: it did not happen
            raise

    def _do(self, step: Step) -> None:
        match step:
            case Push(partition, rows):
                self.engine.push(partition, self.laid_out(partition, rows))
            case Restart():
                self._lives.go_on(self.snapshot())
            case Checkpoint():
                self._lives.save(len(self._steps))
            case Crash():
                for lost in self._steps[self._lives.go_back() : -1]:
                    if not isinstance(lost, Crash):
                        self._do(lost)
            case _:
                drive(self.engine, self.clock, step)

    def play(self, streams: Streams | Sequence[Step]) -> None:
        """Do all steps, in their order."""
        given: object = streams
        if not isinstance(given, Streams | Iterable):
            check_streams(given, place="Harness.play(streams)")
        for step in streams.steps if isinstance(streams, Streams) else streams:
            self.do(step)

    # Surviving

    def snapshot(self) -> bytes:
        """Return all state, and what came out and was not taken, as a savepoint's bytes (S27)."""
        return self._lives.snapshot()

    @classmethod
    def restore(
        cls,
        pipeline: Stream,
        snapshot: bytes,
        *,
        start: Instant = 0,
        shards: int = 1,
        memory: MemoryLike | None = None,
    ) -> Self:
        """Make a harness that goes on where another was when its `snapshot` was taken (S28).

        Args:
            pipeline: declares the same (S29).
            snapshot: of the other.
            start: what the clock shows now; what passed meanwhile is no silence (S6).
            shards, memory: as for a new one; they may be others than before.

        Raises:
            CheckpointError: it is no whole snapshot, or one of another pipeline.
            PlanError: it is not even bytes.
        """
        given: object = snapshot
        if not isinstance(given, bytes):
            msg = f"{shown(given)} is no snapshot"
            remedy = "give the bytes of harness.snapshot()"
            raise PlanError(msg, place="Harness.restore(snapshot)", remedy=remedy)
        harness = cls(pipeline, (), start=start, shards=shards, memory=memory)
        harness._lives.go_on(snapshot)
        harness._lives.save(0)
        harness._begun = None
        return harness

    def restart(self, *, shards: int | None = None) -> None:
        """Save, destroy and restore: nothing that can be seen from outside may change (S28).

        Args:
            shards: from here on; None: as many as before.
        """
        before = self.shards
        self._lives.shards = before if shards is None else shards
        try:
            self.do(Restart())
        except EventTimeError:
            self._lives.shards = before  # there was none
            raise

    def checkpoint(self) -> None:
        """Save the state: a `crash` goes back to it, and not to the beginning."""
        self.do(Checkpoint())

    def crash(self) -> None:
        """Lose all since the last checkpoint; its input comes again, the clock's readings too.

        What came out since comes out again, the same (S28): `results` and `side` return once more
        what they returned since, while `all_results` and the like have it once.
        """
        self.do(Crash())

    def close(self) -> None:
        """Stop the threads of shards, and remove scratch files; `with` does so too."""
        self.engine.suspend()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Taking

    def results(self) -> pa.Table:
        """Return results since the last call, in the order of S24."""
        return self._lives.new(None)

    def side(self, tag: str) -> pa.Table:
        """Return rows of a side output since the last call."""
        return self._lives.new(tag)

    @property
    def all_results(self) -> pa.Table:
        """All results so far; `results` still returns what is new to it."""
        return self._lives.all(None)

    def all_of(self, tag: str) -> pa.Table:
        """Return all rows of a side output so far; `side` still returns what is new to it."""
        return self._lives.all(tag)

    @property
    def late(self) -> pa.Table:
        """All late rows of the first window so far (S20)."""
        tag = self.late_tag
        if tag is None:
            msg = "no late rows are kept: window(late=et.DROP), or there is no window"
            raise PlanError(msg, place="harness.late", remedy="look at the ledger")
        return self._lives.all(tag)

    @property
    def late_tag(self) -> str | None:
        """Tag of the late rows of the first window; None: it keeps none, or there is no window."""
        windows = [n for n in walk(self.pipeline.node) if isinstance(n, Windowed)]
        if not windows or windows[-1].late == DROP:
            return None
        return windows[-1].late or _LATE

    @property
    def quarantine(self) -> pa.Table:
        """All quarantined rows so far (S12)."""
        return self._lives.all(_QUARANTINE)

    # Looking

    @property
    def streams(self) -> Streams:
        """All that it went through so far, for `timeline`, `oracle` and the checks.

        Raises:
            PlanError: it was restored, and what came before is not known.
        """
        if self._begun is None:
            msg = "what came before the snapshot is not known"
            raise PlanError(msg, place="harness.streams", remedy="ask the harness of before")
        partitions, start_us = self._begun
        return Streams(partitions, tuple(self._steps), start_us)

    def timeline(self, *, width: int = 120, height: int = 80) -> str:
        """Draw what happened so far; see `eventtime.testing.timeline`."""
        from eventtime.testing.timeline import timeline

        return timeline(self.pipeline, self.streams, width=width, height=height)

    def explain_row(
        self,
        partition: str | None = None,
        row: int | None = None,
        *,
        late: int | None = None,
        operator: str | None = None,
    ) -> RowExplained:
        """Say what became of a row and why; see `eventtime.explain_row`.

        What the harness went through is done again, row by row, up to that row.

        Args:
            partition, row: whose, and which of the rows that were pushed there, from 0.
            late: instead, a late row, by its number from 0.
            operator: which operator is asked, such as 'window 2'; None: the first.

        Raises:
            PlanError: there is no such row or operator; or what came before is not known.

        >>> import pyarrow as pa, eventtime as et
        >>> schema = pa.schema({"t": pa.timestamp("s")})
        >>> stream = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
        >>> harness = Harness(stream.window(et.tumbling("1m")).aggregate(n=et.count()))
        >>> harness.push("a", [{"t": 0}, {"t": 70}, {"t": 30}])
        >>> harness.explain_row("a", 2).verdict
        'late'
        """
        from eventtime.testing.explaining import explain_row

        return explain_row(self, partition, row, late, operator)

    def explain_window(
        self, start: Instant, *key: Any, operator: str | None = None
    ) -> WindowExplained:
        """Say what opened, extended, fired and closed a window; see `eventtime.explain_window`.

        Args:
            start: of the window; any for the global one.
            key: values of the key columns, in their order.
            operator: whose window, such as 'window 2'; None: the first operator's.

        Raises:
            PlanError: the operator has no such window, or keys are missing; or what came before is
                not known.
        """
        from eventtime.testing.explaining import explain_window

        return explain_window(self, start, key, operator)
