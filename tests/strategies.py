"""Specs for the oracle, drawn, and what happens to their pipelines, as the testing kit draws it.

Aggregates of every kind over values whose float sums are exact, in any order; `floats="free"` gives
any floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from hypothesis import strategies as st

from engine_runs import SCHEMA, source_of, stream_of
from eventtime.testing.reference import Aggregate, Bounded, Spec
from eventtime.testing.steps import AddPartition, AdvanceClock, Finish, Heartbeat, PollEmpty, Push
from eventtime.testing.strategies import keys, streams, values
from marks import Custom, PunctuatedColumn, PunctuatedWhere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reference import Row
    from eventtime.testing.steps import Streams

KEYS = ("key", "name", "b")
NUMBERS = ("sum", "min", "max", "mean", "var", "stddev")
ANY_TYPE = ("count", "first", "last", "count_distinct", "collect")
AGGREGATES = (
    Aggregate("rows", "count"),
    *(Aggregate(f"{f}_{c}", f, c) for c in ("n", "x") for f in (*NUMBERS, *ANY_TYPE)),
    *(Aggregate(f"{f}_b", f, "b") for f in ("any", "all", "sum", "count", "first", "last")),
    *(Aggregate(f"{f}_name", f, "name") for f in ("min", "max", *ANY_TYPE)),
)
"""Every aggregate on every column it suits."""


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


# Rows, which the testing kit draws


def cells() -> st.SearchStrategy[Row]:
    """All columns but the time, without watermarks."""
    drawn = [f for f in SCHEMA if f.name not in ("t", "mark")]
    columns = {f.name: keys(f) if f.name in KEYS else values(f) for f in drawn}
    return st.fixed_dictionaries({**columns, "mark": st.none()})


def partitions_of(
    spec: Spec, *, floats: str = "exact", max_rows: int = 30, partitions: int = 3
) -> st.SearchStrategy[dict[str, list[Row]]]:
    """Rows of several partitions, for a replay; times about the windows of the spec."""
    only_rows = {"idle": False, "heartbeats": False, "changing": False}
    most = {"max_rows": max_rows, "partitions": partitions}
    return _happening(spec, floats=floats, **most, **only_rows).map(_rows_by_partition)


def _rows_by_partition(happening: Streams) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {name: [] for name in happening.partitions}
    for step in happening.steps:
        if isinstance(step, Push):
            rows[step.partition] += step.rows
    return rows


@st.composite
def _happening(draw: st.DrawFn, /, spec: Spec, *, floats: str, **how: Any) -> Streams:
    """What the kit draws for the pipeline of a spec; restarts are drawn by tests that have any."""
    happening = draw(streams(stream_of(source_of({"a": []}), spec), restarts=False, **how))
    if floats == "free":
        for step in happening.steps:
            for row in step.rows if isinstance(step, Push) else []:
                row["x"] = draw(st.one_of(st.just(row["x"]), st.floats()))
    return happening


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
def specs(draw: st.DrawFn, *, unit: int, has_global: bool = True) -> Spec:
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
    draw: st.DrawFn, *, floats: str = "exact", max_rows: int = 30, has_global: bool = True
) -> Case:
    """One to three partitions and a pipeline over them."""
    spec = draw(specs(unit=draw(st.sampled_from([1, 1_000_000])), has_global=has_global))
    partitions = draw(partitions_of(spec, floats=floats, max_rows=max_rows))
    # Neither is the order of their names that in which they are given.
    names = draw(st.permutations(sorted(partitions)))
    return Case(spec, {name: partitions[name] for name in names})


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


Step: TypeAlias = Push | PollEmpty | AdvanceClock | Finish | AddPartition | Heartbeat


@dataclass(frozen=True)
class Schedule:
    """One generated live run; the partitions `names` are known at its start."""

    spec: Spec
    names: tuple[str, ...]
    steps: list[Step]


@st.composite
def schedules(draw: st.DrawFn, *, floats: str = "exact", max_rows: int = 14) -> Schedule:
    """All that can happen to a live run, drawn by the testing kit; idleness is likely."""
    unit = draw(st.sampled_from([1, 1_000_000]))
    spec = replace(
        draw(specs(unit=unit)),
        idle_after=draw(st.one_of(st.none(), *[st.integers(1, 4).map(lambda n: n * unit)] * 4)),
        all_idle=draw(st.sampled_from(["hold", "flush_max"])),
    )
    happening = draw(_happening(spec, floats=floats, max_rows=max_rows, partitions=4))
    steps = [AdvanceClock(happening.start_us), *cast("tuple[Step, ...]", happening.steps)]
    return Schedule(spec, happening.partitions, steps)
