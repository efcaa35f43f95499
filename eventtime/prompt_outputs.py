"""Outputs of a live run without checkpoints: what came out is committed as it comes."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, ClassVar, Final

from eventtime.clock import Interval
from eventtime.outputs import RESULTS, Outputs
from eventtime.sinks.epochs import takes_epochs

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.sinks.base import AnySink
    from eventtime.sinks.epochs import EpochWriter

__all__ = ("PromptOutputs",)

_TOKEN: Final = 1
_FILES_US: Final = 1_000_000


class PromptOutputs(Outputs):
    """Commits after each turn, or now and then; to sinks that make files always now and then.

    A sink that is a single file is published at the end. What was committed stays, whatever
    happens; without checkpoints a run that is started again begins anew, and writes again.

    Args:
        clock: of the machine's time.
        every_us: how often; None: after each turn, to sinks that make a file each time once a
            second.
    """

    holds_transactions: ClassVar[bool] = False

    def __init__(self, clock: Clock, every_us: int | None) -> None:
        super().__init__()
        self._clock, self._all_wait = clock, every_us is not None
        self._interval = Interval(every_us or _FILES_US, clock.now_us())
        self._job, self._epoch = uuid.uuid4().hex, 0
        self._epochs: dict[str, EpochWriter] = {}
        self._slow: set[str] = set()
        self._waiting: dict[str, list[pa.RecordBatch]] = {}

    def open(self, tag: str, sink: AnySink, schema: pa.Schema) -> None:
        if not takes_epochs(sink):
            super().open(tag, sink, schema)
            return
        writer = sink.open_epochs(schema, f"{self._job}/{tag or 'results'}")
        self._epochs[tag] = writer
        writer.recover(_TOKEN)
        if self._all_wait or getattr(sink, "makes_files", False):
            self._slow.add(tag)
        self._describe(tag, sink)

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        if tag in self._epochs:
            self._waiting.setdefault(tag, []).append(batch)
        else:
            super().take(tag, batch)

    def turn(self) -> bool:
        """Commit what the turn brought."""
        if not self._waiting:
            return True
        is_time = self._interval.has_passed(self._clock.now_us())
        self._commit([tag for tag in self._waiting if is_time or tag not in self._slow])
        return RESULTS not in self._waiting

    def publish(self, check: object = None) -> None:
        """Commit the rest; give files their final names."""
        self._commit(list(self._waiting))
        self._close()
        super().publish()

    def abort(self) -> None:
        """Let go of sinks; what was committed stays."""
        self._close()
        super().abort()

    def _commit(self, tags: list[str]) -> None:
        if tags:
            self._epoch += 1
        for tag in tags:
            self._epochs[tag].commit(self._epoch, self._waiting[tag], _TOKEN)
            del self._waiting[tag]

    def _close(self) -> None:
        for writer in self._epochs.values():
            with contextlib.suppress(Exception):
                writer.close()
