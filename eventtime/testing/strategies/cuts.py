"""The same rows in other batches, in other turns, and with restarts between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from eventtime.checks import check_whole, shown
from eventtime.errors import PlanError
from eventtime.testing.given import check_streams
from eventtime.testing.steps import Checkpoint, Crash, Finish, Push, Restart, Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.steps import Row, Step, Survived

__all__ = ("interleaved", "recut", "restarted", "survived", "with_empty_batches")


def recut(streams: Streams) -> st.SearchStrategy[Streams]:
    """The same, but for where batches end (S4): some joined, some cut, some empty.

    Args:
        streams: whose rows keep their order, and their place among all other steps.

    Raises:
        PlanError: no `Streams`.

    >>> from hypothesis import find
    >>> whole = Streams(("a",), (Push("a", [{"t": 1}, {"t": 2}]), Finish("a")))
    >>> find(recut(whole), lambda cut: len(cut.steps) > 2).steps[:2]
    (Push(partition='a', rows=[{'t': 1}]), Push(partition='a', rows=[{'t': 2}]))
    """
    check_streams(streams, place="recut(streams)")
    return _recut(streams)


@st.composite
def _recut(draw: st.DrawFn, streams: Streams) -> Streams:
    steps: list[Step] = []
    for step in streams.steps:
        if not isinstance(step, Push):
            steps.append(step)
            continue
        for row in step.rows:
            last = steps[-1] if steps else None
            follows = isinstance(last, Push) and last.partition == step.partition
            # 0: joined to the batch before; 1: a batch ends here; 2: and one without rows follows.
            cut = draw(st.integers(0, 2)) if follows else 1
            if cut == 2:
                steps.append(Push(step.partition, []))
            if isinstance(last, Push) and not cut:
                last.rows.append(row)
            else:
                steps.append(Push(step.partition, [row]))
    return replace(streams, steps=tuple(steps))


def with_empty_batches(streams: Streams) -> Streams:
    """The same, with a batch without rows wherever one follows another, every second time (S4).

    Nothing is drawn for it: it comes and goes with where batches end.
    """
    steps: list[Step] = []
    for step in streams.steps:
        last = steps[-1] if steps else None
        if isinstance(step, Push) and isinstance(last, Push):
            follows = step.partition == last.partition
            steps += [Push(step.partition, [])] * (follows and len(steps) % 2)
        steps.append(step)
    return replace(streams, steps=tuple(steps))


def survived() -> st.SearchStrategy[Survived]:
    """What nobody can tell."""
    every: list[Survived] = [Restart(), Crash(), Checkpoint()]
    return st.sampled_from(every)


def restarted(streams: Streams, *, most: int = 3) -> st.SearchStrategy[Streams]:
    """The same, with restarts, checkpoints and crashes between any two steps (S27, S28).

    Args:
        streams: what happens otherwise; give ``recut(…)`` of it for restarts between rows.
        most: of all three.

    Raises:
        PlanError: no `Streams`, or no such number.

    >>> from hypothesis import find
    >>> whole = Streams(("a",), (Push("a", [{"t": 1}]), Finish("a")))
    >>> find(restarted(whole), lambda broken: len(broken.steps) > 2).steps[0]
    Restart()
    """
    check_streams(streams, place="restarted(streams)")
    what, remedy = "a number of steps", "such as 3"
    check_whole(most, least=0, what=what, place="restarted(most=…)", remedy=remedy)
    return _restarted(streams, most)


@st.composite
def _restarted(draw: st.DrawFn, streams: Streams, most: int) -> Streams:
    steps = list(streams.steps)
    drawn = draw(st.lists(st.tuples(st.integers(0, len(steps)), survived()), max_size=most))
    for place, how in sorted(drawn, key=lambda one: one[0], reverse=True):
        steps.insert(place, how)
    return replace(streams, steps=tuple(steps))


def interleaved(
    partitions: Mapping[str, Sequence[Row]], *, start_us: int = 0
) -> st.SearchStrategy[Streams]:
    """Partitions that are given, their rows taken in any turns; each ends behind its last row.

    Args:
        partitions: rows of each, in their order.
        start_us: what the clock shows.

    Raises:
        PlanError: no rows by partition.

    >>> from hypothesis import find
    >>> given = {"a": [{"t": 1}], "b": [{"t": 2}]}
    >>> find(interleaved(given), lambda s: s.steps[0].partition == "b").steps[0]
    Push(partition='b', rows=[{'t': 2}])
    """
    given: object = partitions
    if not isinstance(given, Mapping):
        msg, remedy = f"{shown(given)} are no rows by partition", "such as {'a': [{'t': 0}]}"
        raise PlanError(msg, place="interleaved(partitions)", remedy=remedy)
    return _interleaved(partitions, start_us)


@st.composite
def _interleaved(
    draw: st.DrawFn, partitions: Mapping[str, Sequence[Row]], start_us: int
) -> Streams:
    left = {name: list(rows) for name, rows in partitions.items()}
    steps: list[Step] = []
    while left:
        name = draw(st.sampled_from(sorted(left)))
        n = draw(st.integers(1, max(len(left[name]), 1)))
        taken, left[name] = left[name][:n], left[name][n:]
        steps += [Push(name, taken)] if taken else []
        if not left[name]:
            steps.append(Finish(name))
            del left[name]
    return Streams(tuple(partitions), tuple(steps), start_us)
