"""State by key as it is declared: forms, Arrow types, time to live. Nothing is held here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import pyarrow as pa

from eventtime.checks import check_callable, is_one_of, shown
from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import PlanError
from eventtime.lanes import DECIMAL, INT, OBJECT, UINT64, lane_kind
from eventtime.state.exact import scalar_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "Declared",
    "Form",
    "Reduction",
    "Scope",
    "TtlClock",
    "aggregating_state",
    "broadcast_state",
    "list_state",
    "map_state",
    "operator_state",
    "reducing_state",
    "value_state",
)

Form = Literal["value", "list", "map", "reducing", "aggregating"]
Scope = Literal["key", "operator", "broadcast"]
TtlClock = Literal["event", "processing"]
Reduction = Literal["sum", "min", "max"]
_NAMED: Final = get_args(Reduction)


@dataclass(frozen=True)
class Declared:
    """One state of a process function, as an attribute of its class.

    In a run the attribute is what holds the values: see `docs/process.md`.

    Args:
        form: value, list, map, reducing or aggregating.
        kind: Arrow type of a value (aggregating: of an accumulator).
        key_kind: of the keys of a map.
        ttl_us: how long after it was last written a value lives; None: until it is cleared.
        ttl_clock: by which time.
        default: what a value is where there is none.
        reduce: how a reducing state joins two values.
        start, add, result: of an aggregating state.
        scope: whether there is one for each key, or one for all.
    """

    form: Form
    kind: pa.DataType
    key_kind: pa.DataType | None = None
    ttl_us: int | None = None
    ttl_clock: TtlClock = "event"
    default: Any = None
    reduce: Reduction | Callable[[Any, Any], Any] | None = None
    start: Any = None
    add: Callable[[Any, Any], Any] | None = None
    result: Callable[[Any], Any] | None = None
    scope: Scope = "key"

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Return the declaration; in a run the attribute of the instance hides it."""
        return self

    @property
    def is_packed(self) -> bool:
        """Whether values are words in an array; otherwise they are objects."""
        return self.form in {"value", "reducing"} and lane_kind(self.kind) not in {OBJECT, DECIMAL}

    def describe(self) -> str:
        """Return all that a saved state depends on, in words."""
        kinds = str(self.kind) if self.key_kind is None else f"{self.key_kind}: {self.kind}"
        how = f", {_name(self.reduce)}" if self.reduce is not None else ""
        how += f", {_name(self.add)}, {_name(self.result)}" if self.add is not None else ""
        lives = "" if self.ttl_us is None else f", lives {format_us(self.ttl_us)}"
        lives += f" of {self.ttl_clock} time" if lives else ""
        whose = "" if self.scope == "key" else f"{self.scope} "
        return f"{whose}{self.form}({kinds}{how}{lives})"


def value_state(
    kind: pa.DataType,
    *,
    default: object = None,
    ttl: DurationLike | None = None,
    ttl_clock: TtlClock = "event",
) -> Declared:
    """Declare one value for each key.

    Args:
        kind: its Arrow type. Up to eight bytes wide it lives in an array, and batches are fast.
        default: what it is where there is none.
        ttl: how long after it was last written it lives: an event time, since the later of the
            row's time and the watermark, until the watermark is there.
        ttl_clock: 'event', or 'processing' for time by the clock, in an `Engine` only.

    Raises:
        PlanError: no Arrow type, or a default of another type.
    """
    kind, ttl_us = _checked("value_state", kind, ttl, ttl_clock)
    if default is not None:
        _check_scalar(default, kind, "value_state(default=…)")
    return Declared("value", kind, None, ttl_us, ttl_clock, default)


def list_state(
    kind: pa.DataType, *, ttl: DurationLike | None = None, ttl_clock: TtlClock = "event"
) -> Declared:
    """Declare a list of values for each key; it lives `ttl` longer each time something is added."""
    kind, ttl_us = _checked("list_state", kind, ttl, ttl_clock)
    return Declared("list", kind, None, ttl_us, ttl_clock)


def map_state(
    key_kind: pa.DataType,
    kind: pa.DataType,
    *,
    ttl: DurationLike | None = None,
    ttl_clock: TtlClock = "event",
) -> Declared:
    """Declare a map for each key, such as by window; each entry has a time to live of its own."""
    kind, ttl_us = _checked("map_state", kind, ttl, ttl_clock)
    _checked("map_state", key_kind, None, "event")
    t = pa.types
    text = t.is_string(key_kind) or t.is_large_string(key_kind)
    if not (text or t.is_binary(key_kind) or lane_kind(key_kind) in {INT, UINT64}):
        msg = f"a map cannot have keys of type {key_kind}"
        remedy = "integers, times, text and binary can be keys"
        raise PlanError(msg, place="map_state(key_type)", remedy=remedy)
    return Declared("map", kind, key_kind, ttl_us, ttl_clock)


