"""Stopping a live run that saves nothing: all input is taken as ended, and every window fires."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.clock import Clock
    from eventtime.execution import Execution
    from eventtime.following import Following

__all__ = ("Draining",)


class Draining:
    """Ends the input when told to; see `Pauses`, which it is without ever pausing.

    Args:
        stop: asked after each turn.
        clock: of the machine's time.
    """

    def __init__(self, stop: Callable[[], bool], clock: Clock) -> None:
        self._stop, self.clock, self.saves = stop, clock, False
        self._execution: Execution | Following | None = None

    def begin(self, execution: Execution | Following) -> None:
        """Take the run."""
        self._execution = execution

    def is_due(self, rows: int) -> bool:
        if self._stop() and self._execution is not None:
            self._execution.end_input()
        return False

    def pause(self, *, is_end: bool) -> None:
        """Save nothing."""

    @property
    def stops(self) -> bool:
        return False
