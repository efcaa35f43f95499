"""The tree of a plan taken apart, from its result to its sources: what stands where it can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.errors import PlanError
from eventtime.plan import Aggregated, Keyed, Read, Stepped, United, Watermarked
from eventtime.transform import MapBatches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.plan import Node, Windowed
    from eventtime.sources.base import Source
    from eventtime.transform import Step

__all__ = ("ParsedPlan", "ParsedStage", "check_chain", "check_tags", "parse")


@dataclass(frozen=True)
class ParsedStage:
    """One window operator.

    Args:
        steps: before it, from the watermark or the window before.
        keys: names of key columns.
        windowed: its windows.
        aggregated: its aggregates.
    """

    steps: tuple[Step, ...]
    keys: tuple[str, ...]
    windowed: Windowed
    aggregated: Aggregated


@dataclass(frozen=True)
class ParsedPlan:
    """The parts of a plan.

    Args:
        sources: each with the steps between it and the watermark.
        watermark: the node that declares it.
        stages: window operators, in order.
        final_steps: on the results of the last.
    """

    sources: tuple[tuple[Source, tuple[Step, ...]], ...]
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
    while isinstance(node, Aggregated):
        aggregated, windowed = node, node.input
        keys: tuple[str, ...] = ()
        inner: Node = windowed.input
        if isinstance(inner, Keyed):
            keys, inner = inner.columns, inner.input
        steps, node = _take_steps(inner)
        stages.insert(0, ParsedStage(steps, keys, windowed, aggregated))
    if not stages:
        msg = "this stream has no windows to compute"
        raise PlanError(msg, place=node.describe(), remedy="add .window(...).aggregate(...)")
    if not isinstance(node, Watermarked):
        msg = "a window needs a watermark, and none is declared"
        raise PlanError(
            msg,
            place=stages[0].windowed.describe(),
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


def check_chain(upstream: Windowed) -> None:
    """Refuse windows whose results another window cannot take.

    Raises:
        PlanError: they have no start, or corrections that would count twice.
    """
    if upstream.assigner.grid.everything:
        msg = "results of the global window have no start, so no window can hold them"
        raise PlanError(msg, place=upstream.describe(), remedy="make the global window the last")
    if upstream.lateness_us and upstream.mode != "discarding":
        msg = f"windows over windows would count corrections twice: the first is {upstream.mode}"
        raise PlanError(
            msg,
            place=upstream.describe(),
            remedy="use mode='discarding' (its versions add up) or allowed_lateness='0s' "
            "in the first window",
        )


def check_tags(tags: Sequence[str | None]) -> None:
    """Refuse two side outputs of one name.

    Raises:
        PlanError: two windows send their late rows to the same tag.
    """
    for i, tag in enumerate(tags):
        if tag is not None and tag in tags[:i]:
            msg = f"two windows send their late rows to {tag!r}"
            raise PlanError(msg, place="window(late=…)", remedy="give each a tag of its own")


def _take_steps(node: Node) -> tuple[tuple[Step, ...], Node]:
    steps: list[Step] = []
    while isinstance(node, Stepped):
        steps.insert(0, node.step)
        node = node.input
    return tuple(steps), node


def _sources(node: Node, after: tuple[Step, ...]) -> list[tuple[Source, tuple[Step, ...]]]:
    steps, node = _take_steps(node)
    steps = (*steps, *after)
    if isinstance(node, Read):
        return [(node.source, steps)]
    if isinstance(node, United):
        return [pair for branch in node.inputs for pair in _sources(branch, steps)]
    msg = f"{node.describe()} stands before the watermark"
    remedy = "declare one watermark, right after the sources (union before watermark)"
    raise PlanError(msg, place="watermark(...)", remedy=remedy)
