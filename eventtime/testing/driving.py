"""What a step does to an engine; apart from the steps, which the oracle may import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.testing.steps import AddPartition, AdvanceClock, Finish, Heartbeat, PollEmpty

if TYPE_CHECKING:
    from eventtime.clock import ManualClock
    from eventtime.engine import Engine
    from eventtime.testing.steps import Told

__all__ = ("drive",)


def drive(engine: Engine, clock: ManualClock, step: Told) -> None:
    """Do a step. Rows are laid out, and engines replaced, by whoever drives one."""
    match step:
        case PollEmpty(partition):
            engine.poll_empty(partition)
        case AdvanceClock(by_us):
            clock.advance(by_us)
        case Heartbeat(partition, time_us):
            engine.advance_to(partition, time_us)
        case AddPartition(partition, historical):
            engine.add_partition(partition, historical=historical)
        case Finish(partition):
            engine.finish(partition)
