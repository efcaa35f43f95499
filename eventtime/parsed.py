"""The tree of a plan taken apart, from its result to its sources: what stands where it can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.errors import PlanError
from eventtime.plan import Aggregated, Keyed, Processed, Read, Stepped, United, Watermarked
from eventtime.transform import MapBatches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.plan import Node, Windowed
    from eventtime.sources.feed import AnySource
    from eventtime.transform import Step

__all__ = ("ParsedPlan", "ParsedStage", "check_chain", "check_tags", "parse")


@dataclass(frozen=True)
class ParsedStage:
    """One operator.

    Args:
        steps: before it, from the watermark or the operator before.
        keys: names of key columns.
        node: its windows and their aggregates, or its process function.
    """

    steps: tuple[Step, ...]
    keys: tuple[str, ...]
    node: Aggregated | Processed

    @property
    def declared(self) -> Windowed | Processed:
        """The node that says what it is, for messages."""
        return self.node.input if isinstance(self.node, Aggregated) else self.node


@dataclass(frozen=True)
class ParsedPlan:
    """The parts of a plan.

    Args:
        sources: each with the steps between it and the watermark.
        watermark: the node that declares it.
        stages: operators, in order.
        final_steps: on the results of the last.
    """

    sources: tuple[tuple[AnySource, tuple[Step, ...]], ...]
    watermark: Watermarked
    stages: tuple[ParsedStage, ...]
    final_steps: tuple[Step, ...]


def parse(node: Node) -> ParsedPlan:
    """Take a plan apart.

    Raises:
        PlanError: parts are missing or in an order that cannot run.
    """
    final_steps, node = _take_steps(node)
    stages: list[ParsedStage] = []
    while isinstance(node, Aggregated | Processed):
        operator = node
        keys: tuple[str, ...] = ()
        inner: Node = node.input.input if isinstance(node, Aggregated) else node.input
        if isinstance(inner, Keyed):
            keys, inner = inner.columns, inner.input
        steps, node = _take_steps(inner)
        stages.insert(0, ParsedStage(steps, keys, operator))
    if not stages:
        msg = "this stream has no windows to compute"
        raise PlanError(msg, place=node.describe(), remedy="add .window(...).aggregate(...)")
    if not isinstance(node, Watermarked):
        what = "a window" if isinstance(stages[0].node, Aggregated) else "a process function"
        msg = f"{what} needs a watermark, and none is declared"
        raise PlanError(
            msg,
            place=stages[0].declared.describe(),
            remedy="add .watermark(et.bounded_disorder('…')) before key_by and window; "
            "`eventtime advise` shows which bound fits the data",
        )
    for step in (step for stage in stages for step in stage.steps):
        if isinstance(step, MapBatches):
            msg = (
                f"{step.describe()} stands between watermark and window, "
                "where rows must keep their places"
            )
            raise PlanError(msg, place="map_batches(...)", remedy="move it before .watermark(...)")
    return ParsedPlan(tuple(_sources(node.input, ())), node, tuple(stages), final_steps)


def check_chain(before: ParsedStage, after: ParsedStage) -> None:
    """Refuse operators whose results the next one cannot take.

    Raises:
        PlanError: they have no time, or corrections that would count twice.
    """
    if isinstance(before.node, Processed):
        if before.node.time is None:
            msg = "results of a process function have an event time only if it is named"
            remedy = "name a column of its output: process(..., time='…')"
            raise PlanError(msg, place=before.node.describe(), remedy=remedy)
        return
    upstream = before.node.input
    if upstream.assigner.grid.everything:
        msg = "results of the global window have no start, so no window can hold them"
        raise PlanError(msg, place=upstream.describe(), remedy="make the global window the last")
    # A process function sees which results are corrections.
    is_summed = isinstance(after.node, Aggregated)
    if is_summed and upstream.lateness_us and upstream.mode != "discarding":
        msg = f"windows over windows would count corrections twice: the first is {upstream.mode}"
        raise PlanError(
            msg,
            place=upstream.describe(),
            remedy="use mode='discarding' (its versions add up) or allowed_lateness='0s' "
            "in the first window",
        )


def check_tags(tags: Sequence[str]) -> None:
    """Refuse two side outputs of one name.

    Raises:
        PlanError: two operators send rows to the same tag.
    """
    for i, tag in enumerate(tags):
        if tag in tags[:i]:
            msg = f"two operators send rows to {tag!r}"
            place = "window(late=…), process(sides=…)"
            raise PlanError(msg, place=place, remedy="give each a tag of its own")


def _take_steps(node: Node) -> tuple[tuple[Step, ...], Node]:
    steps: list[Step] = []
    while isinstance(node, Stepped):
        steps.insert(0, node.step)
        node = node.input
    return tuple(steps), node


def _sources(node: Node, after: tuple[Step, ...]) -> list[tuple[AnySource, tuple[Step, ...]]]:
    steps, node = _take_steps(node)
    steps = (*steps, *after)
    if isinstance(node, Read):
        return [(node.source, steps)]
    if isinstance(node, United):
        return [pair for branch in node.inputs for pair in _sources(branch, steps)]
    msg = f"{node.describe()} stands before the watermark"
    remedy = "declare one watermark, right after the sources (union before watermark)"
    raise PlanError(msg, place="watermark(...)", remedy=remedy)