def reducing_state(
    kind: pa.DataType,
    how: Reduction | Callable[[Any, Any], Any],
    *,
    ttl: DurationLike | None = None,
    ttl_clock: TtlClock = "event",
) -> Declared:
    """Declare a value for each key that takes others in.

    Args:
        kind: its Arrow type.
        how: 'sum', 'min', 'max', or a function of the value held and a new one.
        ttl: see `value_state`.
        ttl_clock: likewise.

    Raises:
        PlanError: neither a function nor one of the words, or a word for a type it does not suit.
    """
    kind, ttl_us = _checked("reducing_state", kind, ttl, ttl_clock)
    if callable(how):
        return Declared("reducing", kind, None, ttl_us, ttl_clock, reduce=how)
    if not is_one_of(how, _NAMED):
        msg = f"{shown(how)} is no reduction"
        remedy = f"one of {', '.join(_NAMED)}, or a function of two values"
        raise PlanError(msg, place="reducing_state(how)", remedy=remedy)
    if kind not in {pa.int64(), pa.float64()}:
        msg = f"{how!r} reduces int64 and float64, not {kind}"
        remedy = "widen the type, or give a function of two values"
        raise PlanError(msg, place="reducing_state(type)", remedy=remedy)
    return Declared("reducing", kind, None, ttl_us, ttl_clock, reduce=how)


def aggregating_state(
    kind: pa.DataType,
    *,
    start: object,
    add: Callable[[Any, Any], Any],
    result: Callable[[Any], Any],
    ttl: DurationLike | None = None,
    ttl_clock: TtlClock = "event",
) -> Declared:
    """Declare an accumulator for each key, whose value is computed when asked for.

    Args:
        kind: Arrow type of the accumulator, such as a struct.
        start: an accumulator of nothing.
        add: from an accumulator and a new value to the next accumulator.
        result: from an accumulator to what `value` says.
        ttl: see `value_state`.
        ttl_clock: likewise.
    """
    kind, ttl_us = _checked("aggregating_state", kind, ttl, ttl_clock)
    _check_scalar(start, kind, "aggregating_state(start=…)")
    for name, function in (("add", add), ("result", result)):
        place = f"aggregating_state({name}=…)"
        check_callable(function, place=place, remedy="give a function")
    start = pa.scalar(start, kind).as_py()
    return Declared(
        "aggregating", kind, None, ttl_us, ttl_clock, start=start, add=add, result=result
    )


def operator_state(declared: object) -> Declared:
    """Make a state one for the whole function instead of one for each key.

    >>> operator_state(value_state(pa.int64())).describe()
    'operator value(int64)'
    """
    return _one_for_all(declared, "operator")


def broadcast_state(key_kind: pa.DataType, kind: pa.DataType) -> Declared:
    """Declare a small table that all keys see; `on_broadcast` writes it, rows only read it."""
    return _one_for_all(map_state(key_kind, kind), "broadcast")


def _one_for_all(declared: object, scope: Scope) -> Declared:
    if not isinstance(declared, Declared) or declared.scope != "key":
        msg = f"{shown(declared)} declares no state of keys"
        remedy = "such as et.operator_state(et.value_state(pa.int64()))"
        raise PlanError(msg, place=f"{scope}_state(...)", remedy=remedy)
    return Declared(**{**declared.__dict__, "scope": scope})


def _checked(
    what: str, kind: object, ttl: DurationLike | None, ttl_clock: object
) -> tuple[pa.DataType, int | None]:
    if not isinstance(kind, pa.DataType):
        msg = f"{shown(kind)} is no Arrow type"
        raise PlanError(msg, place=f"{what}(type)", remedy="such as pa.int64() or pa.string()")
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) or pa.types.is_null(kind):
        msg = f"state of type {kind} cannot be held"
        raise PlanError(msg, place=f"{what}(type)", remedy="give the type of the plain values")
    if getattr(kind, "unit", None) == "ns":
        msg = f"Python has no values of type {kind}"
        raise PlanError(msg, place=f"{what}(type)", remedy="use microseconds")
    if not is_one_of(ttl_clock, get_args(TtlClock)):
        msg = f"{shown(ttl_clock)} is no clock of a time to live"
        raise PlanError(msg, place=f"{what}(ttl_clock=…)", remedy="'event' or 'processing'")
    return kind, None if ttl is None else parse_us(ttl, name="ttl", zero=False)


def _check_scalar(value: object, kind: pa.DataType, place: str) -> None:
    try:
        scalar_of(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        msg = f"{shown(value)} is no {kind}: {error}"
        raise PlanError(msg, place=place, remedy="give one of that type") from error


def _name(function: object) -> str:
    # Without a name, `repr` would tell where in memory it lies.
    if isinstance(function, str):
        return function
    return str(getattr(function, "__name__", type(function).__name__))
