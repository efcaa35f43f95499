"""What a process operator is to do: checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checks import check_text, is_one_of, shown
from eventtime.duration import DurationLike, parse_us
from eventtime.errors import PlanError
from eventtime.timestamp import check_time_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.process.broadcast import Broadcast
    from eventtime.process.function import Function
    from eventtime.transform import Step

__all__ = ("OutputTime", "ProcessPlan", "check_output")


@dataclass(frozen=True)
class OutputTime:
    """The event time of results, so that windows can stand behind them (S25).

    Args:
        column: of the output.
        unit: of integers.
        behind_us: how far behind the watermark results may lie and still be on time.
    """

    column: str
    unit: str | None
    behind_us: int


@dataclass(frozen=True)
class ProcessPlan:
    """One process operator.

    Args:
        input: schema of its rows before `steps`.
        steps: between the watermark (or the operator before) and this one.
        time: event-time column of the input; time_unit: of integers.
        keys: names of key columns; key_types: their types.
        columns: that the function is given; lanes: none of them comes as a lane.
        function: of the user.
        schema: of the results.
        side_schemas: of its side outputs, by tag.
        output_time: event time of the results; None: no window can follow.
        broadcast: second streams, by name.
    """

    input: pa.Schema
    steps: tuple[Step, ...]
    time: str
    time_unit: str | None
    keys: tuple[str, ...]
    key_types: tuple[pa.DataType, ...]
    columns: tuple[str, ...]
    lanes: tuple[bool, ...]
    function: Function
    schema: pa.Schema
    side_schemas: dict[str, pa.Schema]
    output_time: OutputTime | None
    broadcast: Mapping[str, Broadcast]

    @property
    def late_columns(self) -> tuple[str, ...]:
        """None: no row is late for a process function; it sees the watermark."""
        return ()


def check_output(
    output: Any,
    sides: Mapping[str, pa.Schema] | None,
    time: str | None,
    time_unit: str | None,
    behind: DurationLike,
) -> OutputTime | None:
    """Refuse what declares no outputs; returns their event time, if they have one.

    Raises:
        PlanError, TimeColumnError: shows what is wrong.
    """
    _check_schema(output, "process(output=…)")
    if sides is not None and not hasattr(sides, "items"):
        msg = f"{shown(sides)} does not say what side outputs there are"
        raise PlanError(msg, place="process(sides=…)", remedy="give schemas by tag")
    for tag, schema in (sides or {}).items():
        place = f"process(sides={{{tag!r}: …}})"
        check_text(tag, what="tag", place=place, remedy="name the side output")
        _check_schema(schema, place)
        if tag == "quarantine":
            msg = "the tag 'quarantine' is taken by rows without a usable time"
            raise PlanError(msg, place=place, remedy="choose another tag")
    behind_us = parse_us(behind, name="behind")
    if time is None:
        if behind_us or time_unit is not None:
            msg = "behind and time_unit speak of a time column, and none is named"
            raise PlanError(msg, place="process(time=…)", remedy="name a column of the output")
        return None
    assert isinstance(output, pa.Schema)
    if not is_one_of(time, output.names):
        msg = f"the output has no column {shown(time)}"
        remedy = f"one of {', '.join(output.names)}"
        raise PlanError(msg, place="process(time=…)", remedy=remedy)
    check_time_type(time, output.field(time).type, time_unit)
    return OutputTime(time, time_unit, behind_us)


def _check_schema(schema: Any, place: str) -> None:
    if not isinstance(schema, pa.Schema) or not len(schema):
        msg = f"{shown(schema)} is no schema with columns"
        remedy = "such as pa.schema({'n': pa.int64()})"
        raise PlanError(msg, place=place, remedy=remedy)
    for name in schema.names:
        if schema.names.count(name) > 1:
            msg = f"column {name!r} is there twice"
            raise PlanError(msg, place=place, remedy="give each column a name of its own")
