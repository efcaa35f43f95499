"""The checkpoints of an engine: incremental, fenced, written while it goes on (S27, S28)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventtime.checks import shown
from eventtime.claiming import claim
from eventtime.cutting import Cutting
from eventtime.errors import PlanError
from eventtime.savepoint import resumed_from

if TYPE_CHECKING:
    from eventtime.checkpoints import Checkpoints
    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.core import Core
    from eventtime.report import Resumed

__all__ = ("EngineCheckpoints",)


class EngineCheckpoints:
    """The checkpoints of one engine, for the one process that writes them.

    Beginning: `saved`, `resumed`. Running: `note`, `is_due`, `cut`, `settle`. Ending: `close`.

    Args:
        checkpoints: where, and how often.
        plan: compiled.
        clock: of when the next one is due.

    Raises:
        CheckpointError: what is there cannot be read, or is of another pipeline, or of a run.
    """

    def __init__(self, checkpoints: Checkpoints, plan: CompiledPlan, clock: Clock) -> None:
        self._store, self.saved, self._job = claim(checkpoints, plan, "engine")
        self._cutting = Cutting(checkpoints, clock)
        self.resumed: Resumed | None = None if self.saved is None else resumed_from(self.saved)

    def note(self, rows: int) -> None:
        """Count rows that were pushed."""
        self._cutting.note(rows)

    def is_due(self) -> bool:
        """Tell whether it is time for the next one; raises what went wrong with the last."""
        return self._cutting.is_due()

    def cut(self, core: Core, notes: object) -> None:
        """Copy what changed since the last one, and begin to write it.

        Raises:
            CheckpointError: the last one could not be written.
            FencedError: a newer process has taken over.
            PlanError: JSON cannot hold the notes.
        """
        noted = _noted(notes)
        self._cutting.settle()
        writer = self._store.parts()
        head: dict[str, Any] = {
            **core.save(writer),
            "job": self._job,
            "token": self._store.token,
            "is_begun": True,
            "is_finished": core.is_finished,
            "notes": noted,
        }
        self._cutting.begin(lambda: self._store.write(head, self._cutting.each(writer.blocks)))

    def settle(self) -> int:
        """Wait until the last one is durable; returns its number."""
        self._cutting.settle()
        newest = self._store.newest()
        assert newest is not None
        return newest.seq

    def close(self) -> None:
        """Wait for the one under way; raises what went wrong."""
        try:
            self._cutting.settle()
        finally:
            self._cutting.close()


def _noted(notes: object) -> object:
    """Return the notes as JSON gives them back; what the caller changes later does not show."""
    try:
        noted: object = json.loads(json.dumps(notes, allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"JSON cannot hold {shown(notes)}: {error}"
        remedy = "give texts, numbers, lists and dicts, such as {'offset': 7}"
        raise PlanError(msg, place="checkpoint(notes=…)", remedy=remedy) from error
    return noted
