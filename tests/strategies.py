"""Hypothesis strategies for streams: what goes in, how it is cut into batches, how it is computed.

Everything is drawn as small integers, scaled to seconds or microseconds and moved to a base time
afterwards, so failing examples shrink to a few rows near the origin. Values are multiples of 1/8
within small bounds: their float sums are exact, in any order. `floats="free"` gives any floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st

from eventtime.testing.reference import (
    TIME_LIMIT,
    Aggregate,
    Bounded,
    Oracle,
    Spec,
)
from eventtime.testing.steps import AddPartition, AdvanceClock, Finish, PollEmpty, Push
from marks import Custom, PunctuatedColumn, PunctuatedWhere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reference import Row

COLUMNS = ("t", "key", "name", "n", "x", "b", "mark", "is_mark")
"""Columns of every row: event time, two keys, three values, two carriers of watermarks."""

NUMBERS = ("sum", "min", "max", "mean", "var", "stddev")
ANY_TYPE = ("count", "first", "last", "count_distinct", "collect")
AGGREGATES = (
    Aggregate("rows", "count"),
    *(Aggregate(f"{f}_{c}", f, c) for c in ("n", "x") for f in (*NUMBERS, *ANY_TYPE)),
    *(Aggregate(f"{f}_b", f, "b") for f in ("any", "all", "sum", "count", "first", "last")),
    *(Aggregate(f"{f}_name", f, "name") for f in ("min", "max", *ANY_TYPE)),
)
"""Every aggregate on every column it suits."""

RECENT = 1_383_264_000_000_000
BASES = (0, RECENT, -RECENT, TIME_LIMIT - 40_000_000, 40_000_000 - TIME_LIMIT)


@dataclass(frozen=True)
class Lag:
    """A watermark of the user: the time less a constant, told at every second row only."""

    by: int

    def __call__(self) -> Callable[[int], int | None]:
        """A new one, which counts its own rows."""
        seen = 0

        def watermark(t: int) -> int | None:
            nonlocal seen
            seen += 1
            return t - self.by if seen % 2 == 0 else None

        return watermark


@dataclass(frozen=True)
class Case:
    """One generated replay."""

    spec: Spec
    partitions: dict[str, list[Row]]


# Rows


def values(*, floats: str = "exact") -> st.SearchStrategy[Row]:
    """Keys and values of one row; each can be null, and few are distinct."""
    exact = st.integers(-64, 64).map(lambda eighths: eighths / 8)
    names = ["a", "", "b", "é", "long enough not to fit inline"]
    keys = st.one_of(st.integers(0, 3), st.none(), st.sampled_from([-1, 2**63 - 1, -(2**63)]))
    return st.fixed_dictionaries(
        {
            "key": keys,
            "name": st.one_of(st.sampled_from(names), st.none()),
            "n": st.one_of(st.integers(-9, 9), st.none()),
            "x": st.one_of(exact if floats == "exact" else st.floats(), st.none()),
            "b": st.one_of(st.booleans(), st.none()),
            "is_mark": st.one_of(st.booleans(), st.none()),
        }
    )


def _delays(*, is_extreme: bool) -> st.SearchStrategy[int | None]:
    """How far a row is off its place: mostly near, at times far, missing, or at the end of time."""
    near, behind, far = st.integers(-3, 3), st.integers(-20, 0), st.integers(-60, 60)
    wild = [None, TIME_LIMIT, -TIME_LIMIT, TIME_LIMIT + 1, -TIME_LIMIT - 1, 2**63 - 1, -(2**63)]
    rare = st.sampled_from(wild) if is_extreme else st.none()
    return st.one_of(*[near] * 6, *[behind] * 4, far, rare)


@st.composite
def row_lists(
    draw: st.DrawFn, *, unit: int, base: int, floats: str = "exact", max_size: int = 20
) -> list[Row]:
    """Rows of one partition: time goes on by a pace, and every row is some way off it."""
    is_extreme = draw(st.sampled_from([False, False, False, True]))
    pace = draw(st.integers(0, 4))
    start = draw(st.integers(-5, 10))
    one = st.tuples(_delays(is_extreme=is_extreme), values(floats=floats))
    min_size = draw(st.sampled_from([0, max_size // 2]))
    drawn = draw(st.lists(one, min_size=min_size, max_size=max_size))
    marks = st.one_of(st.none(), st.integers(-8, 4))
    rows: list[Row] = []
    for i, (delay, cells) in enumerate(drawn):
        t = delay
        if t is not None and abs(t) < TIME_LIMIT:
            t = base + (start + i * pace + t) * unit
        mark = draw(marks)
        cells |= {"t": t, "mark": None if mark is None else base + (start + i * pace + mark) * unit}
        rows.append({name: cells[name] for name in COLUMNS})
    return rows


# Pipelines


def generators(unit: int) -> st.SearchStrategy[Any]:
    """Every generator whose watermark a rule defines (the percentile learns its own bound)."""
    bound = st.integers(0, 10).map(lambda n: n * unit)
    return st.one_of(
        *[bound.map(Bounded)] * 2,
        *[st.just(Bounded())] * 2,
        st.just(PunctuatedColumn("mark")),
        st.just(PunctuatedWhere("is_mark")),
        bound.map(Lag).map(Custom),
    )


@st.composite
def specs(draw: st.DrawFn, *, unit: int, base: int = 0, has_global: bool = True) -> Spec:
    """Windows of any size, slide and offset, also global; lateness, mode, keys, aggregates."""
    size = draw(st.integers(1, 12))
    slide = draw(st.one_of(st.none(), st.integers(1, size)))
    spec = Spec(
        size=size * unit,
        slide=None if slide is None else slide * unit,
        offset=draw(st.integers(-15, 15)) * unit,
        lateness=draw(st.one_of(st.just(0), st.integers(1, 15), st.integers(1, 30))) * unit,
        mode=draw(st.sampled_from(["accumulating", "discarding", "retracting"])),
        keys=draw(st.sampled_from([("key",), (), ("name",), ("key", "name"), ("b", "key")])),
        aggregates=tuple(
            draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=4, unique=True))
        ),
        generator=draw(generators(unit)),
        max_future=draw(st.one_of(*[st.none()] * 4, st.integers(0, 40).map(lambda n: n * unit))),
    )
    is_global = has_global and draw(st.sampled_from([False] * 9 + [True]))
    return replace(spec, size=None, slide=None, offset=0) if is_global else spec


@st.composite
def cases(
    draw: st.DrawFn, *, floats: str = "exact", max_size: int = 20, has_global: bool = True
) -> Case:
    """One to three partitions and a pipeline over them."""
    unit = draw(st.sampled_from([1, 1_000_000]))
    base = draw(st.sampled_from(BASES))
    spec = draw(specs(unit=unit, has_global=has_global))
    names = draw(st.sampled_from([("a",), ("a", "b"), ("c", "a", "b")]))
    lists = row_lists(unit=unit, base=base, floats=floats, max_size=max_size)
    return Case(spec, {name: draw(lists) for name in names})


# Cuts


def cuts(rows: Sequence[Row]) -> st.SearchStrategy[list[int]]:
    """Places at which a partition is cut into batches; a place twice makes an empty batch."""
    return st.lists(st.integers(0, len(rows)), max_size=6).map(sorted)


def cut(rows: Sequence[Row], places: Sequence[int]) -> list[list[Row]]:
    """The same rows in batches.

    >>> cut([{"t": 1}, {"t": 2}], [1, 1])
    [[{'t': 1}], [], [{'t': 2}]]
    """
    borders = [0, *places, len(rows)]
    return [list(rows[a:b]) for a, b in pairwise(borders)]


@st.composite
def cut_cases(draw: st.DrawFn, *, floats: str = "free") -> tuple[Case, dict[str, list[int]]]:
    """A replay and a way to cut each of its partitions."""
    case = draw(cases(floats=floats))
    return case, {name: draw(cuts(rows)) for name, rows in case.partitions.items()}


# Live schedules


Step: TypeAlias = Push | PollEmpty | AdvanceClock | Finish | AddPartition


@dataclass(frozen=True)
class Schedule:
    """One generated live run; the partitions `names` are known at its start."""

    spec: Spec
    names: tuple[str, ...]
    steps: list[Step]


@st.composite
def schedules(draw: st.DrawFn, *, floats: str = "exact", max_size: int = 15) -> Schedule:
    """Pushes, empty polls, clock steps, finishes and late-found partitions; idleness is likely."""
    unit = draw(st.sampled_from([1, 1_000_000]))
    base = draw(st.sampled_from([0, RECENT]))
    spec = replace(
        draw(specs(unit=unit)),
        idle_after=draw(st.one_of(st.none(), *[st.integers(1, 4).map(lambda n: n * unit)] * 4)),
        all_idle=draw(st.sampled_from(["hold", "flush_max"])),
    )
    names = draw(st.sampled_from([("a",), ("a", "b")]))
    unfinished, unfound = list(names), ["c", "d"]
    steps: list[Step] = [AdvanceClock(base)]
    kinds = ["push", "push", "push", "poll", "clock", "quiet", "quiet", "finish", "add"]
    min_size = draw(st.sampled_from([0, max_size // 2]))
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=min_size, max_size=max_size)):
        name = draw(st.sampled_from(unfinished))
        if kind == "push":
            rows = row_lists(unit=unit, base=base, floats=floats, max_size=8)
            steps.append(Push(name, draw(rows)))
        elif kind == "poll":
            steps.append(PollEmpty(name))
        elif kind == "clock":
            steps.append(AdvanceClock(draw(st.integers(1, 6)) * unit))
        elif kind == "quiet":
            by = draw(st.integers(1, 6)) * unit
            steps += [PollEmpty(name), AdvanceClock(by), PollEmpty(name)]
        elif kind == "finish" and len(unfinished) > 1:
            unfinished.remove(name)
            steps.append(Finish(name))
        elif kind == "add" and unfound:
            unfinished.append(unfound.pop(0))
            steps.append(AddPartition(unfinished[-1], historical=draw(st.booleans())))
    if draw(st.booleans()):
        steps += [Finish(name) for name in unfinished]
    return Schedule(spec, names, steps)


def drive(oracle: Oracle, step: Step) -> None:
    """Do one step of a schedule."""
    match step:
        case Push(name, rows):
            oracle.push(name, rows)
        case PollEmpty(name):
            oracle.poll_empty(name)
        case AdvanceClock(by):
            oracle.advance_clock(by)
        case Finish(name):
            oracle.finish(name)
        case AddPartition(name, historical):
            oracle.add_partition(name, historical=historical)
