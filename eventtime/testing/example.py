"""A failing example as the source of a test that can be kept."""

from __future__ import annotations

import ast
import math
import sys
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import check_text
from eventtime.testing.given import check_streams
from eventtime.testing.reference.plain import plain, plain_rows
from eventtime.testing.steps import AddPartition, Push

if TYPE_CHECKING:
    from eventtime.stream import Stream
    from eventtime.testing.steps import Row, Step, Streams

__all__ = ("as_test",)

_WIDTH: Final = 96


def as_test(streams: Streams, pipeline: str | Stream = "pipeline", *, check: str = "check") -> str:
    """Return Python source of a test that does again what `streams` say.

    Args:
        streams: what happens.
        pipeline: the pipeline, which the test imports from the module that has it under a name; or
            how the test names it, and then the name is yours to import.
        check: which function of `eventtime.testing` is called with both.

    Raises:
        PlanError: it is neither; or a name is no text.

    >>> from eventtime.testing import Finish, Push, Streams
    >>> print(as_test(Streams(("a",), (Push("a", [{"t": 0, "x": 1.5}]), Finish("a")))))
    from eventtime.testing import Finish, Push, Streams, check
    <BLANKLINE>
    # Where is it? from my_module import pipeline
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
    check_streams(streams, place="as_test(streams)")
    called, home = _home(pipeline)
    for name, given in (("pipeline", called), ("check", check)):
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
    needed = [f"import {module}" for module in _modules(text)]
    return "\n".join(
        [
            *needed,
            *([""] if needed else []),
            f"from eventtime.testing import {taken}",
            *home,
            "",
            text,
            "",
            "",
            "def test_this_example():",
            f"    {check}({called}, STREAMS)",
            "",
        ]
    )


def _modules(source: str) -> list[str]:
    """Return which modules source names; none where a value has no source, and shows itself."""
    try:
        nodes = [*ast.walk(ast.parse(source))]
    except SyntaxError:
        return []
    return sorted({node.id for node in nodes if isinstance(node, ast.Name)} & sys.modules.keys())


def _home(pipeline: object) -> tuple[Any, list[str]]:
    """Return how a test calls a pipeline, and the lines by which it gets it."""
    if not hasattr(pipeline, "node"):
        name = str(pipeline).partition(".")[0].partition("(")[0]
        return pipeline, ["", f"# Where is it? from my_module import {name}"]
    for module, found in sorted(sys.modules.items()):
        for name, value in list(getattr(found, "__dict__", {}).items()):
            if value is pipeline and not module.startswith("__"):  # scripts, under any name
                return name, [f"from {module} import {name}"]
    return _home("pipeline")


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
    """Return source of a value; of those of other modules, as these write themselves.

    Of Arrow's and numpy's it is that of plain ones.
    """
    if isinstance(value, pa.Scalar):
        return _source(*plain(pa.array([value])))
    if isinstance(value, np.generic | np.ndarray):
        return _source(value.tolist())
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_source(k)}: {_source(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_source, value)) + ("," if value and value[1:] == () else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return _scalar(value)


def _scalar(value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, str):
        return _quoted(str.__str__(value))
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    text, kind = repr(value), type(value)
    is_bare = text.startswith(f"{kind.__name__}(")
    return f"{kind.__module__.partition('.')[0]}.{text}" if is_bare else text


def _quoted(text: str) -> str:
    """Quote as formatters do."""
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in text else quoted
