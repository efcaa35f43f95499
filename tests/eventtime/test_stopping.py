"""A run that is told to stop does so in time: slow sources and checkpoints do not hold it (S9)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from engine_runs import CutReader, CutSource
from eventtime.checkpointing import Checkpointing
from eventtime.state.pack import encode
from lives import steps_of
from windowing import rows

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


def stream() -> et.Stream:
    """Two partitions of thirty batches of ten rows, some of them late."""
    seconds = [second - 40 * (second % 7 == 3) for second in range(300)]
    whole = rows(seconds, x=[float(second) for second in range(300)])
    batches = [whole.slice(at, 10) for at in range(0, 300, 10)]
    marked = et.Stream.read(CutSource({"a": batches, "b": batches}))
    windows = marked.watermark(et.bounded_disorder("20s")).window(et.tumbling("10s"))
    return windows.aggregate(n=et.count(), x=et.sum("x"))


def every_step(folder: Path) -> et.Checkpoints:
    return et.checkpoints(folder / "state", every=None, every_rows=1)


def test_a_step_of_a_slow_source_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S9: whether to suspend is asked in time, and where steps end does not show (S4)."""
    wanted, clock, asked = stream().run(), et.ManualClock(), [0]
    read = CutReader.read

    def slowly(reader: CutReader) -> Any:
        clock.advance(100_000)
        return read(reader)

    def stop() -> bool:
        asked[0] += 1
        return asked[0] == 4

    monkeypatch.setattr("eventtime.checkpointing.SystemClock", lambda: clock)
    monkeypatch.setattr(CutReader, "read", slowly)
    run = stream().run(checkpoint=every_step(tmp_path), stop=stop)
    assert not run.is_finished
    assert clock.now_us() < 2_000_000
    run = stream().run(checkpoint=every_step(tmp_path))
    assert run.table() == wanted.table()
    assert run.ledger == wanted.ledger


@steps_of(1_000)
def test_who_stops_at_once_does_not_wait_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second signal: the checkpoint under way ends behind its block, the one before holds."""
    is_writing, is_interrupted, encoded = threading.Event(), threading.Event(), [0]
    pause, give_up = Checkpointing.pause, Checkpointing.give_up

    def slowly(batch: pa.RecordBatch) -> pa.Buffer:
        encoded[0] += 1
        is_writing.set()
        assert is_interrupted.wait(60)
        return encode(batch)

    def interrupted(point: Checkpointing, *, is_end: bool) -> None:
        pause(point, is_end=is_end)
        assert is_writing.wait(60)
        raise KeyboardInterrupt

    def gives_up(point: Checkpointing) -> None:
        give_up(point)
        is_interrupted.set()

    monkeypatch.setattr("eventtime.state.checkpoints.encode", slowly)
    monkeypatch.setattr(Checkpointing, "pause", interrupted)
    monkeypatch.setattr(Checkpointing, "give_up", gives_up)
    with pytest.raises(KeyboardInterrupt):
        stream().run(checkpoint=every_step(tmp_path))
    assert encoded == [1]
    assert len(list((tmp_path / "state" / "manifests").iterdir())) == 1
    monkeypatch.undo()
    run = stream().run(checkpoint=every_step(tmp_path))
    assert run.table() == stream().run().table()
