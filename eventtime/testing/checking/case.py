"""A pipeline and what happens to it, run in each way that checks compare, once."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checks import shown
from eventtime.sources.rebatch import one_by_one
from eventtime.testing.checking.broken import BrokenRuleError
from eventtime.testing.checking.runs import Laid, Outcome, Way, run
from eventtime.testing.checking.turns import crashing, turns_of
from eventtime.testing.given import check_pipeline, check_streams
from eventtime.testing.ready import Ready
from eventtime.testing.reference.expected import Expected, expected_of
from eventtime.testing.reference.planned import Planned
from eventtime.testing.rows import batch_of, source_of
from eventtime.testing.steps import AddPartition, Finish, Push, Streams, Survived

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from eventtime.stream import Stream
    from eventtime.testing.steps import Step

__all__ = ("Case",)


class Case:
    """What the checks of one pipeline share.

    All partitions end: those that do not are finished behind the last step, by name.

    Args:
        pipeline: declares what to compute; its sources give the schema only.
        streams: what happens to it.

    Raises:
        PlanError: they are no pipeline or no streams.
    """

    def __init__(self, pipeline: Stream, streams: Streams) -> None:
        check_pipeline(pipeline, place="check(pipeline, …)")
        check_streams(streams, place="check(…, streams)")
        self.pipeline, self.streams = pipeline, _ended(streams)

    @property
    def plan(self) -> Planned:
        """The pipeline as the oracle reads it; PlanError: it does not know it."""
        return _planned(self.pipeline)

    @property
    def tags(self) -> tuple[str, ...]:
        """Of side outputs."""
        return _ready(self.pipeline).tags

    @cached_property
    def expected(self) -> Expected:
        """What the oracle says."""
        return expected_of(self.plan, self.streams)

    @cached_property
    def steps(self) -> list[Laid]:
        """The steps, with rows laid out."""
        return [(step, self.laid_out(step)) for step in self.streams.steps]

    @cached_property
    def whole(self) -> Outcome:
        """Run as it is, watched; on three shards, which do not show (S24)."""
        return self.run(Way(shards=3, is_watched=True, has_restarts=True))

    @cached_property
    def single(self) -> Outcome:
        """Run without restarts, rows pushed one by one, watched: what the others are held to."""
        return self.run(Way(one_by_one, is_watched=True))

    @cached_property
    def undisturbed(self) -> Outcome:
        """Run on one shard without restarts, watched: it tells what makes another run odd."""
        return self.run(Way(is_watched=True))

    @cached_property
    def joined_steps(self) -> list[Laid]:
        """The steps, with pushes of one partition that follow one another in one."""
        return list(_joined(self.steps))

    @property
    def has_restarts(self) -> bool:
        """Whether the steps say any."""
        return any(isinstance(step, Survived) for step in self.streams.steps)

    def run(self, way: Way) -> Outcome:
        """Run over all steps."""
        return self.run_others(self.steps, self.streams.partitions, way)

    def run_crashing(self, *, by_row: bool) -> Outcome:
        """Run where every fourth push, or every fourth row and step, is lost and comes again."""
        steps = list(crashing(turns_of(self.steps, by_row=by_row)))
        return self.run_others(steps, self.streams.partitions, Way(has_restarts=True))

    def run_others(self, steps: Sequence[Laid], partitions: Sequence[str], way: Way) -> Outcome:
        """Run over other steps."""
        return run(_ready(self.pipeline), partitions, self.streams.start_us, steps, way)

    def laid_out(self, step: Step) -> pa.RecordBatch | None:
        """Return the rows of a step as a batch."""
        if not isinstance(step, Push):
            return None
        source: Any = source_of(self.pipeline, step.partition)
        place = f"Push({shown(step.partition)}, rows)"
        return batch_of(
            step.rows, source.schema(), time=source.time, time_unit=source.time_unit, place=place
        )

    def broken(self, law: tuple[str, str], what: str, found: Sequence[str]) -> BrokenRuleError:
        """Return what to raise; `law` names the check, and by number the rules that it holds."""
        return BrokenRuleError(*law, what, found, self.pipeline, self.streams)

    def said(self, number: int) -> str:
        """Name a step in a message."""
        step = self.streams.steps[number]
        told = f"{len(step.rows)} rows to {step.partition!r}" if isinstance(step, Push) else step
        return f"step {number + 1} ({told})"


@lru_cache(maxsize=16)
def _planned(pipeline: Stream) -> Planned:
    """Read a plan once for all examples."""
    return Planned(pipeline.node)


@lru_cache(maxsize=16)
def _ready(pipeline: Stream) -> Ready:
    """Compile a plan once for all runs."""
    return Ready.of(pipeline.node)


def _ended(streams: Streams) -> Streams:
    steps = streams.steps
    known = {*streams.partitions, *(s.partition for s in steps if isinstance(s, AddPartition))}
    left = known - {s.partition for s in steps if isinstance(s, Finish)}
    return replace(streams, steps=(*steps, *map(Finish, sorted(left))))


def _joined(steps: Iterable[Laid]) -> Iterator[Laid]:
    held: list[tuple[Push, pa.RecordBatch]] = []

    def push() -> Iterator[Laid]:
        if held:
            yield held[0][0], pa.concat_batches([batch for _, batch in held])
            held.clear()

    for step, batch in steps:
        if not isinstance(step, Push) or batch is None:
            yield from push()
            yield step, batch
            continue
        if held and held[0][0].partition != step.partition:
            yield from push()
        held.append((step, batch))
    yield from push()
