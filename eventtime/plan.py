"""The plan: an immutable tree of what was declared; printed, compared and run, it does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventtime.checks import shown
from eventtime.duration import format_us
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from eventtime.process.broadcast import Broadcast
    from eventtime.process.function import Function
    from eventtime.process.plan import OutputTime
    from eventtime.progress import AllIdle
    from eventtime.sources.feed import AnySource
    from eventtime.transform import Step
    from eventtime.watermark import WatermarkGenerator
    from eventtime.windows.accumulation import AccumulationMode
    from eventtime.windows.aggregate import Aggregate
    from eventtime.windows.assigner import GridAssigner

__all__ = (
    "DROP",
    "Aggregated",
    "Keyed",
    "Node",
    "Processed",
    "Read",
    "Stepped",
    "United",
    "Watermarked",
    "Windowed",
    "check_node",
    "check_source",
    "describe",
    "walk",
)

_BEGIN: Final = "begin with et.from_arrow(data, time=…) or et.read_parquet(paths, time=…)"
DROP = "eventtime.DROP"
"""As the `late` tag of a window: late rows are counted, not kept."""


@dataclass(frozen=True)
class Read:
    """Rows of a source."""

    source: AnySource

    def describe(self) -> str:
        """Return one line for `explain()`."""
        return f"read {self.source.describe()}, event time {self.source.time!r}"


@dataclass(frozen=True)
class United:
    """Rows of several streams, each keeping its partitions."""

    inputs: tuple[Node, ...]

    def describe(self) -> str:
        """Return one line for `explain()`."""
        return f"union of {len(self.inputs)} streams"


@dataclass(frozen=True)
class Stepped:
    """Rows after a step."""

    input: Node
    step: Step

    def describe(self) -> str:
        """Return one line for `explain()`."""
        return self.step.describe()


@dataclass(frozen=True)
class Watermarked:
    """Rows with a watermark for each partition."""

    input: Node
    generator: WatermarkGenerator
    idle_after_us: int | None
    all_idle: AllIdle
    max_future_us: int | None
    max_ahead_us: int | None = None

    def describe(self) -> str:
        """Return one line for `explain()`."""
        text = f"watermark {self.generator.describe()}, minimum over partitions"
        if self.idle_after_us is not None:
            text += f", idle after {format_us(self.idle_after_us)} (live only)"
            text += f", all idle: {self.all_idle}"
        if self.max_future_us is not None:
            text += f", future beyond {format_us(self.max_future_us)}"
        if self.max_ahead_us is not None:
            text += f", {format_us(self.max_ahead_us)} ahead at most (live only)"
        return text


@dataclass(frozen=True)
class Keyed:
    """Rows grouped by columns."""

    input: Node
    columns: tuple[str, ...]

    def describe(self) -> str:
        """Return one line for `explain()`."""
        return f"key by {', '.join(self.columns)}"


@dataclass(frozen=True)
class Windowed:
    """Rows assigned to windows."""

    input: Node
    assigner: GridAssigner
    lateness_us: int
    mode: AccumulationMode
    late: str | None
    late_columns: tuple[str, ...] | None

    def describe(self) -> str:
        """Return one line for `explain()`."""
        late = (
            "late rows counted only"
            if self.late == DROP
            else f"late rows to {self.late or 'late'!r}"
        )
        lateness = (
            f", allowed lateness {format_us(self.lateness_us)}, {self.mode}"
            if self.lateness_us
            else ""
        )
        return f"window {self.assigner.describe()}{lateness}, {late}"


@dataclass(frozen=True)
class Aggregated:
    """One row for each window and key."""

    input: Windowed
    aggregates: tuple[tuple[str, Aggregate], ...]

    def describe(self) -> str:
        """Return one line for `explain()`."""
        return "aggregate " + ", ".join(f"{name}={a.describe()}" for name, a in self.aggregates)


@dataclass(frozen=True)
class Processed:
    """What a process function makes of the rows of each key.

    Args:
        input: rows by key.
        function: of the user.
        output: schema of the results; time: their event time.
        sides: schemas of side outputs, by tag.
        columns: that the function is given; None: all.
        broadcast: second streams, by name.
    """

    input: Keyed
    function: Function
    output: pa.Schema
    time: OutputTime | None
    sides: tuple[tuple[str, pa.Schema], ...]
    columns: tuple[str, ...] | None
    broadcast: tuple[tuple[str, Broadcast], ...]

    def describe(self) -> str:
        """Return one line for `explain()`."""
        sides = "".join(f", {tag!r} to the side" for tag, _ in self.sides)
        told = "".join(f", told {n!r}: {b.source.describe()}" for n, b in self.broadcast)
        return f"process {self.function.describe()}{sides}{told}"


Node = Read | United | Stepped | Watermarked | Keyed | Windowed | Aggregated | Processed


def check_node(node: object) -> None:
    """Refuse what is no plan, such as data that was not made a stream.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(node, Node):
        msg = f"{shown(node)} is no plan"
        raise PlanError(msg, place="Stream(node)", remedy=_BEGIN)


def check_source(source: object, *, place: str) -> None:
    """Refuse what is no source: it can neither say its schema nor be opened.

    Raises:
        PlanError: shows it.
    """
    methods = [getattr(source, name, None) for name in ("schema", "open", "follow")]
    can = list(map(callable, methods))
    if isinstance(source, type) or not can[0] or not any(can[1:]):
        msg = f"{shown(source)} is no stream"
        raise PlanError(msg, place=place, remedy=_BEGIN)


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all above it, depth first, towards the sources."""
    yield node
    if isinstance(node, United):
        for branch in node.inputs:
            yield from walk(branch)
    elif not isinstance(node, Read):
        yield from walk(node.input)


def describe(node: Node, *, notes: dict[int, str] | None = None, depth: int = 0) -> str:
    """Print the tree, sources first; `notes` by the id of nodes are added to their lines."""
    lines = []
    if isinstance(node, United):
        lines += [describe(branch, notes=notes, depth=depth + 1) for branch in node.inputs]
    elif not isinstance(node, Read):
        lines.append(describe(node.input, notes=notes, depth=depth))
    note = (notes or {}).get(id(node), "")
    lines.append("  " * depth + ("" if isinstance(node, Read) else "-> ") + node.describe() + note)
    return "\n".join(lines)
