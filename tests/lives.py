"""The lives of a replay that is killed: each ends behind a cut, or at the end of all input."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest.mock import patch

import pyarrow as pa

from eventtime.execution import Execution
from eventtime.state.pack import PackWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.ledger import Ledger
    from eventtime.state.pack import Pack

RESULTS = ""
"""Where results are among the outputs of a life, beside the tags."""


class KilledError(Exception):
    """What a process that is killed sees last."""


def check_ledger(ledger: Ledger, out: Mapping[str, Sequence[pa.RecordBatch]]) -> None:
    """S26 in the midst of a run: balanced, nothing below zero, and what came out is counted."""
    ledger.assert_balanced()
    counts = {name: Counter(vars(part)) for name, part in ledger.partitions.items()}
    assert all(count >= 0 for counted in counts.values() for count in counted.values())
    for batch in out.get("quarantine", []):
        for name, reason in zip(batch["partition"], batch["reason"], strict=True):
            counts[name.as_py()][reason.as_py()] -= 1
    for batch in out.get("late", []):
        for name in batch["partition"]:
            counts[name.as_py()]["late"] -= 1
    assert all(count >= 0 for counted in counts.values() for count in counted.values())


@contextmanager
def steps_of(rows: int) -> Iterator[None]:
    """Let steps be of so many rows, however slow the machine: none ends early by the clock."""
    with (
        patch("eventtime.replay.CHUNK_ROWS", rows),
        patch("eventtime.replay._STEP_US", 3_600_000_000),
    ):
        yield


@dataclass
class SlowClock:
    """Lets every third read be one too many for its step."""

    now: int = 0

    def now_us(self) -> int:
        self.now += 90_000
        return self.now


@dataclass
class Life:
    """One process: takes outputs, and dies behind a pause."""

    steps: int | None
    out: dict[str, list[pa.RecordBatch]]
    execution: Execution = field(init=False)
    stops: bool = False
    saves: bool = True
    saved: bytes = b""
    clock: Clock = field(default_factory=SlowClock)

    def live(self, plan: CompiledPlan, shards: int, saved: Pack | None) -> bool:
        """Run a replay to its end, or to its death; returns whether it came to its end."""
        self.execution = Execution(plan, self.take, shards=shards, pauses=self, saved=saved)
        try:
            for batch in self.execution.results():
                self.take(RESULTS, batch)
        except KilledError:
            return False
        self.execution.ledger().assert_balanced()
        assert self.execution.is_empty
        return True

    def is_due(self, rows: int) -> bool:
        """Count steps, and look at the ledger in each."""
        assert rows >= 0
        check_ledger(self.execution.ledger(), self.out)
        if self.steps is not None:
            self.steps -= 1
        return self.steps == 0

    def pause(self, *, is_end: bool) -> None:
        """Save, balanced, and be killed."""
        if is_end:
            return
        self.execution.ledger().assert_balanced()
        stream = pa.BufferOutputStream()
        pack = PackWriter(stream)
        pack.finish(self.execution.save(pack))
        self.saved = stream.getvalue().to_pybytes()
        raise KilledError

    def take(self, tag: str, batch: pa.RecordBatch) -> None:
        """Take an output."""
        self.out.setdefault(tag, []).append(batch)
