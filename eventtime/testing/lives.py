"""An engine driven by hand and those that take its place; what came out over all of them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.engine import Engine
from eventtime.testing.ready import Ready

if TYPE_CHECKING:
    from eventtime.clock import ManualClock
    from eventtime.memory import MemoryLike
    from eventtime.stream import Stream

__all__ = ("Lives",)

Taken = dict[str | None, list[pa.Table]]
"""Tables by tag, in the order in which they were taken; the tag of the results is None."""


@dataclass(frozen=True)
class _Saved:
    """A checkpoint: the state, what the clock showed, the steps that are in it, what was taken."""

    snapshot: bytes | None
    now_us: int
    done: int = 0
    taken: Taken = field(default_factory=dict)


class Lives:
    """One engine after the other (S28).

    Taking: `new`, `all`. Surviving: `snapshot`, `go_on`; `save`, `go_back`.

    Args:
        pipeline: that they compute.
        names: of the partitions known at the start.
        clock: of all of them.
        shards: of each; may be changed for the next one.
        memory: of each.
    """

    def __init__(
        self,
        pipeline: Stream,
        names: tuple[str, ...],
        clock: ManualClock,
        *,
        shards: int,
        memory: MemoryLike | None,
    ) -> None:
        self._names, self._clock = names, clock
        self._pipeline: Any = Ready.of(pipeline.node)
        self.shards, self._memory = shards, memory
        self.engine = self._made(None)
        self._taken: Taken = {}
        self._saved = _Saved(None, clock.now_us())

    def new(self, tag: str | None) -> pa.Table:
        """Take what came out since it was last taken."""
        new: pa.Table = self.engine.results() if tag is None else self.engine.side(tag)
        self._taken.setdefault(tag, []).append(new)
        return new

    def all(self, tag: str | None) -> pa.Table:
        """Return all that came out, and leave there what is new."""
        keep, engine = True, self.engine
        new = engine.results(keep=keep) if tag is None else engine.side(tag, keep=keep)
        return pa.concat_tables([*self._taken.get(tag, []), new])

    def snapshot(self) -> bytes:
        """Return all state, and what came out and was not taken, as a savepoint's bytes (S27)."""
        stream = io.BytesIO()
        self.engine.savepoint(stream)
        return stream.getvalue()

    def go_on(self, snapshot: bytes | None) -> None:
        """Put another engine in the place of this one: one that was saved, or one that begins."""
        made = self._made(snapshot)
        self.engine.suspend()
        self.engine = made

    def save(self, done: int) -> None:
        """Remember all, and how many steps are in it."""
        taken = {tag: list(tables) for tag, tables in self._taken.items()}
        self._saved = _Saved(self.snapshot(), self._clock.now_us(), done, taken)

    def go_back(self) -> int:
        """Lose what came since it was saved; returns how many steps are not lost."""
        saved = self._saved
        self._clock.advance(saved.now_us - self._clock.now_us())
        self.go_on(saved.snapshot)
        self._taken = {tag: list(tables) for tag, tables in saved.taken.items()}
        return saved.done

    def _made(self, snapshot: bytes | None) -> Engine:
        clock, shards, memory = self._clock, self.shards, self._memory
        given = self._pipeline
        pipeline: Any = given.for_one() if isinstance(given, Ready) else given
        if snapshot is None:
            return Engine(pipeline, self._names, clock=clock, shards=shards, memory=memory)
        saved = io.BytesIO(snapshot)
        return Engine.restore(pipeline, saved, clock=clock, shards=shards, memory=memory)
