"""The core of a live run, watched: rows go in one by one (S4)."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eventtime.core import Core
from eventtime.explaining.passing import Passing
from eventtime.explaining.seen import Seen, stood
from eventtime.explaining.values import values_of
from eventtime.following import Following
from eventtime.journal.playing import NoAlarm
from eventtime.sources.rebatch import one_by_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from eventtime.compiled import CompiledPlan
    from eventtime.explaining.seen import Standing, Watch
    from eventtime.journal.playing import Player
    from eventtime.partition import Ready

__all__ = ("WatchedCore", "watch_journal")


class WatchedCore(Core):
    """A core that shows each of its steps; `watch` is set before the first."""

    watch: Watch

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._passing = Passing(self.stages)
        self._read: dict[int, int] = {}
        self._ready: Ready | None = None
        self._is_within = False

    def take(self, p: int, batch: pa.RecordBatch) -> None:
        """Process rows of a partition, one by one."""
        for row in one_by_one(batch):
            with self._seen(p, row=row):
                super().take(p, row)

    def gather(self, p: int, batch: pa.RecordBatch) -> None:
        self.take(p, batch)

    def take_malformed(self, p: int, rows: pa.RecordBatch) -> None:
        """Set rows aside, one by one."""
        for row in one_by_one(rows):
            with self._seen(p, row=row):
                super().take_malformed(p, row)

    def advance_to(self, p: int, time_us: int) -> None:
        with self._seen(p, "a heartbeat"):
            super().advance_to(p, time_us)

    def advance(self) -> None:
        with self._seen(None, "the clock"):
            super().advance()

    def poll_empty(self, p: int) -> None:
        with self._seen(p, "the silence"):
            super().poll_empty(p)

    def finish(self, p: int) -> None:
        with self._seen(p, "the end"):
            super().finish(p)

    def _enter(self, p: int, ready: Ready) -> None:
        self._ready = ready
        super()._enter(p, ready)

    @contextlib.contextmanager
    def _seen(
        self, p: int | None, what: str = "", *, row: pa.RecordBatch | None = None
    ) -> Iterator[None]:
        if self._is_within:
            yield
            return
        now, watch = stood(self.progress), self.watch
        if mover := watch.moved_by(now):
            # What silence lets fire comes out with the next step, and is not that step's doing.
            with self._step(watch.last, mover):
                super().advance()
        if p is not None:
            what = f"{what} of partition {self.names[p]!r}"
        with self._step(now, what, p, row):
            yield

    @contextlib.contextmanager
    def _step(
        self, before: Standing, what: str, p: int | None = None, row: pa.RecordBatch | None = None
    ) -> Iterator[None]:
        balance = {} if p is None or row is None else asdict(self.balances()[p])
        kept, self._ready, self._is_within = self.kept, None, True
        n_sides = {tag: len(it) for tag, it in kept.sides.items()}
        try:
            yield
        finally:
            self._is_within = False
        self.stages.flush()
        more: dict[str, Any] = {}
        if p is not None and row is not None:
            more = self._about_row(p, row, balance)
            what = f"row {more['row']:,} of partition {self.names[p]!r}"
        now = stood(self.progress)
        seen = Seen(
            what,
            before,
            now.watermark_us,
            sides={tag: tuple(it[n_sides.get(tag, 0) :]) for tag, it in kept.sides.items()},
            operators=self._passing.step(),
            set_by=self.watch.set_by,
            **more,
        )
        self.watch.show(seen, now)

    def _about_row(self, p: int, row: pa.RecordBatch, before: dict[str, int]) -> dict[str, Any]:
        number = self._read[p] = self._read.get(p, -1) + 1
        after = asdict(self.balances()[p])
        changed = [name for name in after if after[name] > before[name] and name != "rows_in"]
        about: dict[str, Any] = {
            "partition": self.names[p],
            "row": number,
            "fate": changed[0] if changed else "filtered",
            "values": values_of(row, 0),
            "had_left": self.watch.had_left(self.names[p]),
        }
        if self._ready is not None and len(self._ready):
            block = self._ready.block
            assert block.source is not None
            about["time_us"] = int(block.time_us[0])
            about["values"] = values_of(block.source.batch, 0)
        return about


def watch_journal(plan: CompiledPlan, watch: Watch, player: Player) -> None:
    """Run a pipeline as a journal tells it, and show each step."""

    class Watched(WatchedCore):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.watch = watch

    played, clock = player.begin(plan, None, player.clock)
    assert clock is not None
    following = Following(
        played,
        lambda tag, batch: None,
        clock=clock,
        pauses=player.pausing(None, None),
        alarm=NoAlarm(),
        core=Watched,
    )
    player.runs(following)
    for _ in following.results():
        pass
