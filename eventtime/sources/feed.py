"""The protocol of live sources: a feed tells what has come, never waits, and can be held back.

    the world ──► threads of the feed ──► bounded queues ──► take() ──► the loop
                        │ wake() once there is something to take

What `take` returns is all that the engine learns: fed with the same news at the same readings of
the clock, it does the same (S4, S28).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeGuard, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows, Source

__all__ = (
    "ALL_ROWS",
    "Accepting",
    "AnySource",
    "Arrived",
    "Ended",
    "Feed",
    "Found",
    "Heartbeat",
    "Left",
    "LiveSource",
    "News",
    "Shared",
    "Silent",
    "Stands",
    "Unpolled",
    "alone",
    "is_live",
    "reports_malformed",
)


@dataclass(frozen=True)
class Found:
    """There is a partition more, or one that had left is back (S8).

    Args:
        partition: its name, unique in its source and the same in every run.
        historical: whether it holds old rows, for which the watermark has to wait.
    """

    partition: str
    historical: bool = False


@dataclass(frozen=True, eq=False)
class Arrived:
    """Rows of a partition, in its order.

    Args:
        partition: its name.
        rows: at least one.
        position: just behind them; what JSON can hold.
        arrived_us: reading of the clock when the feed got the first of them; None: not known, so
            that the latency of results counts from when they were taken.
    """

    partition: str
    rows: Rows
    position: Position
    arrived_us: int | None = None


@dataclass(frozen=True)
class Stands:
    """Where a partition is read on from, although no row brought it there.

    So that a checkpoint knows where a partition began that never had a row, and what was passed by
    that holds none.

    Args:
        partition: its name.
        position: as of `Arrived`; every row in front of it was told before.
    """

    partition: str
    position: Position


@dataclass(frozen=True)
class Silent:
    """Partitions that were polled and had nothing; silent until rows or `Unpolled` follow (S6).

    Told once, when it begins: a thousand silent partitions cost nothing.
    """

    partitions: Sequence[str]


@dataclass(frozen=True)
class Unpolled:
    """Partitions that nobody could ask for a while: that is no silence (S6)."""

    partitions: Sequence[str]


@dataclass(frozen=True)
class Left:
    """Somebody else reads the partition from now on: it holds nobody back until it is found again.

    Args:
        partition: its name.
        wants_cut: whether it waits for a checkpoint behind this news, so that nobody else has to
            read again what was taken here; only where the run writes some.
    """

    partition: str
    wants_cut: bool = False


@dataclass(frozen=True)
class Ended:
    """Nothing more will come from the partition, ever (S9).

    Args:
        partition: its name.
    """

    partition: str


@dataclass(frozen=True)
class Heartbeat:
    """All rows of the partition before a time were handed over: told by a source that knows (S2).

    Args:
        partition: its name.
        time_us: int64 microseconds UTC.
    """

    partition: str
    time_us: int


News: TypeAlias = Found | Arrived | Heartbeat | Stands | Silent | Unpolled | Left | Ended


class Feed(Protocol):
    """One live source, open. The loop calls it from one thread; its own threads stay inside.

    Beginning: `known`, `start`. Running: `take`, `settled`. Ending: `is_over`, `close`.
    """

    @property
    def known(self) -> Sequence[str]:
        """Names of the partitions that are known at the start, before `start` (S8)."""
        ...

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to poll.

        Args:
            wake: to be called, from any thread, whenever `take` has something new.
        """
        ...

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        """Hand over what has come since the last call, without waiting for more.

        Small batches of a partition that stand next to each other are joined. Bounded queues: while
        one is full nothing more is read for it, and the world has to wait.

        Args:
            most_rows: about so many of each partition; the rest next time.
            held: partitions whose rows are to stay in the feed for now (alignment).

        Raises:
            SourceError: the source cannot be read any more; everything read before was handed over.
        """
        ...

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Note that everything in front of these positions is safe: a checkpoint is durable.

        Called from the thread that writes checkpoints; and once before `start`, in a run that
        writes some, with the positions it goes on from. Never raises: what the store is told this
        way (offsets of a group, acknowledgements) is for others to see; the checkpoint counts.
        """
        ...

    @property
    def is_over(self) -> bool:
        """Whether no news will come any more."""
        ...

    def close(self) -> None:
        """Let go of connections and threads; also before `start`, and more than once."""
        ...


ALL_ROWS: Final = 2**62
"""Of each partition: what a feed has, for queues are bounded."""


@runtime_checkable
class Accepting(Protocol):
    """A feed whose senders do not send again what it accepted: a run that ends takes it first."""

    def cease(self) -> None:
        """Accept nothing more; what was accepted can still be taken. After `start` only."""
        ...


class LiveSource(Protocol):
    """Description of an input that goes on: cheap to make, connects to nothing until followed.

    A frozen dataclass, comparable. It has `follow` where a bounded `Source` has `open`.
    """

    @property
    def time(self) -> str:
        """Name of the event-time column."""
        ...

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column (``s``, ``ms``, ``us``, ``ns``), or None."""
        ...

    @property
    def reports_malformed(self) -> bool:
        """Whether what cannot be read arrives as `MalformedRows` (to quarantine)."""
        ...

    def schema(self) -> pa.Schema:
        """Return the columns every partition delivers."""
        ...

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> Feed:
        """Connect, and check everything that can be checked before the first row.

        Args:
            columns: to deliver, in this order; None: all.
            positions: by partition, where a run before this one has stopped: the next row of each
                is the one behind it. None: the beginning, as the source defines it.
            clock: of the machine's time, to notice when polling stood still.

        Raises:
            SourceError: cannot be reached, refused, or is not that of ``positions``.
        """
        ...

    def describe(self) -> str:
        """Return one line for `explain()`; connects to nothing, shows no secret."""
        ...


@runtime_checkable
class Shared(Protocol):
    """A live source whose partitions are shared with other runs, as those of a group are."""

    def alone(self) -> LiveSource:
        """Return one that reads the same partitions, from given positions on, and tells nobody."""
        ...


AnySource: TypeAlias = "Source | LiveSource"


def alone(source: AnySource) -> AnySource:
    """Return a source that disturbs nobody: to read once more what it read before."""
    return source.alone() if isinstance(source, Shared) else source


def is_live(source: object) -> TypeGuard[LiveSource]:
    """Tell whether a source is followed as it goes, rather than read to its end."""
    return callable(getattr(source, "follow", None))


def reports_malformed(source: AnySource) -> bool:
    """Tell whether rows of a source may be set aside because they do not parse."""
    told: object = getattr(source, "reports_malformed", None)
    if told is not None:
        return bool(told)
    return hasattr(getattr(source, "format", None), "on_malformed")
