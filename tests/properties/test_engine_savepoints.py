"""Saved, destroyed and restored anywhere, a live run is that of one never disturbed (S27, S28)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import drive_engine, ipc_bytes, source_of, stream_of, windowed
from eventtime.engine import Engine
from eventtime.testing.reference import Aggregate, Bounded, Spec
from eventtime.testing.steps import Finish, Push
from strategies import Schedule, partitions_of, schedules, specs
from windowing import SECOND, pipeline
from windowing import rows as rows_at

if TYPE_CHECKING:
    from eventtime.stream import Stream


@dataclass(frozen=True)
class Disturbed:
    """A live run, after which of its steps it is saved, and into how many shards it goes on.

    Args:
        schedule: of the run.
        second: a window over the results of the first; None: there is none.
        shards: at the start, and after each savepoint; None: not saved after this step.
        is_taken: whether outputs are taken after each step, or all at the end.
    """

    schedule: Schedule
    second: Spec | None
    shards: list[int | None]
    is_taken: bool

    def stream(self) -> Stream:
        """The pipeline; made anew each time, as another process would."""
        first = stream_of(source_of({"a": []}), self.schedule.spec)
        return first if self.second is None else windowed(first, self.second)


@st.composite
def pushed(draw: st.DrawFn) -> Schedule:
    """Many rows of few keys in windows that overlap and stay for corrections, a few at a time."""
    spec = draw(specs(unit=draw(st.sampled_from([1, 1_000_000]))))
    if spec.size is not None:
        slide = max(1, spec.size // draw(st.integers(1, 3)))
        lateness = draw(st.sampled_from([2, 5])) * spec.size
        spec = replace(spec, lateness=lateness, slide=slide, generator=Bounded(spec.size // 3))
    keys = draw(st.sampled_from([("key",), ("b",), ("name",), ("name", "b")]))
    aggregates = (*spec.aggregates[:2], Aggregate("listed", "collect", "x"))
    spec = replace(spec, keys=keys, aggregates=aggregates)
    partitions, pieces = draw(partitions_of(spec, floats="free", max_rows=80)), []
    for name, rows in partitions.items():
        n = draw(st.integers(2, 8))
        pieces += [(i, Push(name, rows[i : i + n])) for i in range(0, len(rows), n)]
    steps = [push for _, push in sorted(pieces, key=lambda piece: piece[0])]
    names = tuple(partitions)
    return Schedule(spec, names, [*steps, *(Finish(name) for name in names)])


@st.composite
def disturbed(draw: st.DrawFn) -> Disturbed:
    """Live runs of one window or two, saved after about every second step."""
    schedule = draw(pushed() | pushed() | schedules(floats="free"))
    spec, second = schedule.spec, None
    if draw(st.sampled_from([False, False, True])) and spec.size is not None:
        # Only versions that add up can be chained.
        spec = replace(spec, mode="discarding", aggregates=(Aggregate("rows", "count"),))
        over = (Aggregate("total", "sum", "rows"), Aggregate("all", "collect", "rows"))
        unit = 1 if spec.size is not None and spec.size < 1_000 else 1_000_000
        second = replace(draw(specs(unit=unit)), keys=spec.keys[:1], aggregates=over)
    shards = st.sampled_from([None, None, 1, 3, 4])
    n = len(schedule.steps) + 1
    return Disturbed(
        replace(schedule, spec=spec),
        second,
        draw(st.lists(shards, min_size=n, max_size=n)),
        draw(st.booleans()),
    )


@dataclass
class Outputs:
    """All that came out of an engine."""

    engine: Engine
    results: list[pa.Table] = field(default_factory=list)
    sides: dict[str, list[pa.Table]] = field(default_factory=dict)

    def take(self, *, chained: bool) -> None:
        """Take what there is."""
        self.results.append(self.engine.results())
        for tag in ["late", "quarantine", *(["late_2"] if chained else [])]:
            self.sides.setdefault(tag, []).append(self.engine.side(tag))

    def state(self) -> dict[str, object]:
        """Everything that shows, to the byte."""
        tables = {"results": self.results, **self.sides}
        return {
            **{name: ipc_bytes(pa.concat_tables(parts)) for name, parts in tables.items()},
            "ledger": self.engine.ledger.to_dict(),
            "watermark": self.engine.watermark_us,
            "is_empty": self.engine.is_empty,
        }


def run(case: Disturbed, folder: Path | None) -> Outputs:
    """Run a schedule to its end; with a folder, through savepoints there."""
    clock = et.ManualClock()
    out = Outputs(Engine(case.stream(), list(case.schedule.names), clock=clock))
    for i, step in enumerate([None, *case.schedule.steps]):
        if step is not None:
            drive_engine(out.engine, clock, step)
        if case.is_taken:
            out.take(chained=case.second is not None)
        shards = case.shards[i]
        if folder is not None and shards is not None:
            path = folder / f"{i}.savepoint"
            out.engine.savepoint(path)
            out.engine.suspend()
            # Downtime is not event time, and no silence either.
            clock = et.ManualClock(clock.now_us())
            out.engine = Engine.restore(case.stream(), path, clock=clock, shards=shards)
    out.take(chained=case.second is not None)
    return out


def check_restored(case: Disturbed) -> None:
    """Bytes, order, ledger and watermark are those of a run that nobody disturbed."""
    with tempfile.TemporaryDirectory() as folder:
        got = run(case, Path(folder))
    assert got.state() == run(case, None).state()
    got.engine.ledger.assert_balanced()
    got.engine.suspend()


def run_with_checkpoints(case: Disturbed, folder: Path) -> Outputs:
    """Run a schedule to its end through incremental checkpoints, with deaths some steps later.

    A step with one shard is followed by a checkpoint, one with more by the death of the process:
    what it did since the last checkpoint is lost, and done again by the next.
    """
    where = et.checkpoints(folder / "state", every=None, every_rows=5)

    def made(shards: int) -> Engine:
        clock = et.ManualClock()
        engine = Engine(case.stream(), names, clock=clock, shards=shards, checkpoint=where)
        if engine.notes is None:
            return engine
        # Downtime is not event time, and no silence either.
        engine.suspend()
        clock = et.ManualClock(engine.notes["now_us"])
        return Engine(case.stream(), names, clock=clock, shards=shards, checkpoint=where)

    names, deaths, i = list(case.schedule.names), set[int](), 0
    out = Outputs(made(1))
    while i <= len(case.schedule.steps):
        clock = out.engine._clock
        assert isinstance(clock, et.ManualClock)
        if i:
            drive_engine(out.engine, clock, case.schedule.steps[i - 1])
        if case.is_taken:
            out.take(chained=case.second is not None)
        shards, i = case.shards[i], i + 1
        notes = {"step": i, "taken": len(out.results), "now_us": clock.now_us()}
        if shards == 1:
            out.engine.checkpoint(notes)
        elif shards is None or i in deaths:
            out.engine.checkpoint_if_due(notes)
        else:
            deaths.add(i)
            out.engine.suspend()
            out.engine = made(shards)
            known = out.engine.notes or {"step": 0, "taken": 0}
            i = known["step"]
            for tables in (out.results, *out.sides.values()):
                del tables[known["taken"] :]
    out.take(chained=case.second is not None)
    return out


@settings(max_examples=settings().max_examples // 4)  # each makes many engines, and checkpoints
@given(disturbed())
def test_gone_on_from_its_checkpoints_a_live_run_is_that_of_one_never_disturbed(
    case: Disturbed,
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):
        got = run_with_checkpoints(case, Path(folder))
        assert got.state() == run(case, None).state()
        got.engine.ledger.assert_balanced()
        got.engine.suspend()


@given(disturbed())
def test_restored_anywhere_a_run_is_that_of_one_never_disturbed(case: Disturbed) -> None:
    check_restored(case)


def test_downtime_is_no_silence_but_silence_before_it_is() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        stream = pipeline(rows_at([]), watermark={"idle_after": "10s"})
        clock = et.ManualClock()
        engine = Engine(stream, ["a", "b"], clock=clock)
        engine.push("a", rows_at([0, 120]))
        engine.poll_empty("b")
        clock.advance(6 * SECOND)
        engine.poll_empty("b")
        clock.advance(SECOND)
        engine.savepoint(path)
        later = et.ManualClock(86_400 * SECOND)
        engine = Engine.restore(stream, path, clock=later)
        later.advance(3 * SECOND)
        engine.poll_empty("b")
        assert engine.results().num_rows == 0
        later.advance(1)
        engine.poll_empty("b")
        assert engine.results().num_rows == 1
        # Idle is remembered, too.
        engine.savepoint(path, overwrite=True)
        engine = Engine.restore(stream, path, clock=later)
        engine.push("a", rows_at([240]))
        assert engine.results().num_rows == 1
