"""Whether an engine takes more: not once it was suspended, nor when a call failed half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ("Soundness",)


class Soundness:
    """What an engine remembers of calls that ended badly.

    Working: `with` it. Ending: `suspend`. Asking: `check_whole`, `check_going_on`.
    """

    def __init__(self) -> None:
        self._is_suspended = False
        self._broken: BaseException | None = None

    def __enter__(self) -> None:
        """Begin a call that changes the engine."""

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remember what goes wrong half-way: part of the rows is inside then, part is not."""
        if error is not None:
            self._broken = error

    def suspend(self) -> None:
        """Take nothing more."""
        self._is_suspended = True

    def check_whole(self, place: str) -> None:
        """Refuse to save what an earlier call left half-done.

        Raises:
            PlanError: shows what went wrong then.
        """
        if self._broken is not None:
            first = str(self._broken).partition("\n")[0]
            msg = f"an earlier call failed half-way: {type(self._broken).__name__}: {first}"
            remedy = "restore the last checkpoint or savepoint, and push again what came after it"
            raise PlanError(msg, place=place, remedy=remedy)

    def check_going_on(self, place: str) -> None:
        """Refuse to take more.

        Raises:
            PlanError: it was suspended, or broken off.
        """
        if self._is_suspended:
            msg = "the engine was suspended and takes nothing more"
            raise PlanError(msg, place=place, remedy="make a new engine")
        self.check_whole(place)
