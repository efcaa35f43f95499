"""Watermark generators: what a partition promises after each of its rows (S2–S4).

A description (`bounded_disorder("60s")`, …) is part of the plan; `build` makes the running
generator of one partition. Generators may say anything: progress clamps what they say in one
place, so a watermark never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.checks import check_text, check_whole, is_share, shown
from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import PlanError, UserCodeError
from eventtime.expressions import check_expression, evaluate
from eventtime.running_custom import BatchGenerator, RunningCustom
from eventtime.timestamp import MINUS_INFINITY, check_time_type, to_us

__all__ = (
    "BoundedDisorder",
    "Custom",
    "Punctuated",
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
    return BoundedDisorder(parse_us(bound, name="bound"))


def ascending() -> WatermarkGenerator:
    """Promise that times never descend: W = max(t). Equal times are on time."""
    return BoundedDisorder(0)


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
    return Punctuated(column, where)


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
    return Custom(generator)


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
class BoundedDisorder:
    """Made by `bounded_disorder` and `ascending`."""

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
class Punctuated:
    """Made by `punctuated`."""

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
class Custom:
    """Made by `custom`."""

    generator: Any
    columns: tuple[str | pc.Expression, ...] = ()

    def build(self, partition: str, time_unit: str | None = None) -> RunningGenerator:
        made = (
            self.generator
            if hasattr(self.generator, "on_batch") and not isinstance(self.generator, type)
            else None
        )
        return RunningCustom(made if made is not None else self._made(partition), partition)

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
