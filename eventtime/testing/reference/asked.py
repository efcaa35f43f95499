"""Watermark generators of a plan, as functions of plain rows (S3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.expressions import evaluate
from eventtime.testing.reference.plain import laid_out, plain
from eventtime.testing.reference.spec import Asked, Bounded
from eventtime.testing.reference.times import limit_of, microseconds
from eventtime.timestamp import MINUS_INFINITY
from eventtime.watermark import BoundedDisorder, Custom, Punctuated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.feed import AnySource
    from eventtime.testing.reference.spec import Generator, Proposals, Row, Time
    from eventtime.watermark import WatermarkGenerator

__all__ = ("generator_of",)


def generator_of(
    generator: WatermarkGenerator, source: AnySource, schema: pa.Schema, time: str
) -> Generator:
    """Return a generator as one of the oracle's.

    Bounded disorder and punctuation are computed anew. A percentile, and generators of the user's,
    are asked themselves: their own code says what the watermark is.

    Args:
        generator: of the plan.
        source: of the rows.
        schema: of the rows at the watermark.
        time: the column that has the event time in µs.

    Raises:
        PlanError: one object of the user's serves all partitions.
    """
    match generator:
        case BoundedDisorder(lag_us):
            return Bounded(lag_us)
        case Punctuated(column=str() as column):
            return _of_column(column, schema.field(column).type, source.time_unit)
        case Punctuated(where=where):
            return _of_predicate(where, schema, time)
        case Custom(generator=made) if not callable(made):
            msg = f"one {type(made).__name__} serves all partitions, and remembers other runs"
            remedy = "give et.custom a class, or a function that makes one"
            raise PlanError(msg, place=generator.describe(), remedy=remedy)
    return _of_its_own(generator, source.time_unit, schema, time)


def _of_column(column: str, kind: pa.DataType, time_unit: str | None) -> Asked:
    limit = limit_of(kind, time_unit)

    def mark(row: Row) -> Time | None:
        told = microseconds(row[column], kind, time_unit)
        return None if told is None or abs(told) > limit else told

    return Asked(lambda _: lambda rows: [mark(row) for row in rows])


def _of_predicate(where: Any, schema: pa.Schema, time: str) -> Asked:
    def mark(row: Row) -> Time | None:
        (is_mark,) = plain(evaluate(laid_out(row, schema), where))
        return row[time] if is_mark else None

    return Asked(lambda _: lambda rows: [mark(row) for row in rows])


def _of_its_own(
    generator: WatermarkGenerator, time_unit: str | None, schema: pa.Schema, time: str
) -> Asked:
    def make(partition: str) -> Proposals:
        running = generator.build(partition, time_unit)

        def proposed(rows: Sequence[Row]) -> list[Time | None]:
            times = np.array([row[time] for row in rows], np.int64)
            batch = pa.Table.from_batches([laid_out(row, schema) for row in rows])
            (whole,) = batch.combine_chunks().to_batches()
            told = running.advance(times, whole).tolist()
            return [None if t == MINUS_INFINITY else t - running.lag_us for t in told]

        return proposed

    return Asked(make)
