"""Writes the checkpoints of a run while the work goes on, and commits its outputs (S27, S28).

work ──► pause: copy what changed ──► work goes on …
                    │
                    ▼  another thread
         blocks and manifest durable ──► sinks commit the epoch
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eventtime.claiming import claim, in_words
from eventtime.clock import SystemClock
from eventtime.cutting import Cutting
from eventtime.fingerprint import fingerprint
from eventtime.outputs import StagedOutputs
from eventtime.recalled import columns_of
from eventtime.savepoint import resumed_from
from eventtime.state.saved import Checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from eventtime.checkpoints import Checkpoints
    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Execution
    from eventtime.following import Following
    from eventtime.outputs import Epoch
    from eventtime.report import ProgressReport
    from eventtime.savepoint import Origin
    from eventtime.state.checkpoints import CheckpointWriter
    from eventtime.state.parts import Saved

__all__ = ("Checkpointing",)

_STAGED_BYTES: Final = 256 << 20


class Checkpointing:
    """The checkpoints of one run.

    Beginning: `saved`, `outputs`, `begin`. Running (see `Pauses`): `is_due`, `clock`, `pause`,
    `stops`.
    End: `publish`, `give_up`, `close`.

    Args:
        checkpoints: where, and how often.
        plan: compiled.
        start_from: path of a savepoint, for when there is no checkpoint yet.
        stop: asked after each step whether to suspend.
        drain: take all input as ended then, rather than suspend.
        clock: of the machine's time, for when the next one is due; None: the machine's.
        commit_every_us: see `StagedOutputs`.
        origin: whether of a replay or a live run.

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
        commit_every_us: int | None = None,
        origin: Origin = "replay",
    ) -> None:
        self._stop, self._drain, self.stops, self.saves = stop, drain, False, True
        self._origin = origin
        self._store, self.saved, self._job = claim(checkpoints, plan, origin, start_from=start_from)
        self._pipeline: dict[str, Any] = {
            "pipeline": fingerprint(plan),
            "sources": in_words(plan),
            "columns": columns_of(plan),
        }
        epoch = 0 if self.saved is None else self.saved.head["epoch"]
        self.clock: Clock = SystemClock() if clock is None else clock
        self.outputs = StagedOutputs(
            self._job, epoch, self.clock, commit_every_us, is_published=self.is_published
        )
        self._execution: Execution | Following | None = None
        self._cutting = Cutting(checkpoints, self.clock)
        self._resumed = None if self.saved is None else resumed_from(self.saved)

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
        return self._cutting.written is not None

    @property
    def has_failed(self) -> bool:
        """Whether the last one could not be written or committed."""
        return self._cutting.has_failed

    def told(self, report: ProgressReport) -> ProgressReport:
        """Add to a report what is known of checkpoints."""
        return replace(report, resumed=self._resumed, checkpoint=self._cutting.written)

    @property
    def last(self) -> int | None:
        """Number of the last checkpoint that is durable."""
        newest = self._store.newest()
        return None if newest is None else newest.seq

    def begin(self, execution: Execution | Following) -> None:
        """Take the run, its outputs being open; completes what the last process left undone.

        Raises:
            CheckpointError: an output is not as the checkpoint left it.
            FencedError: a newer process has taken over.
        """
        self._execution = execution
        if self._store.newest() is None:
            # The outputs are marked as this job's from now on: it must be known after a crash.
            head = {"kind": self._origin, **self._pipeline, "is_begun": False}
            self._store.write({**head, **self._about_outputs(0)}, [])
        self.outputs.recover(self.saved, self._store.token)
        if self.is_published:
            self._store.sweep()

    def is_due(self, rows: int) -> bool:
        if self.is_finished:
            return False  # what is left is done at once, and was saved as finished
        self._cutting.note(rows)
        if self._stop is not None and self._stop():
            self.stops = not self._drain
            if self._drain and self._execution is not None:
                self._execution.end_input()
        is_due = self._cutting.is_due()
        return is_due or self.stops or self.outputs.bytes_staged > _STAGED_BYTES

    def pause(self, *, is_end: bool) -> None:
        assert self._execution is not None
        if self.is_published:
            return  # there is nothing that the last checkpoint does not hold
        self._cutting.settle()
        ended = self.outputs.end_epoch()
        writer = self._store.parts()
        head = self._execution.save(writer)
        head |= {"is_begun": True, "is_finished": is_end, "is_published": self.is_published}
        head |= self._pipeline | self._about_outputs(ended.number)
        head["outputs"] = self.outputs.save(ended, writer, self._held_by)
        self._cutting.begin(lambda: self._write(head, writer, ended))
        if is_end or self.stops:
            self._cutting.settle()

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

    def give_up(self) -> None:
        """Do not wait for the checkpoint under way: what is not durable yet is left undone."""
        self._cutting.give_up()

    def close(self) -> None:
        """Stop the thread, and let go of outputs."""
        self._cutting.close()
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

    def _write(self, head: dict[str, Any], writer: CheckpointWriter, ended: Epoch) -> Checkpoint:
        self.outputs.commit_early(ended, self._store.token)
        written = self._store.write(head, self._cutting.each(writer.blocks))
        self.outputs.commit(ended, self._store.token)
        assert self._execution is not None
        self._execution.settled(head)
        return written
