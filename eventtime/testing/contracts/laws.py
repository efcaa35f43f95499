"""A law and the smallest example that breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import Flaky

from eventtime.checks import check_whole
from eventtime.errors import PlanError
from eventtime.testing.alike import alike

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

__all__ = ("BrokenLawError", "Law", "check_object", "hold", "is_same")

_Example = TypeVar("_Example")


def check_object(given: object, place: str) -> None:
    """Refuse a class where an object of it is meant.

    Raises:
        PlanError: shows how one is made.
    """
    if isinstance(given, type):
        msg = f"{given.__name__} is a class, and one object of it is checked"
        raise PlanError(msg, place=place, remedy=f"give {given.__name__}(…)")


class BrokenLawError(AssertionError):
    """Raised when something a user wrote does not keep its contract.

    Args:
        law: its name.
        text: for people.
    """

    def __init__(self, law: str, text: str) -> None:
        super().__init__(text)
        self.law = law


@dataclass(frozen=True)
class Law:
    """What must hold of something.

    Args:
        name: in few words; says: in one sentence.
    """

    name: str
    says: str


class _Broken(Exception):  # noqa: N818 - it tells Hypothesis, and nobody sees it
    def __init__(self, example: Any, found: str) -> None:
        super().__init__(found)
        self.example, self.found = example, found


def hold(
    subject: str,
    law: Law,
    examples: SearchStrategy[_Example],
    check: Callable[[_Example], str | None],
    *,
    max_examples: int,
) -> None:
    """Look for an example of which a law does not hold.

    Args:
        subject: what is checked, for the message.
        law: that is to hold.
        examples: drawn in the same order every time.
        check: returns what is wrong with one, or None; what it raises is wrong too.
        max_examples: to look at.

    Raises:
        BrokenLawError: with the smallest example found.
        PlanError: `max_examples` is no such number.
    """
    what, remedy = "a number of examples", "such as 100"
    check_whole(max_examples, least=1, what=what, place="max_examples=…", remedy=remedy)

    broken: list[_Broken] = []

    @settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck(check) for check in HealthCheck],
    )
    @given(examples)
    def look(example: _Example) -> None:
        try:
            found = check(example)
        except Exception as error:
            broken.append(_Broken(example, f"{type(error).__name__}: {error}"))
            raise broken[-1] from error
        if found is not None:
            broken.append(_Broken(example, found))
            raise broken[-1]

    try:
        look()
    except _Broken as last:
        text = _text(subject, law, last.found, last.example)
        raise BrokenLawError(law.name, text) from last.__cause__
    except Flaky as flaky:
        found = f"{broken[-1].found}; another time nothing, so the same input has several answers"
        text = _text(subject, law, found, broken[-1].example)
        raise BrokenLawError(law.name, text) from flaky


def _text(subject: str, law: Law, found: str, example: object) -> str:
    told = f"law:     {law.says}\n  found:   {found}\n  example: {example}"
    return f"{subject} breaks a law: {law.name}\n  {told}"


def is_same(a: pa.Array, b: pa.Array, tolerance: float = 0.0) -> bool:
    """Tell whether two arrays are equal, NaN to itself; floats up to a tolerance."""
    if a.type != b.type or len(a) != len(b):
        return False
    if pa.types.is_nested(a.type):
        return alike(a.to_pylist(), b.to_pylist(), tolerance)
    if not pa.types.is_floating(a.type):
        return bool(a.equals(b))
    if not a.is_valid().equals(b.is_valid()):
        return False
    x, y = (c.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False) for c in (a, b))
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
