"""What users write: a process function, and what is known of it before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import shown
from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import PlanError
from eventtime.state.declared import Declared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("Function", "ProcessFunction", "known_function")

_BY_ROW: Final = ("on_row", "on_timer", "on_processing_timer")
_BY_BATCH: Final = ("on_batch", "on_timers", "on_processing_timers")


class ProcessFunction:
    """Base class of functions over the rows of each key, with state and timers.

    Subclasses declare states as attributes, such as ``seen = et.value_state(pa.int64())``, and have
    either methods for one row at a time, which are easier:

    - ``on_row(self, ctx, row)``: a row, as a dict; see `RowContext`
    - ``on_timer(self, ctx, time_us)``: the watermark passed a timer of event time
    - ``on_processing_timer(self, ctx, time_us)``: the clock passed one of processing time

    or methods for many rows of many keys, which are faster:

    - ``on_batch(self, ctx, batch)``: rows, as a record batch; see `BatchContext`
    - ``on_timers(self, ctx)``: timers by event time; `ctx` says of which keys and when
    - ``on_processing_timers(self, ctx)``: likewise by processing time

    and, in either form, ``on_broadcast(self, ctx, name, row)`` for changes of broadcast state.

    States and timers survive; other attributes of the object do not. Each run works on a copy.

    `timers_at_least`, of a function over batches: how far ahead of the watermark it sets timers, at
    the least. Batches are cut so that none of their timers can fire within them, so the more the
    faster.

    >>> import pyarrow as pa, eventtime as et
    >>> class Numbered(et.ProcessFunction):
    ...     n = et.value_state(pa.int64(), default=0)
    ...
    ...     def on_row(self, ctx, row):
    ...         self.n.value += 1
    ...         ctx.emit(who=row["who"], n=self.n.value)
    >>> rows = pa.table({"t": pa.array([1, 2, 3], pa.timestamp("s")), "who": ["a", "b", "a"]})
    >>> stream = et.from_arrow(rows, time="t").watermark(et.ascending()).key_by("who")
    >>> output = pa.schema({"who": pa.string(), "n": pa.int64()})
    >>> stream.process(Numbered(), output=output).to_table().column("n").to_pylist()
    [1, 1, 2]
    """

    timers_at_least: DurationLike = "0s"


class _OfRows(ProcessFunction):
    """A plain function of context and row."""

    def __init__(self, function: Callable[[Any, Any], object]) -> None:
        self.on_row = function


@dataclass(frozen=True)
class Function:
    """A process function whose form is known.

    Args:
        instance: that methods are called on, as the user made it.
        name: for messages.
        is_batch: whether it takes batches.
        states: by name.
        at_least_us: of its timers.
    """

    instance: Any
    name: str
    is_batch: bool
    states: Mapping[str, Declared]
    at_least_us: int

    def method(self, by_row: str) -> str:
        """Return the name of a method in the form that the function has."""
        return _BY_BATCH[_BY_ROW.index(by_row)] if self.is_batch else by_row

    def has(self, by_row: str) -> bool:
        """Tell whether it has a method, named as for one row at a time."""
        return callable(getattr(self.instance, self.method(by_row), None))

    @property
    def needs_clock(self) -> bool:
        """Whether anything in it goes by processing time."""
        by_clock = [s for s in self.states.values() if s.ttl_us and s.ttl_clock == "processing"]
        return bool(by_clock) or self.has("on_processing_timer")

    @property
    def has_broadcast(self) -> bool:
        """Whether it takes rows of a second stream."""
        return callable(getattr(self.instance, "on_broadcast", None))

    def describe(self) -> str:
        """Return the name and what it holds."""
        states = ", ".join(f"{name}={state.describe()}" for name, state in self.states.items())
        timers = ""
        if self.is_batch and self.has("on_timer"):
            timers = f", timers at least {format_us(self.at_least_us)} ahead"
        return f"{self.name}({states}){timers}"


def known_function(function: object, states: Mapping[str, Declared] | None) -> Function:
    """Look at what the user gave.

    Args:
        function: a `ProcessFunction`, or a function of context and row.
        states: of a function; those of a class are its attributes.

    Raises:
        PlanError: it is neither, or has methods of both forms or of none.
    """
    place = "process(function)"
    if isinstance(function, type) and issubclass(function, ProcessFunction):
        msg = f"{function.__name__} is a class"
        raise PlanError(msg, place=place, remedy=f"give an object: {function.__name__}()")
    if isinstance(function, ProcessFunction):
        instance, name = function, type(function).__name__
    elif callable(function):
        instance = _OfRows(function)
        name = str(getattr(function, "__name__", type(function).__name__))
    else:
        msg = f"{shown(function)} is no process function"
        remedy = "subclass et.ProcessFunction, or give a function of context and row"
        raise PlanError(msg, place=place, remedy=remedy)
    is_batch = _is_batch(instance, name, place)
    at_least_us = parse_us(instance.timers_at_least, name="timers_at_least")
    return Function(instance, name, is_batch, _states(instance, states), at_least_us)


def _is_batch(instance: object, name: str, place: str) -> bool:
    has = [m for m in (*_BY_ROW, *_BY_BATCH) if callable(getattr(instance, m, None))]
    row, batch = (set(has) & set(form) for form in (_BY_ROW, _BY_BATCH))
    if row and batch:
        msg = f"{name} has {' and '.join(has)}: one form for rows, the other for batches"
        raise PlanError(msg, place=place, remedy="keep to one of the forms")
    if "on_row" not in has and "on_batch" not in has:
        msg = f"{name} has neither on_row nor on_batch"
        raise PlanError(msg, place=place, remedy="define on_row(self, ctx, row)")
    return "on_batch" in has


def _states(instance: object, given: Mapping[str, Declared] | None) -> dict[str, Declared]:
    found: dict[str, Declared] = {}
    for part in [*(vars(c) for c in reversed(type(instance).__mro__)), vars(instance)]:
        found |= {name: value for name, value in part.items() if isinstance(value, Declared)}
    for name, state in (given or {}).items():
        declared: object = state
        if not isinstance(declared, Declared) or not str(name).isidentifier() or name in found:
            msg = f"{shown(name)}: {shown(state)} is no state with a name of its own"
            remedy = "such as states={'seen': et.value_state(pa.int64())}"
            raise PlanError(msg, place="process(states=…)", remedy=remedy)
        found[name] = state
    return found
