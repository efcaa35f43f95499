"""A transcript run: its steps are done one after the other, and what comes is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import EventTimeError
from eventtime.testing.harness import Harness
from eventtime.testing.moments import told
from eventtime.testing.rows import batch_of
from eventtime.testing.steps import Checkpoint, Push, Restart, Streams
from eventtime.testing.steps import Crash as CrashStep
from eventtime.testing.timeline import picture
from eventtime.testing.transcripts.acts import Act, Crash, Cut, Expect, Replay, Restarted
from eventtime.testing.transcripts.comparing import Comparison, TranscriptFailedError
from eventtime.testing.transcripts.declared import RefusedPipelineError
from eventtime.testing.transcripts.reading import TranscriptError
from eventtime.testing.transcripts.script import Transcript, load

if TYPE_CHECKING:
    import os

    from eventtime.stream import Stream
    from eventtime.testing.steps import Step

__all__ = ("run_transcript",)


def run_transcript(
    transcript: Transcript | str | os.PathLike[str],
    *,
    shards: int = 1,
    row_by_row: bool = False,
    restarts: bool = False,
) -> None:
    """Do the steps of a transcript, and compare.

    Whatever the options, the same must come (S4, S24, S28).

    Args:
        transcript: as `load` returns it, or the path of its file.
        shards: threads that share the keys.
        row_by_row: whether each row comes as a batch of its own.
        restarts: whether state is saved, destroyed and restored after each step.

    Raises:
        TranscriptFailedError: something else came; with file and line, what was expected, what
            came, and a time line.
        TranscriptError: the transcript says what it must not.
    """
    story = transcript if isinstance(transcript, Transcript) else load(transcript)
    if not story.not_yet:
        _play(story, shards, row_by_row=row_by_row, restarts=restarts)
        return
    try:
        _play(story, shards, row_by_row=row_by_row, restarts=restarts)
    except (TranscriptFailedError, EventTimeError) as error:
        # What the transcript says wrongly is nothing that the pipeline lacks.
        if _is_of_the_story(error):
            raise
        return
    msg = f"{story.path}:1: this works now: take 'not_yet' out"
    raise TranscriptFailedError(msg)


def _is_of_the_story(error: Exception) -> bool:
    return isinstance(error, TranscriptError) and not isinstance(error, RefusedPipelineError)


def _play(story: Transcript, shards: int, *, row_by_row: bool, restarts: bool) -> None:
    where, refused = story.declared.entry, story.refused
    try:
        stream = story.declared.stream()
        harness = Harness(stream, story.partitions, start=story.clock_us, shards=shards)
    except EventTimeError as error:
        if refused and refused in str(error):
            return
        if _is_of_the_story(error) or (isinstance(error, TranscriptError) and not refused):
            raise
        wanted = f", and not with {refused!r}" if refused else ""
        msg = f"the pipeline is refused{wanted}: {error.what}"
        raise RefusedPipelineError(msg, place=where.place, remedy=error.remedy) from error
    if refused:
        harness.close()
        msg = f"{where.place}: the pipeline is not refused, and {refused!r} is expected"
        raise TranscriptFailedError(msg)
    run = _Run(story, stream, harness, row_by_row=row_by_row, restarts=restarts)
    try:
        run.play()
    finally:
        run.harness.close()


class _Run:
    def __init__(
        self,
        story: Transcript,
        stream: Stream,
        harness: Harness,
        *,
        row_by_row: bool,
        restarts: bool,
    ) -> None:
        self._story, self._begun, self.harness = story, stream, harness
        self._row_by_row, self._restarts = row_by_row, restarts
        self._comparison = Comparison(story, self._picture)
        self._done: list[Step] = []
        self._changes: dict[int, Stream] = {}
        # How much had come out when state was saved.
        self._sizes: dict[str, int] = {}

    def play(self) -> None:
        self._comparison.collect(self.harness)  # nothing yet, of which a first step may say so
        for act in self._story.steps:
            before_us = self.harness.watermark_us
            try:
                self._act(act)
            except TranscriptError:
                raise
            except EventTimeError as error:
                self._comparison.fail(act.entry, "this is refused", str(error))
            if isinstance(act, Expect):
                continue
            self._comparison.collect(self.harness)
            if self._restarts:
                self.harness.restart()
            if self.harness.watermark_us < before_us:
                self._comparison.fail(act.entry, "the watermark went back (S5)")
            self.harness.ledger.assert_balanced()
        self._comparison.check_end()

    def _act(self, act: Act) -> None:
        match act:
            case Expect():
                self._comparison.compare(act, self.harness)
            case Replay():
                self._replay(act)
            case Cut():
                self.harness.checkpoint()
                self._done.append(Checkpoint())
                self._sizes = self._comparison.sizes()
            case Crash():
                self._crash(act)
            case Restarted():
                self._restart(act)
            case _:
                for step in self._cut(act.steps()):
                    self._check_rows(step, act)
                    self.harness.do(step)
                    self._done.append(step)

    def _check_rows(self, step: Step, act: Act) -> None:
        """Refuse rows that the source cannot have; those of a declared one are read already."""
        if self._story.declared.schema is None and isinstance(step, Push):
            try:
                self.harness.laid_out(step.partition, step.rows)
            except EventTimeError as error:
                act.entry.refuse(error.what, error.remedy)

    def _cut(self, steps: list[Step]) -> list[Step]:
        if not self._row_by_row:
            return steps
        return [
            piece
            for step in steps
            for piece in (
                [Push(step.partition, [row]) for row in step.rows]
                if isinstance(step, Push)
                else [step]
            )
        ]

    def _replay(self, act: Replay) -> None:
        declared = self._story.declared
        if declared.schema is None:
            act.entry.refuse("code declares its own source", "declare the pipeline here")
        time, unit, place = declared.time, declared.time_unit, act.entry.place
        batches = {
            name: batch_of(rows, declared.schema, time=time, time_unit=unit, place=place)
            for name, rows in act.rows.items()
        }
        run = declared.stream(batches).run(shards=self.harness.shards)
        self._comparison.note("", run.table())
        for tag in run.tags:
            self._comparison.note(tag, run.side(tag))
        self._comparison.replayed = run.ledger

    def _restart(self, act: Restarted) -> None:
        if act.pipeline is None:
            self.harness.restart(shards=act.shards)
            self._done.append(Restart())
            return
        stream, clock_us = act.pipeline.stream(), self.harness.clock.now_us()
        shards = act.shards or self.harness.shards
        try:
            other = Harness.restore(stream, self.harness.snapshot(), start=clock_us, shards=shards)
        except EventTimeError as error:
            if not act.refused:
                raise
            if act.refused not in str(error):
                what = f"the changed pipeline is refused, and not with {act.refused!r}"
                self._comparison.fail(act.entry, what, str(error))
            return
        self.harness.close()
        self.harness = other
        self._done.append(Restart())
        self._changes[len(self._done)] = stream
        self._sizes = self._comparison.sizes()  # a crash goes back to this, for it was saved
        if act.refused:
            what = f"the changed pipeline is not refused, and {act.refused!r} is expected"
            self._comparison.fail(act.entry, what)

    def _crash(self, act: Crash) -> None:
        """Lose what came since the checkpoint; it must come again, the same (S28)."""
        lost = self._comparison.lose(self._sizes)
        self.harness.crash()
        self._done.append(CrashStep())
        self._comparison.collect(self.harness)
        self._comparison.check_again(lost, self._sizes, act.entry)

    def _picture(self) -> str:
        if not self._done:
            return ""
        streams = Streams(self._story.partitions, tuple(self._done), self._story.clock_us)
        return picture(told(self._begun, streams, self._changes))
