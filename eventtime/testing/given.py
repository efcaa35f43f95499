"""What a user hands to the kit, looked at before anything is done with it."""

from __future__ import annotations

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.testing.steps import Streams

__all__ = ("check_field", "check_pipeline", "check_schema", "check_streams")


def check_pipeline(given: object, *, place: str) -> None:
    """Refuse what is no pipeline.

    Raises:
        PlanError: shows it.
    """
    if not hasattr(given, "node"):
        msg = f"{shown(given)} is no pipeline"
        remedy = "give what .window(...).aggregate(...) returns"
        raise PlanError(msg, place=place, remedy=remedy)


def check_streams(given: object, *, place: str) -> None:
    """Refuse what is no `Streams`.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(given, Streams):
        msg = f"{shown(given)} does not say what happens"
        remedy = "give eventtime.testing.Streams, or what the strategy streams(...) draws"
        raise PlanError(msg, place=place, remedy=remedy)


def check_schema(given: object, *, place: str) -> None:
    """Refuse what is no schema.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(given, pa.Schema):
        msg, remedy = f"{shown(given)} is no schema", "such as pa.schema({'n': pa.int64()})"
        raise PlanError(msg, place=place, remedy=remedy)


def check_field(given: object, *, place: str) -> None:
    """Refuse what is no field, such as its type alone.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(given, pa.Field):
        is_type = isinstance(given, pa.DataType)
        msg = f"{given if is_type else shown(given)} is no field of a schema"
        remedy = "such as pa.field('x', pa.float64()), which also says whether there are nulls"
        raise PlanError(msg, place=place, remedy=remedy)
