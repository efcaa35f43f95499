"""When the next checkpoint is due, and the thread that writes them one after another."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from eventtime.errors import CheckpointError
from eventtime.report import WrittenCheckpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from eventtime.checkpoints import Checkpoints
    from eventtime.clock import Clock
    from eventtime.state.checkpoints import KeptBlock, NewBlock
    from eventtime.state.saved import Checkpoint

__all__ = ("Cutting",)


class Cutting:
    """Writes checkpoints while the work goes on, at most one at a time.

    When: `note`, `is_due`. Writing: `settle`, cut, `begin`; `each`. Looking: `written`,
    `has_failed`. Ending: `give_up`, `close`.

    Args:
        checkpoints: how often.
        clock: of the machine's time.
    """

    def __init__(self, checkpoints: Checkpoints, clock: Clock) -> None:
        self._wanted, self._clock = checkpoints, clock
        self._rows, self._since_us = 0, clock.now_us()
        within = checkpoints.within
        self._thread: Executor = (
            ThreadPoolExecutor(1, "eventtime-checkpoint") if within is None else within.executor()
        )
        self._writing: Future[Checkpoint] | None = None
        self._written: WrittenCheckpoint | None = None
        self._written_at_us = 0
        self._is_given_up = self.has_failed = False

    @property
    def written(self) -> WrittenCheckpoint | None:
        """The last one that is durable, and its age; None: there is none yet."""
        if self._written is None:
            return None
        return replace(self._written, age_us=max(0, self._clock.now_us() - self._written_at_us))

    def note(self, rows: int) -> None:
        """Count rows that were processed."""
        self._rows += rows

    def is_due(self) -> bool:
        """Tell whether it is time for the next one; raises what went wrong with the last."""
        is_idle = self._writing is None or self._writing.done()
        if self._writing is not None and is_idle:
            self.settle()
        wanted = self._wanted
        by_rows = wanted.every_rows is not None and self._rows >= wanted.every_rows
        is_asked = wanted.when is not None and wanted.when()
        return is_asked or by_rows or (is_idle and self._is_time())

    def begin(self, write: Callable[[], Checkpoint]) -> None:
        """Write a cut in the thread; the one before is settled."""
        self._writing = self._thread.submit(self._timed, write)
        self._rows, self._since_us = 0, self._clock.now_us()

    def each(self, blocks: Iterable[NewBlock | KeptBlock]) -> Iterator[NewBlock | KeptBlock]:
        """Hand on the blocks of a checkpoint until it is given up."""
        for block in blocks:
            if self._is_given_up:
                msg = "the checkpoint under way was given up, for the work was stopped at once"
                raise CheckpointError(msg, remedy="go on from the one before")
            yield block

    def settle(self) -> None:
        """Wait until the last checkpoint is durable and committed; raises what went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def give_up(self) -> None:
        """Let the checkpoint under way end behind its current block, as if it had not begun."""
        self._is_given_up = True

    def close(self) -> None:
        """Wait for the checkpoint under way, and stop the thread."""
        self._thread.shutdown()

    def _timed(self, write: Callable[[], Checkpoint]) -> Checkpoint:
        begun_us = self._clock.now_us()
        self.has_failed = True
        checkpoint = write()
        self.has_failed = False
        self._written_at_us = self._clock.now_us()
        took_us = max(0, self._written_at_us - begun_us)
        self._written = WrittenCheckpoint(checkpoint.seq, 0, took_us, checkpoint.new_bytes)
        return checkpoint

    def _is_time(self) -> bool:
        every_us, now_us = self._wanted.every_us, self._clock.now_us()
        # A clock that was stepped back starts again.
        self._since_us = min(self._since_us, now_us)
        return every_us is not None and now_us - self._since_us >= every_us
