"""Columns as the sources of a run showed them: kept with its state, for runs that go on with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from eventtime.claiming import misplaced, saved_head
from eventtime.plan import Node, Processed, Read, United, walk
from eventtime.process.plan import ProcessPlan
from eventtime.sources.inferring import Inferred, Inferring
from eventtime.state.schemas import schema_from_text, schema_in_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from eventtime.checkpoints import Checkpoints
    from eventtime.compiled import CompiledPlan
    from eventtime.sources.feed import AnySource

__all__ = ("Columns", "as_saved", "columns_of", "with_columns")

Columns: TypeAlias = "Mapping[str, Mapping[str, str]]"
"""For JSON, by source: the number of a branch, or the name of a broadcast stream."""


def columns_of(plan: CompiledPlan) -> dict[str, dict[str, str]]:
    """Return what sources found, to be kept; of those that cannot find anything else nothing."""
    found = {}
    for name, source in _named(plan):
        columns = source.inferred() if isinstance(source, Inferring) else None
        if columns is not None:
            found[name] = {part: schema_in_text(it) for part, it in columns._asdict().items()}
    return found


def with_columns(node: Node, columns: Columns) -> Node:
    """Return a plan whose sources have the columns that were kept."""
    numbers = count()

    def source(name: str, it: AnySource) -> AnySource:
        if name not in columns or not isinstance(it, Inferring):
            return it
        parts = {part: schema_from_text(text) for part, text in columns[name].items()}
        return cast("AnySource", it.as_inferred(Inferred(**parts)))

    def again(node: Node) -> Node:
        if isinstance(node, Read):
            return Read(source(str(next(numbers)), node.source))
        if isinstance(node, United):
            return United(tuple(map(again, node.inputs)))
        before: Any = again(node.input)
        if isinstance(node, Processed):
            told = [(n, replace(s, source=source(_told(n), s.source))) for n, s in node.broadcast]
            return replace(node, input=before, broadcast=tuple(told))
        return replace(node, input=before)

    return again(node)


def as_saved(
    node: Node, checkpoints: Checkpoints | None, start_from: str | os.PathLike[str] | None
) -> Node:
    """Return a plan with the columns that it had when it was saved, if it was.

    Args:
        node: declared.
        checkpoints: which a run of it would go on from.
        start_from: path of a savepoint, for when there is no checkpoint yet.

    Raises:
        CheckpointError: the checkpoints cannot be listed, or the savepoint cannot be read.
    """
    if not any(isinstance(source, Inferring) for source in _sources(node)):
        return node
    head = saved_head(checkpoints, start_from)
    # Those of a source are of no use to another one; who claims the state refuses that.
    if head is None or misplaced(head, _in_words(node)) is not None:
        return node
    return with_columns(node, head.get("columns", {}))


def _in_words(node: Node) -> list[str]:
    return [each.source.describe() for each in walk(node) if isinstance(each, Read)]


def _sources(node: Node) -> Iterator[AnySource]:
    for each in walk(node):
        if isinstance(each, Read):
            yield each.source
        elif isinstance(each, Processed):
            yield from (stream.source for _, stream in each.broadcast)


def _named(plan: CompiledPlan) -> Iterator[tuple[str, AnySource]]:
    for i, branch in enumerate(plan.branches):
        yield str(i), branch.source
    for stage in plan.stages:
        if isinstance(stage, ProcessPlan):
            for name, stream in stage.broadcast.items():
                yield _told(name), stream.source


def _told(name: str) -> str:
    return f"broadcast {name}"
