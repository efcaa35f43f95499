"""A pipeline restored with a longer lateness: what had expired stays expired (S29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime.engine import Engine
from eventtime.savepoint import read_savepoint
from windowing import pipeline, rows

if TYPE_CHECKING:
    from pathlib import Path


class Restored:
    """An engine of one partition, restored whenever its lateness is said."""

    def __init__(self, path: Path, lateness: str, assigner: Any = None, **window: Any) -> None:
        self._path, self._assigner, self._window = path, assigner, window
        self.engine = Engine(self._stream(lateness), ["a"])

    def _stream(self, lateness: str) -> et.Stream:
        window = {"allowed_lateness": lateness, **self._window}
        return pipeline(rows([]), self._assigner, window=window)

    def push(self, *seconds: float) -> None:
        self.engine.push("a", rows(seconds))

    def restore(self, lateness: str, **window: Any) -> None:
        self._window |= window
        self.engine.savepoint(self._path, overwrite=True)
        self.engine.suspend()
        self.engine = Engine.restore(self._stream(lateness), self._path)
        self.engine.ledger.assert_balanced()

    def results(self) -> list[tuple[Any, ...]]:
        """End of the window in seconds, count, version, timing, whether it is final."""
        found = self.engine.results().to_pylist()
        names = ("n", "version", "timing", "is_final")
        return [(r["window_end"].timestamp(), *(r[n] for n in names)) for r in found]

    def late(self) -> list[tuple[float, int, float]]:
        """End of the last window missed in seconds, how many were, late by how many seconds."""
        found = self.engine.side("late").to_pylist()
        return [
            (r["window_end"].timestamp(), r["windows_missed"], r["late_by"].total_seconds())
            for r in found
        ]

    def finish(self) -> None:
        self.engine.finish("a")
        self.engine.ledger.assert_balanced()
        assert self.engine.is_empty


def test_a_window_that_expired_by_a_hair_stays_expired(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "10s")
    run.push(5, 70)
    run.restore("1h")
    run.push(5)
    assert run.results() == [(60, 1, 1, "on_time", False)]
    assert run.late() == [(60, 1, 0)]
    run.finish()
    assert run.results() == [(120, 1, 1, "on_time", True)]


def test_a_window_not_expired_by_a_hair_gets_the_longer_lateness(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "10s")
    run.push(5, 69.999999)
    run.restore("1h")
    run.push(3659.999999, 6)
    assert run.late() == []
    run.push(3660, 7)
    assert run.results() == [
        (60, 1, 1, "on_time", False),
        (120, 1, 1, "on_time", False),
        (60, 2, 2, "late", True),
        (3660, 1, 1, "on_time", False),
    ]
    assert run.late() == [(60, 1, 0)]
    run.finish()


@pytest.mark.parametrize("mode", ["accumulating", "discarding", "retracting"])
def test_windows_are_corrected_from_the_first_lateness_on(tmp_path: Path, mode: str) -> None:
    run = Restored(tmp_path / "state", "0s", mode=mode)
    run.push(5, 60)
    run.restore("2m")
    run.push(130, 6, 65)
    run.finish()
    # The first had expired at 60; the second closed at 120 and was corrected at the end.
    assert run.late() == [(60, 1, 70)]
    n = 1 if mode == "discarding" else 2
    found = run.results()
    assert found[0] == (60, 1, 1, "on_time", True)
    assert [r for r in found if r[3] == "late" and r[1] == n] == [(120, n, 2, "late", True)]


def test_a_mode_may_be_chosen_with_the_first_lateness(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "0s")
    run.push(5, 65)
    run.restore("2m", mode="discarding")
    run.push(130, 65)
    run.finish()
    assert (120, 1, 2, "late", True) in run.results()


def test_of_windows_that_overlap_only_those_left_take_the_row(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "0s", et.sliding("60s", slide="20s"))
    run.push(70, 105)
    run.restore("10m")
    # In windows that end at 80, 100 and 120; the first two expired at 100.
    run.push(71)
    assert run.late() == [(100, 2, 5)]
    run.push(130, 72)
    assert run.late() == [(100, 2, 30)]
    run.finish()
    found = run.results()
    assert (120, 3, 1, "on_time", False) in found
    assert [r for r in found if r[3] == "late"] == [(120, 4, 2, "late", True)]


def test_what_had_expired_stays_so_over_the_next_savepoints(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "0s")
    run.push(65)
    run.restore("10m")
    run.push(130)
    run.restore("10m")
    run.restore("20m")
    run.push(5, 66)
    assert run.late() == [(60, 1, 70)]
    run.finish()
    assert (120, 2, 2, "late", True) in run.results()


def test_a_window_that_had_expired_holds_nothing_again(tmp_path: Path) -> None:
    # S30: without results to show it, only the state would.
    run = Restored(tmp_path / "state", "0s")
    run.push(65)
    run.restore("10m")
    run.push(5)
    run.restore("10m")
    pack = read_savepoint(tmp_path / "state", None)
    assert [block.about["at"] for block in pack.about(kind="slice")] == [1]


def test_a_row_is_late_by_the_lateness_under_which_its_window_expired(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "0s")
    run.push(65)
    run.restore("1m")
    run.push(185)
    run.restore("10m")
    run.push(5, 66, 125)
    assert run.late() == [(60, 1, 125), (120, 1, 5)]
    run.finish()


def test_a_correction_that_was_due_comes_out_of_the_longer_lateness(tmp_path: Path) -> None:
    run = Restored(tmp_path / "state", "30s")
    run.push(5, 65, 6)
    run.restore("1h")
    run.push(125)
    assert run.results() == [
        (60, 1, 1, "on_time", False),
        (60, 2, 2, "late", False),
        (120, 1, 1, "on_time", False),
    ]
    run.finish()


def test_the_lateness_of_both_windows_of_a_chain_may_become_longer(tmp_path: Path) -> None:
    def chain(first: str, second: str) -> et.Stream:
        window = {"allowed_lateness": first, "mode": "discarding"}
        over = pipeline(rows([]), window=window).window(et.tumbling("2m"), allowed_lateness=second)
        return over.aggregate(n=et.sum("n"))

    engine = Engine(chain("1m", "0s"), ["a"])
    engine.push("a", rows([5, 65, 125, 185]))
    engine.savepoint(tmp_path / "state")
    engine = Engine.restore(chain("10m", "10m"), tmp_path / "state")
    # By 185 the first window had given up 60 and 120. What it corrects of 180 comes to the second
    # window in time, which is the start of 180.
    engine.push("a", rows([6, 66, 126, 250]))
    engine.finish("a")
    engine.ledger.assert_balanced()
    late = engine.side("late").column("window_end").to_pylist()
    assert [end.timestamp() for end in late] == [60, 120]
    assert engine.side("late_2").num_rows == 0
    ends = [r["window_end"].timestamp() for r in engine.results().to_pylist()]
    assert ends.count(120) == 1


def test_a_run_goes_on_with_longer_lateness_and_an_output_more(tmp_path: Path) -> None:
    batch = rows([5, 65, 70, 6, 130, 66, 7])

    def stream(lateness: str) -> et.Stream:
        source = CutSource({"a": [batch.slice(i, 1) for i in range(len(batch))]})
        marked = et.Stream.read(source).watermark(et.ascending())
        return marked.window(et.tumbling("1m"), allowed_lateness=lateness).aggregate(n=et.count())

    where = et.checkpoints(tmp_path / "state", every=None, every_rows=1)
    out, late = tmp_path / "out.parquet", tmp_path / "late.parquet"
    left = [4]  # a late row lies in the checkpoint then

    def stops() -> bool:
        left[0] -= 1
        return left[0] == 0

    with patch("eventtime.replay.CHUNK_ROWS", 1):
        assert not stream("0s").run(out, checkpoint=where, stop=stops).is_finished
        assert not stream("1h").run(out, checkpoint=where, stop=lambda: True).is_finished
        with pytest.raises(et.CheckpointError, match=r"lateness: 1h\s*now: 0s, which is shorter"):
            stream("0s").run(out, checkpoint=where)
        run = stream("1h").run(out, sides={"late": late}, checkpoint=where)
    run.assert_balanced()
    found = [(r["window_end"].timestamp(), r["n"]) for r in pq.read_table(out).to_pylist()]
    assert found == [(60, 1), (120, 2), (120, 3), (180, 1)]
    assert pq.read_table(late).num_rows == 2
