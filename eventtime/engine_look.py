"""An engine as seen from outside: partitions, what its operators hold, timers that are set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from eventtime.process.operator import ProcessOperator
from eventtime.state.keyed import KEYED, TIMER_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from eventtime.core import Core
    from eventtime.progress import Progress
    from eventtime.windows.look import OpenSlice

__all__ = ("EngineLook", "HeldState", "PartitionLook", "Timer", "look_at", "look_at_partitions")

_ALL_SLICES = 2**31


@dataclass(frozen=True)
class PartitionLook:
    """How far a partition is.

    Args:
        name: of the partition.
        watermark_us: its own, int64 microseconds UTC.
        is_idle: whether it is left out of the minimum for now (S6).
        is_finished: whether it has ended (S9).
        has_left: whether it is somebody else's for now; it is idle then.
    """

    name: str
    watermark_us: int
    is_idle: bool
    is_finished: bool
    has_left: bool = False


@dataclass(frozen=True)
class Timer:
    """A timer of a process function.

    Args:
        operator: number of the operator that set it, from 0.
        kind: 'event' or 'processing', the time it goes by.
        time_us: when it is due, int64 microseconds UTC.
        key: values of the key columns.
    """

    operator: int
    kind: Literal["event", "processing"]
    time_us: int
    key: tuple[Any, ...]


@dataclass(frozen=True)
class HeldState:
    """What an operator holds.

    Args:
        keys: of windows, keys in each slice of time, summed over slices; of a process function,
            keys with state or timers.
        rows: folded into open slices; None: there are too many keys to count them, or it is a
            process function.
        nbytes: of memory; of a process function about.
        slices: of time, in order; none of a process function.
    """

    keys: int
    rows: int | None
    nbytes: int
    slices: tuple[OpenSlice, ...] = ()


@dataclass(frozen=True)
class EngineLook:
    """What can be seen of an engine.

    Args:
        watermark_us: the combined one, int64 microseconds UTC.
        held_by: name of the partition that holds it back; None: none counts.
        partitions: in the order in which they were taken in.
        operators: in the order of the pipeline.
        timers: in the order of operators, then of time.
        tags: of the side outputs.
    """

    watermark_us: int
    held_by: str | None
    partitions: tuple[PartitionLook, ...]
    operators: tuple[HeldState, ...]
    timers: tuple[Timer, ...]
    tags: tuple[str, ...]


def look_at(core: Core) -> EngineLook:
    """Look at what an engine drives. Cost: O(keys held), and O(timers)."""
    progress, held, timers = core.progress, list[HeldState](), list[Timer]()
    for number, stage in enumerate(core.stages.stages):
        if isinstance(stage.operator, ProcessOperator):
            blocks = _Blocks()
            stage.operator.save(blocks)
            keyed = [rows for about, rows in blocks.all if about["kind"] == KEYED]
            size = stage.operator.look(0).nbytes
            held.append(HeldState(sum(rows.num_rows for rows in keyed), None, size))
            timers += sorted(
                (timer for rows in keyed for timer in _timers(number, rows)),
                key=lambda timer: timer.time_us,
            )
            continue
        look = stage.operator.look(_ALL_SLICES)
        counts = [s.rows for s in look.slices if s.rows is not None]
        rows = sum(counts) if len(counts) == len(look.slices) else None
        keys = sum(s.keys for s in look.slices)
        held.append(HeldState(keys, rows, look.nbytes, look.slices))
    return EngineLook(
        progress.combined_us,
        progress.held_by,
        look_at_partitions(progress),
        tuple(held),
        tuple(timers),
        tuple(core.side_schemas),
    )


def look_at_partitions(progress: Progress) -> tuple[PartitionLook, ...]:
    """Look how far partitions are. Cost: O(partitions)."""
    return tuple(
        PartitionLook(p.name, p.watermark_us, p.idle, p.finished, p.has_left)
        for p in progress.partitions
    )


class _Blocks:
    """Takes parts as a savepoint does, and keeps them."""

    is_alone: ClassVar[bool] = True

    def __init__(self) -> None:
        self.all: list[tuple[dict[str, str | int], pa.RecordBatch]] = []

    def keep(self, version: int, **about: str | int) -> bool:
        return False

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        found: Any = rows() if callable(rows) else rows
        self.all.append((about, found))


def _timers(operator: int, rows: pa.RecordBatch) -> Iterator[Timer]:
    """Read the timers of keys out of what would be saved of these."""
    names = [name for name in rows.schema.names if name.startswith("key_")]
    keys = list(zip(*(rows.column(name).to_pylist() for name in names), strict=True))
    for kind in TIMER_KINDS:
        for i, times in enumerate(rows.column(f"timers:{kind}").to_pylist()):
            key = keys[i] if keys else ()
            for time_us in times:
                yield Timer(operator, cast("Any", kind), time_us, key)
