"""Where the rows of a run go, and that they do not go over what it reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.sources.filesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from eventtime.compiled import CompiledPlan
    from eventtime.outputs import Outputs
    from eventtime.sinks.base import AnySink

__all__ = ("Targets",)


@dataclass(frozen=True)
class Targets:
    """Where the rows of a run go.

    Args:
        sink: of the results; None: memory.
        sides: of side outputs, by tag; memory for the others.
        overwrite: whether outputs that exist are replaced.
    """

    sink: str | Path | AnySink | None
    sides: Mapping[str, str | Path | AnySink]
    overwrite: bool

    def open(self, outputs: Outputs, plan: CompiledPlan, sides: Mapping[str, pa.Schema]) -> None:
        """Open the outputs of a run.

        Args:
            outputs: take the rows.
            plan: compiled.
            sides: schemas of the side outputs, by tag.

        Raises:
            PlanError: there is no such side output.
            SinkError: an output is an input, or cannot be written.
        """
        from eventtime.outputs import RESULTS
        from eventtime.sinks.base import check_apart, sink_for

        for tag in self.sides:
            if not is_one_of(tag, list(sides)):
                msg = f"there is no side output {shown(tag)}"
                remedy = f"tags are {', '.join(sorted(sides))}"
                raise PlanError(msg, place="run(sides=…)", remedy=remedy)
        sources = [b.source for b in plan.branches if isinstance(b.source, FileSource)]
        wanted = {} if self.sink is None else {RESULTS: self.sink}
        sinks = {
            tag: _checked(sink_for(target, overwrite=self.overwrite), sources)
            for tag, target in {**wanted, **self.sides}.items()
        }
        check_apart(sinks, hold_transactions=outputs.holds_transactions)
        for tag, sink in sinks.items():
            outputs.open(tag, sink, sides.get(tag, plan.schema))


def _checked(sink: AnySink, sources: list[FileSource]) -> AnySink:
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
