"""Watermark generators: what a partition promises after each of its rows (S2–S4).

A description (`bounded_disorder("60s")`, …) is part of the plan; `build` makes the running
generator of one partition. Generators may say anything: progress clamps what they say in one
place, so a watermark never goes back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.checks import check_text, check_whole, is_share, shown
from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import EventTimeError, PlanError, UserCodeError
from eventtime.expressions import check_expression, evaluate
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, check_time_type, from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "BatchGenerator",
    "RunningGenerator",
    "WatermarkGenerator",
    "ascending",
    "bounded_disorder",
    "custom",
    "percentile",
    "punctuated",
)

Ints = NDArray[np.int64]
_WARM_UP: Final = 1_000
_EVERY: Final = 256


class RunningGenerator(Protocol):
    """Makes the watermarks of one partition."""

    @property
    def lag_us(self) -> int:
        """Microseconds that the partition subtracts from all that `advance` returns."""
        ...

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        """Return the watermark after each row, (n,) int64; lower ones than before are ignored.

        Args:
            time_us: (n,) int64 event times of rows that are neither null nor from the future.
            batch: the same rows with all columns.
        """
        ...

    def get_state(self) -> Any:
        """Return what it remembers, for JSON; None: nothing."""
        ...

    def set_state(self, state: Any) -> None:
        """Go on from what `get_state` returned."""
        ...


class WatermarkGenerator(Protocol):
    """Describes how partitions get their watermarks. Immutable and comparable."""

    @property
    def columns(self) -> tuple[str | pc.Expression, ...]:
        """Columns and expressions that it reads beside the event time."""
        ...

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        """Make the running generator of one partition; integer times are of `time_unit`."""
        ...

    def describe(self) -> str:
        """Return the call that makes it, for `explain()`."""
        ...


@runtime_checkable
class BatchGenerator(Protocol):
    """A generator of your own: a plain object with one method, called once a batch.

    With one value for the batch the watermark moves after its last row, so cuts show; with one
    value for each row they do not (S4).

    A savepoint asks for two more: ``get_state()`` returns what it remembers, as a value that JSON
    gives back as it was (None, booleans, numbers, text, lists, dicts with text for keys), and
    ``set_state(value)`` goes on from there. One that remembers nothing returns None.
    """

    def on_batch(self, timestamps_us: Ints) -> int | Sequence[int] | Ints | None:
        """Return the watermark after the batch, one after each row, or None: no news.

        Args:
            timestamps_us: (n,) int64 event times, microseconds UTC.
        """
        ...


def bounded_disorder(bound: DurationLike) -> WatermarkGenerator:
    """Promise that no row is more than `bound` behind the latest one seen: W = max(t) - bound.

    Args:
        bound: the most that a row may be out of order and still be on time; `eventtime advise`
            shows what each costs.

    Raises:
        DurationError: malformed or negative.

    >>> bounded_disorder("4h").describe()
    "bounded_disorder('4h')"
    """
    return _BoundedDisorder(parse_us(bound, name="bound"))


def ascending() -> WatermarkGenerator:
    """Promise that times never descend: W = max(t). Equal times are on time."""
    return _BoundedDisorder(0)


def punctuated(
    *, column: str | None = None, where: pc.Expression | None = None
) -> WatermarkGenerator:
    """Take the watermark from the rows themselves.

    Args:
        column: a time column whose values, where not null, are the watermark after that row.
        where: a predicate; the watermark after a row for which it is true is that row's event time.

    Raises:
        PlanError: neither or both are given, or something that is no name or expression.
    """
    if (column is None) == (where is None):
        msg = (
            "punctuated() takes one of column= and where=, "
            f"got column={shown(column)}, where={shown(where)}"
        )
        raise PlanError(msg, place="punctuated(...)", remedy="give one of them")
    if column is not None:
        remedy = "name a time column, or give where=pc.field('x') > 0"
        check_text(column, what="column name", place="punctuated(column=…)", remedy=remedy)
    else:
        check_expression(where, place="punctuated(where=…)")
    return _Punctuated(column, where)


def custom(generator: BatchGenerator | type[BatchGenerator]) -> WatermarkGenerator:
    """Use a generator of your own.

    Args:
        generator: a class or function without arguments that makes an object with `on_batch` for
            each partition, or one such object, which then serves all partitions.

    Raises:
        PlanError: it has no `on_batch`.
    """
    if not callable(generator) and not hasattr(generator, "on_batch"):
        msg = f"{shown(generator)} has no on_batch(timestamps_us)"
        raise PlanError(msg, place="custom(generator=…)", remedy="see eventtime.BatchGenerator")
    return _Custom(generator)


def percentile(
    share: float = 0.99,
    *,
    initial: DurationLike = "1h",
    warm_up: int = _WARM_UP,
    every: int = _EVERY,
) -> WatermarkGenerator:
    """Learn the bound from the disorder seen: W = max(t) - what `share` of the rows kept within.

    The disorder of a row is how far it is behind the latest time before it. Delays are counted in
    a histogram of about 6 % steps; the bound is the upper edge of the step that `share` falls in.
    It is relearnt every `every` rows of the partition, counted in rows, so cuts do not show.

    Args:
        share: of the rows to be on time, in (0, 1].
        initial: bound during the first `warm_up` rows.
        warm_up: rows before the learnt bound is used.
        every: rows between two looks at the histogram.

    Raises:
        PlanError: a share outside (0, 1], or a row count below 1.
    """
    if not is_share(share):
        msg = f"share {shown(share)} is not in (0, 1]"
        raise PlanError(
            msg, place="percentile(share=…)", remedy="0.99 keeps 99 of 100 rows on time"
        )
    for name, rows in (("warm_up", warm_up), ("every", every)):
        what, remedy = "a number of rows above zero", "leave it out for the default"
        check_whole(rows, least=1, what=what, place=f"percentile({name}=…)", remedy=remedy)
    return _Percentile(share, parse_us(initial, name="initial"), warm_up, every)


@dataclass(frozen=True)
class _BoundedDisorder:
    lag_us: int
    columns: tuple[str | pc.Expression, ...] = ()

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        return self

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        return time_us

    def get_state(self) -> None:
        return None

    def set_state(self, state: None) -> None:
        """Do nothing: the partition remembers its watermark."""

    def describe(self) -> str:
        return f"bounded_disorder({format_us(self.lag_us)!r})" if self.lag_us else "ascending()"


@dataclass(frozen=True)
class _Punctuated:
    column: str | None
    where: Any
    lag_us: int = 0
    time_unit: str = "us"

    @property
    def columns(self) -> tuple[str | pc.Expression, ...]:
        return (self.column if self.column is not None else self.where,)

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        return replace(self, time_unit=time_unit or "us")

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        if self.column is not None:
            array = batch.column(self.column)
            check_time_type(self.column, array.type, self.time_unit)
            values, admitted = to_us(array, self.time_unit)
            return values if admitted is None else np.where(admitted, values, MINUS_INFINITY)
        marks = pc.fill_null(evaluate(batch, self.where), fill_value=False)
        return np.where(marks.to_numpy(zero_copy_only=False), time_us, MINUS_INFINITY)

    def get_state(self) -> None:
        return None

    def set_state(self, state: None) -> None:
        """Do nothing: the partition remembers its watermark."""

    def describe(self) -> str:
        return (
            f"punctuated(column={self.column!r})"
            if self.column
            else f"punctuated(where={self.where})"
        )


@dataclass(frozen=True)
class _Custom:
    generator: Any
    columns: tuple[str | pc.Expression, ...] = ()

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        made = (
            self.generator
            if hasattr(self.generator, "on_batch") and not isinstance(self.generator, type)
            else None
        )
        return _RunningCustom(made if made is not None else self._made(partition), partition)

    def _made(self, partition: str) -> BatchGenerator:
        try:
            made: BatchGenerator = self.generator()
        except Exception as error:
            msg = f"{self.describe()} raised {type(error).__name__}: {error}"
            raise UserCodeError(
                msg, place=f"partition {partition!r}", remedy="see the cause above"
            ) from error
        if hasattr(made, "on_batch"):
            return made
        msg = f"{self.describe()} made {made!r}, which has no on_batch(timestamps_us)"
        raise UserCodeError(
            msg, place=f"partition {partition!r}", remedy="see eventtime.BatchGenerator"
        )

    def describe(self) -> str:
        name = getattr(self.generator, "__name__", type(self.generator).__name__)
        return f"custom({name})"


class _RunningCustom:
    lag_us = 0

    def __init__(self, generator: BatchGenerator, partition: str) -> None:
        self._generator, self._partition = generator, partition
        self._rows = 0

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        n = len(time_us)
        try:
            answer = self._generator.on_batch(time_us.copy())
        except EventTimeError:
            raise
        except Exception as error:
            msg = (
                f"{type(self._generator).__name__}.on_batch raised {type(error).__name__}: {error}"
            )
            raise UserCodeError(
                msg, place=self._place(time_us), remedy="see the cause above"
            ) from error
        self._rows += n
        return self._checked(answer, time_us)

    def get_state(self) -> dict[str, Any]:
        state = self._call("get_state")
        try:
            is_same = json.loads(json.dumps(state, allow_nan=False)) == state
        except (TypeError, ValueError):
            is_same = False
        if not is_same:
            msg = f"{type(self._generator).__name__}.get_state returned {shown(state)}"
            remedy = "return what JSON gives back as it was: lists for tuples, text for keys"
            raise UserCodeError(msg, place=f"partition {self._partition!r}", remedy=remedy)
        return {"rows": self._rows, "state": state}

    def set_state(self, state: dict[str, Any]) -> None:
        self._rows = state["rows"]
        self._call("set_state", state["state"])

    def _call(self, method: str, *arguments: Any) -> Any:
        called, name = getattr(self._generator, method, None), type(self._generator).__name__
        place = f"partition {self._partition!r}"
        if called is None:
            msg = f"the generator {name} has no {method}: what it remembers would be lost"
            remedy = "give it get_state() and set_state(value), see eventtime.BatchGenerator"
            raise UserCodeError(msg, place=place, remedy=remedy)
        try:
            return called(*arguments)
        except Exception as error:
            msg = f"{name}.{method} raised {type(error).__name__}: {error}"
            raise UserCodeError(msg, place=place, remedy="see the cause above") from error

    def _checked(self, answer: object, time_us: Ints) -> Ints:
        n = len(time_us)
        if answer is None:
            return np.full(n, MINUS_INFINITY)
        try:
            values = np.asarray(answer)
        except ValueError:  # rows of different lengths
            values = np.empty(0, np.object_)
        if values.dtype.kind in "iu" and values.shape in {(), (n,)}:
            if values.max() > PLUS_INFINITY:
                said = f"returned {int(values.max())}, which is no int64"
                raise self._refusal(said, time_us)
            if values.shape:
                return values.astype(np.int64)
            watermark = np.full(n, MINUS_INFINITY)
            watermark[-1:] = values
            return watermark
        shape = f"shape {values.shape} of {values.dtype} for {n} timestamps"
        said = f"returned {shape}: {str(answer)[:80]}"
        raise self._refusal(said, time_us)

    def _refusal(self, said: str, time_us: Ints) -> UserCodeError:
        self._rows -= len(time_us)
        return UserCodeError(
            f"{type(self._generator).__name__}.on_batch {said}",
            place=self._place(time_us),
            remedy="return None, one integer, or one integer for each row: microseconds UTC",
        )

    def _place(self, time_us: Ints) -> str:
        ends = np.array([time_us.min(), time_us.max()])
        try:
            first, final = (str(t) for t in from_us(ends, pa.timestamp("us", "UTC")).to_pylist())
        except (ValueError, OverflowError):
            # Beyond the calendar: show the number.
            first, final = (f"{t} µs" for t in ends)
        rows = f"rows {self._rows} to {self._rows + len(time_us) - 1}"
        return f"partition {self._partition!r}, {rows}, event times {first} to {final}"


@dataclass(frozen=True)
class _Percentile:
    share: float
    initial_us: int
    warm_up: int
    every: int
    columns: tuple[str | pc.Expression, ...] = ()

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        from eventtime.running_percentile import RunningPercentile

        return RunningPercentile(self.share, self.initial_us, self.warm_up, self.every)

    def describe(self) -> str:
        rows = "" if self.warm_up == _WARM_UP else f", warm_up={self.warm_up}"
        rows += "" if self.every == _EVERY else f", every={self.every}"
        return f"percentile({self.share}, initial={format_us(self.initial_us)!r}{rows})"
