"""How rows arrive: the order of their times and the order in which they come, as a choice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from eventtime.duration import DurationLike, parse_us
from eventtime.testing.reads import Reads, reads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.stream import Stream

__all__ = (
    "Arrival",
    "AtEdge",
    "Behind",
    "Held",
    "Place",
    "adversarial",
    "bounded",
    "bursty",
    "heavy_tailed",
    "in_order",
    "late_by_much",
)

Edge = Literal["start", "end", "closing", "expiring", "expired", "behind", "future"]


# First what is late by itself: other ways to be late are more rows, and shrink to it.
_OF_WINDOWS: Final[tuple[Edge, ...]] = ("expired", "end", "start", "closing", "expiring")


@dataclass(frozen=True)
class Behind:
    """A row whose time is so far behind the latest."""

    by_us: int


@dataclass(frozen=True)
class Held:
    """A row that arrives after the next one of its partition that is not held."""


@dataclass(frozen=True)
class AtEdge:
    """A row at a boundary, or one tick beside it.

    Args:
        edge: of which kind: the start or the end of a window; a time that makes the watermark
            close or expire a window; the end of the window that has just expired; the watermark
            of the partition itself; the limit of the future guard.
        window: which operator's.
        off: ticks beside it.
    """

    edge: Edge
    window: int
    off: int


Place: TypeAlias = Behind | Held | AtEdge


@dataclass(frozen=True)
class Arrival:
    """A kind of disorder; made by `in_order`, `bounded`, `heavy_tailed`, `bursty`, `adversarial`.

    Args:
        name: the call that makes it.
        places: where rows stand in time, for what a pipeline reads: the simplest first, as often as
            they are to come.
        bound_us: how far a row is behind the latest at most; None: nobody says.
        brinks: how often, of twenty times, heartbeats bring a window to where it closes or expires.
    """

    name: str
    places: Callable[[Reads], Sequence[Place]]
    bound_us: int | None = None
    brinks: int = 2

    def __repr__(self) -> str:
        return self.name


def in_order() -> Arrival:
    """Rows arrive in the order of their times.

    >>> in_order()
    in_order()
    """
    return Arrival("in_order()", lambda _: [Behind(0)], 0)


def bounded(bound: DurationLike) -> Arrival:
    """No row is more than a bound behind the latest before it; many are just so far.

    That holds of rows that come again, too, and within each partition.

    Args:
        bound: such as '4h'.

    Raises:
        DurationError: malformed or negative.

    >>> bounded("4h")
    bounded('4h')
    """
    bound_us = parse_us(bound, name="bound")
    places = [Behind(bound_us * n // 4) for n in (0, 0, 1, 2, 3, 4)]
    return Arrival(f"bounded({bound!r})", lambda _: places, bound_us)


def heavy_tailed(typical: DurationLike | None = None) -> Arrival:
    """Most rows are in order or nearly, and few are very far behind.

    Args:
        typical: how far behind a row is that is no exception; None: a quarter of a window.

    Raises:
        DurationError: malformed or negative.

    >>> heavy_tailed("1m")
    heavy_tailed('1m')
    """
    typical_us = None if typical is None else parse_us(typical, name="typical")

    def places(read: Reads) -> Sequence[Place]:
        step = read.unit_us if typical_us is None else typical_us
        times = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 4, 8, 16, 64)
        return [Behind(n * step) for n in times]

    given = "" if typical is None else repr(typical)
    return Arrival(f"heavy_tailed({given})", places)


def bursty() -> Arrival:
    """Rows are held back, and come all together behind a later one.

    >>> bursty()
    bursty()
    """
    places: list[Place] = [Behind(0), Behind(0), Held(), Held()]
    return Arrival("bursty()", lambda _: places)


def adversarial(pipeline: Stream | None = None) -> Arrival:
    """Rows at the boundaries by which a pipeline judges, and one tick before and behind.

    The boundaries: starts and ends of windows; times that put the watermark at the end of a window,
    and at its end plus the lateness; the window that has just expired; the watermark itself; the
    limit of the future guard. A tick is the least distance of times in the time column. Where there
    are heartbeats, these bring windows to where they close or expire, and a row comes for each.

    Args:
        pipeline: whose boundaries; None: those of the pipeline that `streams` is called with.

    >>> adversarial()
    adversarial()
    """
    given = None if pipeline is None else reads(pipeline, place="adversarial(pipeline)")

    def places(read: Reads) -> Sequence[Place]:
        of = read if given is None else given
        steps, edges = _steps(of), _edges(of)
        return [*steps * (len(edges) // len(steps)), *edges]

    name = "adversarial()" if given is None else "adversarial(pipeline)"
    return Arrival(name, places, brinks=6)


def late_by_much(read: Reads) -> Arrival:
    """Rows behind the watermark, in windows that are open, closed and expired.

    Some are just on time as far as their own partition goes: what makes them late is others.
    """
    windows = [w.lateness_us + w.size_us for w in read.windows]
    most = read.bound_us + max(windows, default=0) + 4 * read.unit_us
    behind: list[Place] = [Behind(most * n // 8) for n in (0, 0, 0, 1, 2, 3, 4, 6, 8)]
    places = [*behind, *[AtEdge("behind", 0, 0)] * 3]
    return Arrival("late_by_much()", lambda _: places)


def _steps(read: Reads) -> list[Place]:
    return [Behind(n * read.unit_us) for n in (0, 0, 1, 2)]


def _edges(read: Reads) -> list[Place]:
    kinds: list[tuple[Edge, int]] = [("behind", 0)]
    for i, window in enumerate(read.windows):
        if window.size_us:
            kinds.extend((edge, i) for edge in _OF_WINDOWS)
    if read.max_future_us is not None:
        kinds.extend([("future", 0), ("future", 0)])
    return [AtEdge(edge, window, off) for (edge, window), off in product(kinds, (0, -1, 1))]
