"""Writes the checkpoints of a run while the work goes on, and commits its outputs (S27, S28).

work ──► pause: copy what changed ──► work goes on …
                    │
                    ▼  another thread
         blocks and manifest durable ──► sinks commit the epoch
"""

from __future__ import annotations

import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from eventtime.clock import SystemClock
from eventtime.fingerprint import check_fingerprint, fingerprint
from eventtime.outputs import StagedOutputs
from eventtime.places import storage_at
from eventtime.report import WrittenCheckpoint
from eventtime.savepoint import check_origin, read_savepoint, resumed_from
from eventtime.state.checkpoints import CheckpointStore
from eventtime.state.saved import Checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from eventtime.checkpoints import Checkpoints
    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Execution
    from eventtime.outputs import Epoch
    from eventtime.report import ProgressReport
    from eventtime.state.checkpoints import CheckpointWriter
    from eventtime.state.parts import Saved

__all__ = ("Checkpointing",)

_STAGED_BYTES: Final = 256 << 20


class Checkpointing:
    """The checkpoints of one run.

    Beginning: `saved`, `outputs`, `begin`. Running (see `Pauses`): `is_due`, `pause`, `stops`.
    End: `publish`, `close`.

    Args:
        checkpoints: where, and how often.
        plan: compiled.
        start_from: path of a savepoint, for when there is no checkpoint yet.
        stop: asked after each step whether to suspend.
        drain: take all input as ended then, rather than suspend.
        clock: of the machine's time, for when the next one is due; None: the machine's.

    Raises:
        CheckpointError: what is there cannot be read, or is of another pipeline.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        plan: CompiledPlan,
        *,
        start_from: str | os.PathLike[str] | None = None,
        stop: Callable[[], bool] | None = None,
        drain: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._description, self._stop = checkpoints, stop
        self._clock = SystemClock() if clock is None else clock
        storage = storage_at(checkpoints.path, checkpoints.filesystem)
        how: Any = {"keep": checkpoints.keep, "at": checkpoints.at, "writer": _writer()}
        self._store = CheckpointStore.open(storage, **how)
        newest = self._store.newest()
        found: Saved | None = newest
        number = None if newest is None else newest.seq
        what, place = f"checkpoint {number} in {storage.place!r}", "run(checkpoint=…)"
        job = None if found is None else found.head["job"]
        if (found is None or not found.head["is_begun"]) and start_from is not None:
            found = read_savepoint(start_from, None)
            check_origin(found, "replay", str(start_from))
            job = found.head["job"]
            what, place = f"the savepoint {str(start_from)!r}", "run(start_from=…)"
            # The outputs know the token that its process had in another folder.
            self._store = CheckpointStore.open(storage, **how, above=found.head.get("token", 0))
        if found is not None:
            check_fingerprint(found.head["pipeline"], plan, what, place)
        self.saved = found if found is not None and found.head["is_begun"] else None
        self._pipeline, self._job = fingerprint(plan), job or uuid.uuid4().hex
        epoch = 0 if self.saved is None else self.saved.head["epoch"]
        self.outputs = StagedOutputs(self._job, epoch, is_published=self.is_published)
        self._execution: Execution | None = None
        self._rows, self._since_us = 0, self._clock.now_us()
        self._thread = ThreadPoolExecutor(1, "eventtime-checkpoint")
        self._writing: Future[Checkpoint] | None = None
        self._drain, self.stops = drain, False
        self._resumed = None if self.saved is None else resumed_from(self.saved)
        self._written: WrittenCheckpoint | None = None
        self._written_at_us = 0

    @property
    def is_finished(self) -> bool:
        """Whether the run that is gone on with had come to its end."""
        return isinstance(self.saved, Checkpoint) and bool(self.saved.head["is_finished"])

    @property
    def is_published(self) -> bool:
        """Whether its outputs had their final names already; those of a savepoint are others."""
        return isinstance(self.saved, Checkpoint) and bool(self.saved.head.get("is_published"))

    @property
    def has_written(self) -> bool:
        """Whether this run has made a checkpoint durable."""
        return self._written is not None

    def told(self, report: ProgressReport) -> ProgressReport:
        """Add to a report what is known of checkpoints."""
        written = self._written
        if written is not None:
            age_us = max(0, self._clock.now_us() - self._written_at_us)
            written = replace(written, age_us=age_us)
        return replace(report, resumed=self._resumed, checkpoint=written)

    @property
    def last(self) -> int | None:
        """Number of the last checkpoint that is durable."""
        newest = self._store.newest()
        return None if newest is None else newest.seq

    def begin(self, execution: Execution) -> None:
        """Take the run, its outputs being open; completes what the last process left undone.

        Raises:
            CheckpointError: an output is not as the checkpoint left it.
            FencedError: a newer process has taken over.
        """
        self._execution = execution
        if self._store.newest() is None:
            # The outputs are marked as this job's from now on: it must be known after a crash.
            head = {"pipeline": self._pipeline, "is_begun": False}
            self._store.write({**head, **self._about_outputs(0)}, [])
        self.outputs.recover(self.saved, self._store.token)
        if self.is_published:
            self._store.sweep()

    def is_due(self, rows: int) -> bool:
        if self.is_finished:
            return False  # what is left is done at once, and was saved as finished
        self._rows += rows
        if self._stop is not None and self._stop():
            self.stops = not self._drain
            if self._drain and self._execution is not None:
                self._execution.end_input()
        is_idle = self._writing is None or self._writing.done()
        if self._writing is not None and is_idle:
            self._settle()
        wanted = self._description
        by_rows = wanted.every_rows is not None and self._rows >= wanted.every_rows
        is_asked = wanted.when is not None and wanted.when()
        if self.stops or is_asked or by_rows or self.outputs.bytes_staged > _STAGED_BYTES:
            return True
        return is_idle and self._is_time()

    def pause(self, *, is_end: bool) -> None:
        assert self._execution is not None
        if self.is_published:
            return  # there is nothing that the last checkpoint does not hold
        self._settle()
        ended = self.outputs.end_epoch()
        writer = self._store.parts()
        head = self._execution.save(writer)
        head |= {"is_begun": True, "is_finished": is_end, "is_published": self.is_published}
        head |= self._about_outputs(ended.number)
        head["outputs"] = self.outputs.save(ended, writer, self._held_by)
        self._writing = self._thread.submit(self._write, head, writer, ended)
        self._rows, self._since_us = 0, self._clock.now_us()
        if is_end or self.stops:
            self._settle()

    def publish(self) -> None:
        """Give outputs that were held for the end their final names."""
        final = self._final()
        self.outputs.publish_from(final, self._store.check)
        if self.is_published:
            return
        writer = self._store.parts()
        self.outputs.save(self.outputs.end_epoch(), writer, final)
        self._store.write({**final.head, "is_published": True}, writer.blocks)

    def suspend(self) -> None:
        """Give memory what has come out so far, and leave all else to the next process."""
        self.outputs.keep_from(self._final())

    def close(self) -> None:
        """Stop the thread, and let go of outputs."""
        self._thread.shutdown()
        self.outputs.close()

    @property
    def _held_by(self) -> Saved | None:
        """What holds the rows of earlier epochs: a savepoint until there is a checkpoint."""
        newest = self._store.newest()
        return newest if newest is not None and newest.head["is_begun"] else self.saved

    def _final(self) -> Checkpoint:
        final = self._store.newest()
        assert final is not None
        return final

    def _about_outputs(self, epoch: int) -> dict[str, Any]:
        return {"job": self._job, "epoch": epoch, "token": self._store.token}

    def _is_time(self) -> bool:
        every_us, now_us = self._description.every_us, self._clock.now_us()
        # A clock that was stepped back starts again.
        self._since_us = min(self._since_us, now_us)
        return every_us is not None and now_us - self._since_us >= every_us

    def _write(self, head: dict[str, Any], writer: CheckpointWriter, ended: Epoch) -> Checkpoint:
        begun_us = self._clock.now_us()
        self.outputs.commit_early(ended, self._store.token)
        written = self._store.write(head, writer.blocks)
        self.outputs.commit(ended, self._store.token)
        self._written_at_us = self._clock.now_us()
        took_us = max(0, self._written_at_us - begun_us)
        self._written = WrittenCheckpoint(written.seq, 0, took_us, written.new_bytes)
        return written

    def _settle(self) -> None:
        """Wait until the last checkpoint is durable and committed; raises what went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _writer() -> str:
    """Say who writes, for people who look into a checkpoint."""
    try:
        return f"eventtime {version('eventtime')}"
    except PackageNotFoundError:
        return "eventtime, not installed"
