"""What a turn gathers from all partitions is as if each batch had been processed by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import batch_of, ipc_bytes, source_of, stream_of
from eventtime.core import Core, compiled
from eventtime.testing.reference import Bounded, Spec
from eventtime.testing.steps import AddPartition, AdvanceClock, Finish, Heartbeat, PollEmpty, Push
from strategies import Schedule, schedules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.reference import Row
    from strategies import Step


class Driven:
    """A core that is told a schedule.

    Args:
        schedule: what happens.
        shards: threads that share the keys.
        gathers: whether batches wait for what else comes before they are processed.
    """

    def __init__(self, schedule: Schedule, shards: int, *, gathers: bool) -> None:
        self.clock, self.gathers = et.ManualClock(), gathers
        plan = compiled(stream_of(source_of({"a": []}), schedule.spec).node)
        self.core = Core(plan, self.clock, shards, None)
        for name in schedule.names:
            self.core.add(name, known_at_start=True)

    def do(self, step: Step) -> None:
        core = self.core
        match step:
            case Push(name, rows):
                take = core.gather if self.gathers else core.take
                take(core.names.index(name), batch_of(rows))
            case PollEmpty(name):
                core.poll_empty(core.names.index(name))
            case AdvanceClock(by):
                self.clock.advance(by)
            case Heartbeat(name, time_us):
                core.advance_to(core.names.index(name), time_us)
            case Finish(name):
                core.finish(core.names.index(name))
            case AddPartition(name, historical):
                core.add(name, known_at_start=False, historical=historical)

    def told(self) -> list[Any]:
        """All that can be seen of it between two turns."""
        core = self.core
        core.advance()
        core.stages.flush()
        sides = sorted(core.kept.sides.items())
        return [
            whole(core.kept.results, core.plan.schema),
            [(tag, whole(batches, core.side_schemas[tag])) for tag, batches in sides],
            core.ledger(),
            core.progress.save(self.clock.now_us()),
            core.progress.combined_us,
        ]


def whole(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> bytes:
    return ipc_bytes(pa.Table.from_batches(batches, schema))


@given(schedules(floats="free"), st.data(), st.integers(1, 3), st.sampled_from([6, 65_536]))
def test_a_turn_of_many_batches_is_what_they_are_one_by_one(
    schedule: Schedule, data: st.DataObject, shards: int, most: int
) -> None:
    """S4, S5, S6, S20, S24, S26: also where so many rows come that they do not wait for more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventtime.core._MOST_GATHERED", most)
        alone = Driven(schedule, 1, gathers=False)
        together = Driven(schedule, shards, gathers=True)
        for step in schedule.steps:
            alone.do(step)
            together.do(step)
            if data.draw(st.integers(0, 3), label="is a turn over") == 0:
                assert together.told() == alone.told()
        assert together.told() == alone.told()
        for driven in (alone, together):
            driven.core.stages.close()


def at(*times: int) -> list[Row]:
    """Rows of one key at these times."""
    rest = {"key": 1, "name": None, "n": None, "x": None, "b": None, "mark": None, "is_mark": None}
    return [{"t": t, **rest} for t in times]


def test_late_rows_of_one_turn_are_late_by_their_own_partitions() -> None:
    """S6, S20: what is late in `a` is so because it was idle, what is in `b` is not."""
    spec = Spec(size=10, generator=Bounded(0), idle_after=5)
    quiet: list[Step] = [PollEmpty("a"), AdvanceClock(6), PollEmpty("a")]
    schedule = Schedule(spec, ("a", "b"), [Push("a", at(1)), *quiet, Push("b", at(35))])
    driven = Driven(schedule, 1, gathers=True)
    for step in [*schedule.steps, Push("b", at(36, 12)), Push("a", at(13)), Push("b", at(14))]:
        driven.do(step)
    driven.told()
    late = pa.Table.from_batches(driven.core.kept.sides["late"]).to_pylist()
    assert [(row["partition"], row["reason"]) for row in late] == [
        ("b", "beyond_lateness"),
        ("a", "idle_partition"),
        ("b", "beyond_lateness"),
    ]
    assert driven.core.ledger().partitions["a"].late == 1
    driven.core.stages.close()
