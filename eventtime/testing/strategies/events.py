"""One thing that happens, drawn: of which kind, and all that belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from eventtime.checks import check_flag
from eventtime.testing.strategies.cuts import survived
from eventtime.testing.strategies.telling import (
    Again,
    Appears,
    Beat,
    Ends,
    Event,
    Exactly,
    NewRow,
    Nothing,
    Quiet,
    Stops,
    Ticks,
)
from eventtime.testing.strategies.values import keys, values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reads import Reads
    from eventtime.testing.steps import Row
    from eventtime.testing.strategies.arrival import Place

__all__ = ("cells", "events", "kinds_of", "odd_times")

_MANY: Final = 12
"""One row of so many has no admitted time, where there are such rows."""


def kinds_of(*, again: bool, idle: bool, beat: bool, changing: bool, stops: bool) -> list[str]:
    """List kinds of events, as often as they are to come; what is simplest comes first."""
    flags = {"idle": idle, "heartbeats": beat, "changing": changing, "restarts": stops}
    for name, flag in flags.items():
        check_flag(flag, place=f"streams({name}=…)")
    return [
        *["nothing", "over", *["row"] * 8],
        *["again"] * again,
        *["ticks", "quiet", "quiet"] * idle,
        *["beat"] * beat,
        *["appears", "ends"] * changing,
        *["stops", "stops"] * stops,
    ]


def cells(read: Reads, *, is_extreme: bool) -> st.SearchStrategy[Row]:
    """Draw all columns that carry no time of the engine's."""
    check_flag(is_extreme, place="streams(extreme_values=…)")
    times = {*read.marks, *([] if read.time is None else [read.time[0]])}
    return st.fixed_dictionaries(
        {
            f.name: keys(f) if f.name in read.keys else values(f, extremes=is_extreme)
            for f in read.schema
            if f.name not in times
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
    places: st.SearchStrategy[Place],
    kinds: Sequence[str],
    others: st.SearchStrategy[Row],
    odd: Sequence[Exactly],
) -> st.SearchStrategy[Event | None]:
    """Draw the next thing that happens; None: nothing more."""
    unit, slides = read.unit_us, [w.slide_us for w in read.windows if w.slide_us]
    furthest = [w.size_us + w.lateness_us for w in read.windows]
    leap = read.bound_us + max(furthest, default=unit)
    paces = st.sampled_from([0, 0, unit, unit, 2 * unit, 3 * unit, *slides, leap, leap])
    idle = read.idle_after_us
    waits = [
        unit,
        2 * unit,
        4 * unit,
        *([] if idle is None else [idle + 1, idle, idle + 1, idle - 1, idle, idle]),
    ]
    # A clock is stepped back, too (S6, S11).
    pauses, silences = st.sampled_from([*waits, -2 * unit, -waits[-1]]), st.sampled_from(waits)
    stops = survived()
    partition, back, yes = st.integers(0, 3), st.integers(0, 3), st.booleans()
    # From 1, not 0: Hypothesis would take it for the choice of a strategy, and try them all.
    chance, kind, ahead = st.integers(1, _MANY), st.integers(1, len(kinds)), st.integers(0, 4)
    strange = st.sampled_from(odd) if odd else None
    marks = {
        name: st.integers(-8, 4).map(lambda n: n * unit)
        if not read.schema.field(name).nullable
        else st.one_of(st.none(), st.integers(-8, 4).map(lambda n: n * unit))
        for name in read.marks
    }
    marked = st.fixed_dictionaries(marks)

    def row(draw: st.DrawFn) -> NewRow:
        is_strange = strange is not None and draw(chance) == _MANY
        whose, pace = draw(partition), draw(paces)
        place = draw(strange) if strange is not None and is_strange else draw(places)
        return NewRow(whose, pace, place, draw(others), draw(marked), draw(yes))

    made: dict[str, Callable[[st.DrawFn], Event | None]] = {
        "nothing": lambda _: Nothing(),
        "over": lambda _: None,
        "row": row,
        "again": lambda draw: Again(draw(partition), draw(back)),
        "ticks": lambda draw: Ticks(draw(pauses)),
        "quiet": lambda draw: Quiet(draw(partition), draw(silences)),
        "beat": lambda draw: Beat(draw(partition), draw(places), draw(ahead) * unit),
        "appears": lambda draw: Appears(draw(yes)),
        "ends": lambda draw: Ends(draw(partition)),
        "stops": lambda draw: Stops(draw(stops)),
    }

    @st.composite
    def event(draw: st.DrawFn) -> Event | None:
        return made[kinds[draw(kind) - 1]](draw)

    return event()
