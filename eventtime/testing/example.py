"""A failing example as the source of a test that can be kept."""

from __future__ import annotations

import math
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import check_text
from eventtime.testing.reference.plain import plain_rows
from eventtime.testing.steps import AddPartition, Push

if TYPE_CHECKING:
    from eventtime.testing.steps import Row, Step, Streams

__all__ = ("as_test",)

_WIDTH: Final = 96
_MODULES: Final = ("datetime", "decimal", "zoneinfo")


def as_test(streams: Streams, pipeline: str = "pipeline", *, check: str = "check") -> str:
    """Return Python source of a test that does again what `streams` say.

    Args:
        streams: what happens.
        pipeline: how the test names its pipeline; the name is yours to import.
        check: which function of `eventtime.testing` is called with both.

    Raises:
        PlanError: a name is no text.

    >>> from eventtime.testing import Finish, Push, Streams
    >>> print(as_test(Streams(("a",), (Push("a", [{"t": 0, "x": 1.5}]), Finish("a")))))
    from eventtime.testing import Finish, Push, Streams, check
    <BLANKLINE>
    STREAMS = Streams(
        partitions=("a",),
        steps=(
            Push("a", [{"t": 0, "x": 1.5}]),
            Finish("a"),
        ),
        start_us=0,
    )
    <BLANKLINE>
    <BLANKLINE>
    def test_this_example():
        check(pipeline, STREAMS)
    <BLANKLINE>
    """
    for name, given in (("pipeline", pipeline), ("check", check)):
        place = f"as_test({name}=…)"
        check_text(given, what="name", place=place, remedy="the name that the test is to use")
    lines = [line for step in streams.steps for line in _step(step)]
    steps = ["    steps=(", *(f"        {line}" for line in lines), "    ),"]
    body = [
        "STREAMS = Streams(",
        f"    partitions={_source(streams.partitions)},",
        *(steps if lines else ["    steps=(),"]),
        f"    start_us={_source(streams.start_us)},",
        ")",
    ]
    text = "\n".join(body)
    kinds = {type(step).__name__ for step in streams.steps}
    taken = ", ".join([*sorted({*kinds, "Streams"}), check])
    needed = [f"import {module}" for module in _MODULES if f"{module}." in text]
    return "\n".join(
        [
            *needed,
            *([""] if needed else []),
            f"from eventtime.testing import {taken}",
            "",
            text,
            "",
            "",
            "def test_this_example():",
            f"    {check}({pipeline}, STREAMS)",
            "",
        ]
    )


def _step(step: Step) -> list[str]:
    """Return the lines of a step; many rows take one each."""
    if isinstance(step, Push):
        step = Push(step.partition, _rows(step.rows))
    arguments = [_source(getattr(step, field.name)) for field in fields(step)]
    if isinstance(step, AddPartition):
        arguments[1:] = ["historical=True"] * step.historical
    whole = f"{type(step).__name__}({', '.join(arguments)}),"
    if not isinstance(step, Push) or (len(step.rows) <= 1 and len(whole) <= _WIDTH):
        return [whole]
    rows = [f"        {_source(row)}," for row in step.rows]
    return ["Push(", f"    {arguments[0]},", "    [", *rows, "    ],", "),"]


def _rows(rows: Any) -> list[Row]:
    """Return rows that were pushed; those of batches and tables as a test writes them."""
    return list(rows) if isinstance(rows, list | tuple) else plain_rows(rows)


def _source(value: Any) -> str:
    """Return source of a value; of those of other modules, as these write themselves."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_source(k)}: {_source(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_source, value)) + ("," if value and value[1:] == () else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    return f'decimal.Decimal("{value}")' if isinstance(value, Decimal) else repr(value)


def _quoted(text: str) -> str:
    """Quote as formatters do."""
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in text else quoted
