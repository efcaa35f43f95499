"""One thing that happens, drawn: of which kind, and all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from eventtime.checks import check_flag
from eventtime.errors import PlanError
from eventtime.testing.strategies.cuts import survived
from eventtime.testing.strategies.kinds import (
    Again,
    Appears,
    Beat,
    Brink,
    Ends,
    Event,
    Exactly,
    NewRow,
    Nothing,
    Quiet,
    Stops,
    Tells,
    Ticks,
)
from eventtime.testing.strategies.paces import leap, paces, waits
from eventtime.testing.strategies.values import keys, values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import pyarrow as pa

    from eventtime.testing.reads import Reads
    from eventtime.testing.steps import Row
    from eventtime.testing.strategies.arrival import Place

__all__ = ("broadcasts", "cells", "events", "kinds_of", "odd_times")

_MANY: Final = 12
"""One row of so many has no admitted time, where there are such rows."""
_FRESH: Final = 8
"""So many rows are new for one that comes again."""


def kinds_of(*, idle: bool, beat: bool, changing: bool, stops: bool, most: int) -> list[str]:
    """List kinds of events, as often as they are to come; what is simplest comes first.

    The end comes the more rarely the more rows there may be.
    """
    flags = {"idle": idle, "heartbeats": beat, "changing": changing, "restarts": stops}
    for name, flag in flags.items():
        check_flag(flag, place=f"streams({name}=…)")
    going_on = [
        *["nothing", *["row"] * 9],
        *["ticks", "quiet", "quiet", "quiet"] * idle,
        *["beat", "brink"] * beat,
        *["appears", "ends"] * changing,
        *["stops", "stops"] * stops,
    ]
    return ["over", *going_on * max(1, most // 20)]


def cells(read: Reads, *, is_extreme: bool) -> st.SearchStrategy[Row]:
    """Draw all columns that carry no time of the engine's."""
    check_flag(is_extreme, place="streams(extreme_values=…)")
    times = {*read.marks, *([] if read.time is None else [read.time[0]])}
    return _cells(read, read.schema, times, is_extreme=is_extreme)


def broadcasts(read: Reads, *, is_extreme: bool) -> list[st.SearchStrategy[tuple[str, Row]]]:
    """Draw rows of each broadcast stream, with its name and without their times.

    Raises:
        PlanError: its steps make its times, so that none can be drawn.
    """
    drawn = []
    for name, rows in read.told.items():
        if rows.time is None:
            msg = f"the event times of the broadcast stream {name!r} are made by its steps"
            remedy = "give it a source that has them, or leave it out: broadcasts=False"
            raise PlanError(msg, place="streams(pipeline)", remedy=remedy)
        mine = _cells(read, rows.schema, {rows.time[0]}, is_extreme=is_extreme)
        drawn.append(st.tuples(st.just(name), mine))
    return drawn


def _cells(
    read: Reads, schema: pa.Schema, but: Collection[str], *, is_extreme: bool
) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries(
        {
            f.name: keys(f) if f.name in read.keys else values(f, extremes=is_extreme)
            for f in schema
            if f.name not in but
        }
    )


def odd_times(read: Reads, *, far: bool, late: bool) -> list[Exactly]:
    """List times that are none: null, the ends of what is admitted and beyond."""
    if read.time is None:
        return []
    name, column = read.time
    ends = [column.raw(column.latest_us), column.raw(column.earliest_us)] if late else []
    null = [Exactly(None)] if read.schema.field(name).nullable else []
    return [*null, *(Exactly(raw) for raw in [*column.beyond * 2, *ends] if far)]


def events(
    read: Reads,
    places: Sequence[Place],
    repeated: Sequence[Again],
    kinds: Sequence[str],
    others: st.SearchStrategy[Row],
    odd: Sequence[Exactly],
    told: Sequence[st.SearchStrategy[tuple[str, Row]]],
    brinks: int,
) -> st.SearchStrategy[Event | None]:
    """Draw the next thing that happens; None: nothing more.

    Whether a row is new, and where it stands in time, is one number: so one that comes again
    shrinks to a new one as far behind, and the row that it repeated is left out.
    """
    unit, far, silent, paced = read.unit_us, leap(read), waits(read), paces(read)
    # A clock is stepped back, too (S6, S11).
    pauses, silences = st.sampled_from([*silent, -2 * unit, -silent[-1]]), st.sampled_from(silent)
    stops = survived()
    partition, yes = st.integers(0, 3), st.booleans()
    often = {"brink": brinks if _ending(read) else 0}
    every = [kind for kind in kinds for _ in range(often.get(kind, 1))] + ["tells"] * 2 * bool(told)
    # From 1, not 0: Hypothesis would take it for the choice of a strategy, and try them all.
    chance, kind, ahead = st.integers(1, _MANY), st.integers(1, len(every)), st.integers(0, 4)
    strange = st.sampled_from(odd) if odd else None
    fresh = -(-_FRESH * len(repeated) // len(places)) if repeated else 1
    time, placed = st.sampled_from(places), st.sampled_from([*list(places) * fresh, *repeated])
    marked = _marks(read)
    # A change holds once the watermark is there: of itself soon, or not before more rows have come.
    aheads = st.sampled_from([0, -read.bound_us, unit - read.bound_us, unit, -far])
    telling = st.one_of([*told, st.nothing()])
    which, beside = st.sampled_from(_ending(read) or [0]), st.sampled_from([0, -1, 1])

    def row(draw: st.DrawFn) -> NewRow:
        is_strange = strange is not None and draw(chance) == _MANY
        whose, pace = draw(partition), draw(paced)
        place = draw(strange) if strange is not None and is_strange else draw(placed)
        return NewRow(whose, pace, place, draw(others), draw(marked), draw(yes))

    def quiet(draw: st.DrawFn) -> Quiet:
        whose, by_us = draw(partition), draw(silences)
        return Quiet(whose, by_us, (row(draw), draw(silences)) if draw(yes) else None)

    def brink(draw: st.DrawFn) -> Brink:
        window, expires, off = draw(which), draw(yes), draw(beside)
        return Brink(window, expires, off, row(draw), row(draw) if draw(yes) else None)

    def tells(draw: st.DrawFn) -> Tells:
        name, row = draw(telling)
        return Tells(name, draw(aheads), row, draw(yes))

    made: dict[str, Callable[[st.DrawFn], Event | None]] = {
        "nothing": lambda _: Nothing(),
        "over": lambda _: None,
        "row": row,
        "ticks": lambda draw: Ticks(draw(pauses)),
        "quiet": quiet,
        "beat": lambda draw: Beat(draw(partition), draw(time), draw(ahead) * unit),
        "brink": brink,
        "appears": lambda draw: Appears(draw(yes)),
        "ends": lambda draw: Ends(draw(partition)),
        "stops": lambda draw: Stops(draw(stops)),
        "tells": tells,
    }

    @st.composite
    def event(draw: st.DrawFn) -> Event | None:
        return made[every[draw(kind) - 1]](draw)

    return event()


def _ending(read: Reads) -> list[int]:
    """List the operators whose windows end; that of all time does not."""
    return [i for i, window in enumerate(read.windows) if window.size_us]


def _marks(read: Reads) -> st.SearchStrategy[dict[str, int | None]]:
    mark = st.integers(-8, 4).map(lambda n: n * read.unit_us)
    nullable = st.one_of(st.none(), mark)
    is_nullable = {name: read.schema.field(name).nullable for name in read.marks}
    return st.fixed_dictionaries({n: nullable if may else mark for n, may in is_nullable.items()})
