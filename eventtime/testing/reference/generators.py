"""Watermark generators of a plan, as functions of plain rows (S3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.expressions import evaluate
from eventtime.testing.reference.plain import in_us, laid_out, latest, plain
from eventtime.testing.reference.spec import Bounded
from eventtime.timestamp import MINUS_INFINITY, unit_of
from eventtime.watermark import BoundedDisorder, Custom, Punctuated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reference.spec import Generator, Marks, Row, Time
    from eventtime.watermark import WatermarkGenerator

__all__ = ("generator_of",)


def generator_of(
    generator: WatermarkGenerator, schema: pa.Schema, time_unit: str | None
) -> Generator:
    """Return a generator of a plan, over rows of a schema whose integer times are of a unit.

    Bounded disorder and punctuation are computed anew. A percentile, and generators of the user's,
    are asked themselves: their own code says what the watermark is.

    Raises:
        PlanError: one object of the user's serves all partitions.
    """
    match generator:
        case BoundedDisorder(lag_us):
            return Bounded(lag_us)
        case Punctuated(column=str() as column):
            return _for_each(_of_column(column, unit_of(schema.field(column).type, time_unit)))
        case Punctuated(where=where):
            return _for_each(
                lambda row, t: t if plain(evaluate(laid_out(row, schema), where))[0] else None
            )
        case Custom(generator=made) if not callable(made):
            msg = f"one {type(made).__name__} serves all partitions, and remembers other runs"
            remedy = "give et.custom a class, or a function that makes one"
            raise PlanError(msg, place=generator.describe(), remedy=remedy)
    return _of_its_own(generator, schema, time_unit)


def _for_each(mark: Callable[[Row, int], Time | None]) -> Generator:
    return lambda _: lambda rows, times: list(map(mark, rows, times))


def _of_column(column: str, unit: str) -> Callable[[Row, int], Time | None]:
    def mark(row: Row, _t: int) -> Time | None:
        told = None if row[column] is None else in_us(row[column], unit)
        return None if told is None or abs(told) > latest(unit) else told

    return mark


def _of_its_own(
    generator: WatermarkGenerator, schema: pa.Schema, time_unit: str | None
) -> Generator:
    def make(partition: str) -> Marks:
        running = generator.build(partition, time_unit)

        def marks(rows: Sequence[Row], times: Sequence[int]) -> list[Time | None]:
            batch = pa.concat_batches([laid_out(row, schema) for row in rows])
            told = running.advance(np.array(times, np.int64), batch).tolist()
            return [None if t == MINUS_INFINITY else t - running.lag_us for t in told]

        return marks

    return make
