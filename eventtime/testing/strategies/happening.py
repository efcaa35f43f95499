"""Everything that can happen to a pipeline, drawn: rows, silence, clocks, restarts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from hypothesis import strategies as st

from eventtime.checks import check_flag, check_whole, shown
from eventtime.errors import PlanError
from eventtime.testing.reads import Reads, reads
from eventtime.testing.strategies.arrival import (
    Arrival,
    adversarial,
    bounded,
    bursty,
    heavy_tailed,
    in_order,
    late_by_much,
)
from eventtime.testing.strategies.cuts import with_empty_batches
from eventtime.testing.strategies.events import broadcasts as rows_told
from eventtime.testing.strategies.events import cells, events, kinds_of, odd_times
from eventtime.testing.strategies.kinds import Again
from eventtime.testing.strategies.telling import Telling
from eventtime.testing.strategies.values import without_nulls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.stream import Stream
    from eventtime.testing.steps import Row, Streams
    from eventtime.testing.strategies.kinds import Event, Exactly

__all__ = ("streams",)

_RECENT: Final = 1_383_264_000_000_000
"""November 2013, in µs."""


def streams(
    pipeline: Stream,
    *,
    partitions: int = 3,
    disorder: Arrival | Sequence[Arrival] | None = None,
    late: bool = True,
    duplicates: bool = True,
    nulls: bool = True,
    ties: bool = True,
    extreme_times: bool = True,
    extreme_values: bool = False,
    idle: bool = True,
    heartbeats: bool = True,
    changing: bool = True,
    restarts: bool = True,
    broadcasts: bool = True,
    max_rows: int = 9,
) -> st.SearchStrategy[Streams]:
    """What can happen to a pipeline: rows of the columns it reads, in partitions, and all else.

    Times are about a quarter of a window apart. Columns of keys have few values (see `keys`).

    Args:
        pipeline: its source gives the schema only.
        partitions: the most there are; one at least is known at the start.
        disorder: how rows arrive (`in_order()`, `bounded('1h')`, …), or several of which each
            example has one; None: all of them, with bounds that fit the pipeline.
        late: whether rows may be behind the watermark. Generators of yours are taken to be never
            ahead of the latest row, `map_batches` to leave times alone; of a percentile that learns
            from fewer rows than may come, no row is behind another.
        duplicates: whether rows may come again.
        nulls: whether there are nulls, in times, lists and structs too; where the schema has them.
        ties: whether rows may have equal times; without them rows do not come again either.
        extreme_times: whether times are also far before 1970, and at the ends of what is admitted
            (S1) and beyond.
        extreme_values: whether values are also the ends of their types, and any float.
        idle: whether partitions are polled in vain (S6) while the clock goes on, or steps back.
        heartbeats: whether watermarks move without rows (S2), to where windows close, too.
        changing: whether partitions appear (S8) and end (S9) on the way.
        restarts: whether another engine goes on, also where work since a checkpoint is lost (S28).
        broadcasts: whether rows of broadcast streams come, at steps between those of others.
        max_rows: of all partitions; those of broadcast streams come besides.

    Returns:
        Strategy of `Streams`; in half of them all partitions have ended at the end.

    Raises:
        PlanError: no pipeline, or no such option; steps make the times of what is not to be late.

    >>> import pyarrow as pa, eventtime as et
    >>> from hypothesis import find
    >>> from eventtime.testing import Push
    >>> nothing = pa.table({"t": pa.array([], pa.timestamp("s")), "x": pa.array([], pa.int64())})
    >>> marked = et.from_arrow(nothing, time="t").watermark(et.bounded_disorder("1m"))
    >>> pipeline = marked.window(et.tumbling("1h")).aggregate(x=et.sum("x"))
    >>> find(streams(pipeline), lambda s: any(isinstance(step, Push) for step in s.steps)).steps
    (Push(partition='a', rows=[{'t': 0, 'x': 0}]),)
    """
    flags = {"late": late, "duplicates": duplicates, "nulls": nulls, "ties": ties}
    _check(partitions, max_rows, broadcasts=broadcasts, **flags)
    read = _checked(reads(pipeline, place="streams(pipeline)"), nulls=nulls, late=late)
    kinds = kinds_of(idle=idle, beat=heartbeats, changing=changing, stops=restarts, most=max_rows)
    told = rows_told(read, is_extreme=extreme_values) if broadcasts else []
    drawn = partial(_happening, read, kinds, cells(read, is_extreme=extreme_values), told)
    of = [drawn(a, has_again=duplicates and ties) for a in _arrivals(read, disorder, late=late)]
    odd = _odd(read, extreme_times=extreme_times, late=late)
    of_kinds = [cache(partial(one, some)) for one in of for some in odd]  # made when first drawn
    begin = partial(Telling, read, partitions=partitions, max_rows=max_rows, is_late=late)
    bases, known = _bases(read, extreme_times=extreme_times), st.integers(1, partitions)
    return _streams(of_kinds, max_rows + max_rows // 2, bases, known, partial(begin, has_ties=ties))


def _happening(
    read: Reads,
    kinds: Sequence[str],
    others: st.SearchStrategy[Row],
    told: Sequence[st.SearchStrategy[tuple[str, Row]]],
    arrival: Arrival,
    *,
    has_again: bool,
) -> Callable[[Sequence[Exactly]], st.SearchStrategy[Event | None]]:
    again = [Again(back, arrival.bound_us) for back in range(4) if has_again]
    places, brinks = arrival.places(read), arrival.brinks
    return lambda odd: events(read, places, again, kinds, others, odd, told, brinks)


def _odd(read: Reads, *, extreme_times: bool, late: bool) -> list[list[Exactly]]:
    fars = (False, False, True) if extreme_times else (False,)
    return [odd_times(read, far=far, late=late) for far in fars]


@st.composite
def _streams(
    draw: st.DrawFn,
    of_kinds: Sequence[Callable[[], st.SearchStrategy[Event | None]]],
    most: int,
    bases: Sequence[int],
    known: st.SearchStrategy[int],
    begin: Callable[..., Telling],
) -> Streams:
    telling = begin(draw(st.sampled_from(bases)), draw(known))
    drawn_of = draw(st.sampled_from(of_kinds))()
    for _ in range(most):
        if (event := draw(drawn_of)) is None:
            break
        telling.take(event)
    else:
        draw(drawn_of)  # and left out: so that one before it can be, and this takes its place
    return with_empty_batches(telling.told(is_ended=draw(st.booleans())))


def _check(partitions: object, max_rows: object, **flags: object) -> None:
    for name, number in (("partitions", partitions), ("max_rows", max_rows)):
        place = f"streams({name}=…)"
        check_whole(number, least=1, what="a number above zero", place=place, remedy="such as 3")
    for name, flag in flags.items():
        check_flag(flag, place=f"streams({name}=…)")


def _checked(read: Reads, *, nulls: bool, late: bool) -> Reads:
    """Return what is to be drawn; refuse pipelines of which it cannot be told what is late."""
    if not late and (read.time is None or read.made):
        made = f"{read.made[0]!r}" if read.made else "event times"
        msg = f"steps before the watermark make {made}, so rows may be late whatever is drawn"
        remedy = "leave late=False out, or give a source that has the times as they are"
        raise PlanError(msg, place="streams(late=False)", remedy=remedy)
    if nulls:
        return read
    told = {name: replace(rows, schema=_full(rows.schema)) for name, rows in read.told.items()}
    return replace(read, schema=_full(read.schema), told=told)


def _full(schema: pa.Schema) -> pa.Schema:
    return pa.schema([without_nulls(field) for field in schema])


def _arrivals(
    read: Reads, disorder: Arrival | Sequence[Arrival] | None, *, late: bool
) -> list[Arrival]:
    if disorder is None:
        within = bounded(f"{read.bound_us}us")
        behind = late_by_much(read)
        more = [behind, heavy_tailed(), adversarial(), behind, bursty()] if late else []
        return [in_order(), within, adversarial(), *more]
    given: list[Any] = list(disorder) if isinstance(disorder, list | tuple) else [disorder]
    for one in given or [given]:
        _check_arrival(one)
    return given


def _check_arrival(value: object) -> None:
    if not isinstance(value, Arrival):
        msg = f"{shown(value)} is no kind of disorder"
        remedy = "such as in_order(), bounded('1h') or adversarial(pipeline)"
        raise PlanError(msg, place="streams(disorder=…)", remedy=remedy)


def _bases(read: Reads, *, extreme_times: bool) -> list[int]:
    """Choose where time begins: near 1970, in the present, before 1970, at either end of time."""
    check_flag(extreme_times, place="streams(extreme_times=…)")
    if read.time is None:
        return [0]
    column, far = read.time[1], 16 * read.unit_us + read.bound_us
    extreme = [-_RECENT, column.latest_us - far, column.earliest_us + far]
    wanted = [0, 0, _RECENT, *(extreme if extreme_times else [])]
    return [time_us for time_us in wanted if column.within(time_us) == time_us]
