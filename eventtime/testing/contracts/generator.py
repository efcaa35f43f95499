"""The contract of a user's watermark generator."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from eventtime.checks import check_flag, shown
from eventtime.errors import PlanError
from eventtime.testing.contracts.laws import Law, hold
from eventtime.watermark import RunningGenerator, custom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.running_custom import BatchGenerator

__all__ = ("check_generator",)

_MOST: Final = 24
"""Rows of a partition: some generators do otherwise once there are many."""

_ANSWERS: Final = Law(
    "answers can be used", "on_batch returns None, one integer, or one for each row"
)
_CUTS: Final = Law(
    "cuts do not show", "the watermark after each row is the same in any batches (S4)"
)
_MONOTONE: Final = Law("never goes back", "no answer is below an earlier one")
_OWN: Final = Law("partitions are apart", "what one partition's object saw changes no other's")
_RESUMES: Final = Law(
    "goes on from its state", "an object that was given the state answers as the one it came from"
)


def check_generator(
    make: Callable[[], BatchGenerator] | BatchGenerator,
    *,
    by_row: bool = True,
    monotone: bool = False,
    max_examples: int = 100,
) -> None:
    """Check that a watermark generator of yours keeps the contract of `eventtime.BatchGenerator`.

    If it has `get_state`, an object that is given what it returns must go on as the first.

    Args:
        make: what `eventtime.custom` is given: a class or function, or one object for all.
        by_row: whether batches must not show; False for one that answers once a batch, on purpose.
        monotone: whether its own answers must never go back; the engine clamps them anyway.
        max_examples: for each law.

    Raises:
        BrokenLawError: names the law, with the smallest example; an AssertionError.
        PlanError: it has no `on_batch`, or cannot be made.

    >>> class Latest:
    ...     def on_batch(self, timestamps_us):
    ...         return int(timestamps_us.max())  # wrong: it forgets where in the batch
    >>> check_generator(Latest)
    Traceback (most recent call last):
    ...
    eventtime.testing.contracts.laws.BrokenLawError: custom(Latest) breaks a law: cuts do not show
      law:     the watermark after each row is the same in any batches (S4)
      found:   [0, 0] in batches of [1, 1] rows, [-inf, 0] in one
      example: ([0, 0], [1])
    """
    for name, flag in (("by_row", by_row), ("monotone", monotone)):
        check_flag(flag, place=f"check_generator({name}=…)")
    described = custom(make)  # type: ignore[arg-type]  # a function that makes one will do
    made = _made(make, described.describe()) if callable(make) else make
    # Of one object each example has a copy, which has seen nothing.
    laws = _Laws(lambda: (described if callable(make) else copy.deepcopy(described)).build("a"))
    second = st.integers(-5, 20).map(lambda n: n * 1_000_000)
    times = st.lists(second, min_size=1, max_size=_MOST)
    cut = st.tuples(times, st.lists(st.integers(1, _MOST - 1), max_size=3).map(sorted))
    checks: list[tuple[Law, Any, Callable[[Any], str | None]]] = [
        (_ANSWERS, times, laws.answers),
        *([(_CUTS, cut, laws.cuts_do_not_show)] if by_row else []),
        *([(_MONOTONE, cut, laws.never_goes_back)] if monotone else []),
    ]
    if callable(make):
        checks.append((_OWN, st.tuples(times, times), laws.partitions_are_apart))
    if hasattr(made, "get_state"):
        checks.append((_RESUMES, st.tuples(times, times), laws.goes_on))
    for law, examples, check in checks:
        hold(described.describe(), law, examples, check, max_examples=max_examples)


def _made(make: Callable[[], BatchGenerator], name: str) -> BatchGenerator:
    place, remedy = (
        "check_generator(make=…)",
        "give what makes one without arguments: a class or a ",
    )
    remedy += "function such as lambda: Lag(5)"
    try:
        made = make()
    except Exception as error:
        msg = f"{name} makes no generator: {error}"
        raise PlanError(msg, place=place, remedy=remedy) from error
    if not hasattr(made, "on_batch"):
        msg = f"{name} makes {shown(made)}, which has no on_batch(timestamps_us)"
        raise PlanError(msg, place=place, remedy=remedy)
    return made


class _Laws:
    """The laws of one generator; each method returns what is wrong with an example."""

    def __init__(self, build: Callable[[], RunningGenerator]) -> None:
        self._build = build

    def answers(self, times: list[int]) -> None:
        _told(self._build(), times)

    def cuts_do_not_show(self, example: tuple[list[int], list[int]]) -> str | None:
        times, places = example
        whole = np.maximum.accumulate(_told(self._build(), times))
        pieces = _pieces(times, places)
        in_pieces = np.maximum.accumulate(_in_batches(self._build(), pieces))
        if np.array_equal(whole, in_pieces):
            return None
        batches = [len(piece) for piece in pieces]
        return f"{_shown(in_pieces)} in batches of {batches} rows, {_shown(whole)} in one"

    def never_goes_back(self, example: tuple[list[int], list[int]]) -> str | None:
        answers = _in_batches(self._build(), _pieces(*example))
        heard = answers[answers > _NOTHING]
        return None if (np.diff(heard) >= 0).all() else f"answers {_shown(answers)}"

    def partitions_are_apart(self, pair: tuple[list[int], list[int]]) -> str | None:
        alone = _told(self._build(), pair[1])
        other, own = self._build(), self._build()
        # Far ahead: what is shared would have seen nothing like it.
        _told(other, [time_us + _FAR_US for time_us in pair[0]])
        beside = _told(own, pair[1])
        if np.array_equal(alone, beside):
            return None
        return f"{_shown(beside)} after another partition, {_shown(alone)} alone"

    def goes_on(self, pair: tuple[list[int], list[int]]) -> str | None:
        first, restored = self._build(), self._build()
        _told(first, pair[0])
        restored.set_state(json.loads(json.dumps(first.get_state())))
        wanted, got = _told(first, pair[1]), _told(restored, pair[1])
        return None if np.array_equal(wanted, got) else f"{_shown(got)}, not {_shown(wanted)}"


_NOTHING: Final = -(2**63)
_FAR_US: Final = 10**15


def _told(generator: RunningGenerator, times: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    column = np.array(times, np.int64)
    batch = pa.record_batch({"t": pa.array(column)})
    return np.asarray(generator.advance(column, batch))


def _in_batches(
    generator: RunningGenerator, pieces: Sequence[Sequence[int]]
) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([_told(generator, piece) for piece in pieces])


def _pieces(times: Sequence[int], places: Sequence[int]) -> list[list[int]]:
    borders = sorted({0, *(min(place, len(times)) for place in places), len(times)})
    return [list(times[a:b]) for a, b in pairwise(borders)]


def _shown(watermarks: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    words = ["-inf" if w == _NOTHING else str(w) for w in watermarks.tolist()]
    return f"[{', '.join(words)}]"
