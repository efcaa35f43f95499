"""What is computed once of a plan, for all engines that run it, and forgotten with it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import finalize

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("once",)

Of = TypeVar("Of")
Result = TypeVar("Result")


def once(compute: Callable[[Of], Result]) -> Callable[[Of], Result]:
    """Compute once for each object: of equal ones, of each.

    Args:
        compute: of an object that does not change and can be referred to weakly; what it returns
            does not refer to it, and nobody changes that.

    >>> class Plan: ...
    >>> asked = []
    >>> look, plan = once(asked.append), Plan()
    >>> look(plan), look(plan), len(asked)
    (None, None, 1)
    """
    known: dict[int, Result] = {}

    @wraps(compute)
    def asked(of: Of) -> Result:
        number = id(of)
        if number not in known:
            known[number] = compute(of)
            finalize(of, known.pop, number, None).atexit = False
        return known[number]

    return asked
