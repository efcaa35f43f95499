"""What is seen of a run that is watched row by row, and who watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from eventtime.engine_look import PartitionLook, look_at_partitions
from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.explaining.passing import OperatorSeen
    from eventtime.progress import Progress

__all__ = ("Enough", "Onlooker", "Seen", "Standing", "Watch", "stood")


@dataclass(frozen=True)
class Standing:
    """Where all partitions were at one moment.

    Args:
        watermark_us: the combined watermark.
        held_by: name of the partition that held it back; None: none counted.
        partitions: all of them, in the order in which they were found.
    """

    watermark_us: int = MINUS_INFINITY
    held_by: str | None = None
    partitions: tuple[PartitionLook, ...] = ()


def stood(progress: Progress) -> Standing:
    """Look where partitions are. Cost: O(partitions)."""
    return Standing(progress.combined_us, progress.held_by, look_at_partitions(progress))


@dataclass(frozen=True)
class Seen:
    """One step of a run.

    Args:
        what: in words.
        before: where everything was.
        after_us: the combined watermark after it.
        partition: name of the row's partition; None: it was no row.
        row: its number in the partition, from 0.
        fate: where the ledger has it: 'windowed', 'late', 'null_time', 'future', 'malformed', or
            'filtered'; 'waiting' while the future guard holds it.
        time_us: its event time; None: it has none, or did not come to the windows.
        values: its columns by name, as they came to the windows or were set aside.
        sides: what came out of side outputs, by tag.
        operators: what it was to each of them, by number; none: it did not come so far.
        set_by: what moved the watermark to where it was before, of each operator by number.
        had_left: whether the row's partition had left when it was idle for the last time.
    """

    what: str
    before: Standing
    after_us: int
    partition: str | None = None
    row: int | None = None
    fate: str = ""
    time_us: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    sides: dict[str, tuple[pa.RecordBatch, ...]] = field(default_factory=dict)
    operators: tuple[OperatorSeen, ...] = ()
    set_by: tuple[str, ...] = ()
    had_left: bool = False


class Enough(Exception):  # noqa: N818 - no error: what was looked for was seen
    """Raised by an onlooker that need not see more."""


class Onlooker(Protocol):
    """Is shown each step."""

    def see(self, seen: Seen) -> None:
        """Take a step; may raise `Enough`."""
        ...


class Watch:
    """Remembers what moved the watermark, and shows steps to an onlooker.

    Args:
        onlooker: is shown them.
        operators: how many there are.
    """

    def __init__(self, onlooker: Onlooker, operators: int) -> None:
        self._onlooker = onlooker
        self.last = Standing()
        self._set_by = ["nothing: no partition has moved it"] * operators
        self._left: dict[str, bool] = {}

    @property
    def set_by(self) -> tuple[str, ...]:
        """What moved the watermark to where it is, of each operator by number."""
        return tuple(self._set_by)

    def had_left(self, partition: str) -> bool:
        """Whether a partition, when it was idle for the last time, had left."""
        return self._left.get(partition, False)

    def moved_by(self, now: Standing) -> str:
        """Say in words what has moved the watermark without a step; empty: it stands."""
        self._note(now)
        if now.watermark_us == self.last.watermark_us:
            return ""
        was_idle = {it.name: it.is_idle for it in self.last.partitions}
        idle = [it for it in now.partitions if it.is_idle and was_idle.get(it.name) is False]
        left = ", ".join(repr(it.name) for it in idle if it.has_left)
        silent = ", ".join(repr(it.name) for it in idle if not it.has_left)
        told = [f"the silence of partition {silent}"] * bool(silent)
        told += [f"partition {left}, which left"] * bool(left)
        return " and ".join(told) or "a partition that was away for a moment"

    def show(self, seen: Seen, now: Standing) -> None:
        """Show a step that was taken."""
        self._onlooker.see(seen)
        if now.watermark_us != seen.before.watermark_us:
            self._set_by[0] = seen.what
        for i, it in enumerate(seen.operators[1:], 1):
            if it.after_us != it.before_us:
                self._set_by[i] = seen.what
        self._note(now)
        self.last = now

    def _note(self, now: Standing) -> None:
        self._left |= {it.name: it.has_left for it in now.partitions if it.is_idle}
