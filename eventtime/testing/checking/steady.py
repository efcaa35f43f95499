"""Checks hold, or it is told whether the pipeline's own code has several answers to one input."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from eventtime.testing.checking.broken import BrokenRuleError
from eventtime.testing.checking.case import Case
from eventtime.testing.checking.invariance import compared

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.stream import Stream
    from eventtime.testing.steps import Streams

__all__ = ("hold",)

_STEADY: Final = ("check", "S4, S28")
_WHAT: Final = (
    "the same input has another answer when it comes again: a function of the pipeline remembers"
    " something outside its state (a global, an attribute), or goes by chance or a clock"
)
_RUNS: Final = frozenset({"expected", "whole", "single", "undisturbed"})


def hold(case: Case, *checks: Callable[[Case], None]) -> None:
    """Go through checks.

    A pipeline that was once seen to have several answers to one input is refused from then on, for
    what it gives next is no evidence: a second call, or Hypothesis that looks again, would pass.

    Args:
        case: a pipeline, and what happens to it.
        checks: each raises if it does not hold.

    Raises:
        BrokenRuleError: the first that does not hold, or that there are several answers.
    """
    _refuse_unsteady(case)
    for holds in checks:
        try:
            holds(case)
        except BrokenRuleError as error:
            broken = error
        else:
            continue
        if found := _unsteady(case):
            _seen(case.pipeline).append((case.streams, found))
            _refuse_unsteady(case)
        raise broken


def _refuse_unsteady(case: Case) -> None:
    for streams, found in _seen(case.pipeline):
        raise BrokenRuleError(*_STEADY, _WHAT, found, case.pipeline, streams)


@lru_cache(maxsize=16)
def _seen(pipeline: Stream) -> list[tuple[Streams, list[str]]]:
    """Return what was found of a pipeline, at first nothing."""
    return []


def _unsteady(case: Case) -> list[str]:
    """Do again what was done, in its order, and return the first that differs."""
    again = Case(case.pipeline, case.streams)
    for name in [name for name in vars(case) if name in _RUNS]:
        try:
            got: Any = getattr(again, name)
        except Exception as error:  # noqa: BLE001 - the first time there was none
            return [f"{type(error).__name__}: {error}"]
        before = getattr(case, name)
        if name != "expected":
            found = compared(case, got, before)
        else:
            is_same = repr(got) == repr(before)  # NaN is itself there
            found = [] if is_same else [f"the oracle: {got.results}, not {before.results}"]
        if found:
            return found
    return []
