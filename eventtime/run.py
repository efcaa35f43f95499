"""Running a plan to its end: results and side outputs to sinks or tables, and the ledger."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.checks import check_callable, check_flag, check_whole, is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.report import ProgressReport, told
from eventtime.sources.filesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Execution
    from eventtime.ledger import Ledger
    from eventtime.sinks.base import Sink, SinkWriter

__all__ = ("Run", "run_plan")

Progress = Callable[[ProgressReport], None]
_RESULTS = ""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Results: `table`. Side outputs: `side`, `tags`. Account: `ledger`. What a sink took is not kept
    here as well: `table` and `side` say where it is.

    Args:
        schema: of the results.
        batches: results kept in memory.
        sides: rows of side outputs kept in memory, by tag.
        side_schemas: schemas of all side outputs, by tag.
        ledger: where every row went.
        report: the last progress report.
        taken: what took rows, by tag; the results under ''.
    """

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    sides: dict[str, list[pa.RecordBatch]]
    side_schemas: dict[str, pa.Schema]
    ledger: Ledger
    report: ProgressReport
    taken: dict[str, str]

    def table(self) -> pa.Table:
        """Return the results as one table, in the order of S24.

        Raises:
            PlanError: a sink took them; says which.
        """
        self._check_kept(_RESULTS, "table()", "the results", "run it without a sink")
        return pa.Table.from_batches(self.batches, self.schema)

    def side(self, tag: str) -> pa.Table:
        """Return a side output, in replay order.

        Raises:
            PlanError: there is no such tag, and which there are; or a sink took the rows.
        """
        if not is_one_of(tag, self.tags):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(msg, place="side(...)", remedy=f"tags are {', '.join(self.tags)}")
        self._check_kept(tag, f"side({tag!r})", f"the rows of {tag!r}", "leave them out of sides=")
        return pa.Table.from_batches(self.sides.get(tag, []), self.side_schemas[tag])

    def _check_kept(self, tag: str, place: str, what: str, instead: str) -> None:
        if tag in self.taken:
            msg = f"{what} are not in memory: they went to {self.taken[tag]}"
            raise PlanError(msg, place=place, remedy=f"read them from there, or {instead}")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the results over as an Arrow stream: see `Stream.__arrow_c_stream__`."""
        return self.table().__arrow_c_stream__(requested_schema)

    @property
    def tags(self) -> list[str]:
        """Tags of the side outputs."""
        return sorted(self.side_schemas)

    def assert_balanced(self) -> None:
        """Check the ledger; see `Ledger.assert_balanced`."""
        self.ledger.assert_balanced()


@dataclass
class _Outputs:
    """Writers and lists of one run."""

    writers: dict[str, SinkWriter] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[pa.RecordBatch]] = field(default_factory=dict)

    def open(self, tag: str, sink: Sink, schema: pa.Schema) -> None:
        self.writers[tag] = sink.open(schema)
        self.taken[tag] = sink.describe()

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        writer = self.writers.get(tag)
        if writer is not None:
            writer.write(batch)
        else:
            self.kept.setdefault(tag, []).append(batch)

    def abort(self) -> None:
        for writer in self.writers.values():
            # One that raises, against its contract, keeps no other from being aborted.
            with contextlib.suppress(Exception):
                writer.abort()


def run_plan(
    plan: CompiledPlan,
    *,
    sink: str | Path | Sink | None,
    sides: Mapping[str, str | Path | Sink] | None,
    shards: int,
    overwrite: bool,
    progress: Progress | None,
) -> Run:
    """Run to the end of input and publish; see `Stream.run`."""
    _check_arguments(sides, shards, overwrite, progress)
    from eventtime.execution import Execution
    from eventtime.sinks.base import commit_all

    tell = None if progress is None else told(progress, place="run(progress=…)")
    outputs = _Outputs()
    execution = Execution(plan, outputs.take, shards=shards)
    try:
        _open_writers(execution, plan, outputs, sink, sides or {}, overwrite=overwrite)
        for batch in execution.results(tell):
            outputs.take(_RESULTS, batch)
        ledger, report = execution.ledger(), execution.report()
        if tell is not None:
            # Before anything is published: it may raise, and a failed run leaves no output.
            tell(report)
        commit_all(list(outputs.writers.values()))
    except BaseException:
        # Ctrl-C included: nothing half-written stays under any name.
        execution.close()
        outputs.abort()
        raise
    results = outputs.kept.pop(_RESULTS, [])
    side_schemas = execution.side_schemas
    return Run(plan.schema, results, outputs.kept, side_schemas, ledger, report, outputs.taken)


def _check_arguments(
    sides: object, shards: object, overwrite: object, progress: Progress | None
) -> None:
    if sides is not None and not isinstance(sides, Mapping):
        msg = f"{shown(sides)} does not say where side outputs go"
        remedy = "give a path or sink by tag, such as {'late': 'late.parquet'}"
        raise PlanError(msg, place="run(sides=…)", remedy=remedy)
    what, remedy = "a number above zero", "1, or the number of processor cores"
    check_whole(shards, least=1, what=what, place="run(shards=…)", remedy=remedy)
    check_flag(overwrite, place="run(overwrite=…)")
    remedy = "give a function that takes an et.ProgressReport"
    check_callable(progress, place="run(progress=…)", remedy=remedy)


def _open_writers(
    execution: Execution,
    plan: CompiledPlan,
    outputs: _Outputs,
    sink: str | Path | Sink | None,
    sides: Mapping[str, str | Path | Sink],
    *,
    overwrite: bool,
) -> None:
    from eventtime.sinks.base import sink_for

    schemas = execution.side_schemas
    for tag in sides:
        if not is_one_of(tag, list(schemas)):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(
                msg, place="run(sides=…)", remedy=f"tags are {', '.join(sorted(schemas))}"
            )
    sources = [b.source for b in plan.branches if isinstance(b.source, FileSource)]
    if sink is not None:
        checked = _checked(sink_for(sink, overwrite=overwrite), sources)
        outputs.open(_RESULTS, checked, plan.schema)
    for tag, target in sides.items():
        checked = _checked(sink_for(target, overwrite=overwrite), sources)
        outputs.open(tag, checked, schemas[tag])


def _checked(sink: Sink, sources: list[FileSource]) -> Sink:
    """Refuse to write over what is being read, or to where the next run would read it."""
    named = str(getattr(sink, "path", "")).removeprefix("file://")
    if not named:
        return sink
    path, place = os.path.realpath(named), sink.describe()
    inputs = {os.path.realpath(path) for source in sources for path in source.local_paths()}
    if path in inputs or any(name.startswith(path + os.sep) for name in inputs):
        msg = f"output {named!r} is an input of the same run"
        raise SinkError(msg, place=place, remedy="write to another path")
    written = os.path.realpath(getattr(sink, "some_file", named).removeprefix("file://"))
    if any(source.would_read(written) for source in sources):
        msg = f"output {named!r} is among the inputs: the next run would read it as one of them"
        remedy = "write outside, or to a name that begins with '_', which inputs leave out"
        raise SinkError(msg, place=place, remedy=remedy)
    return sink
