"""A run step by step: the ledger balances, and nothing is held at the end (S26, S30)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import eventtime as et
from eventtime import replay
from eventtime.compiled import compile_plan
from eventtime.execution import Execution
from windowing import pipeline, rows

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.report import ProgressReport


def disordered(n: int) -> dict[str, pa.RecordBatch]:
    rng = np.random.default_rng(5)
    made = {}
    for name in ("a", "b"):
        seconds: list[Any] = (np.arange(n) * 2.0 - rng.integers(0, 90, n)).tolist()
        seconds[n // 2] = None
        made[name] = rows(seconds, k=rng.integers(0, 5, n))
    return made


def execution(sides: list[tuple[str, int]] | None = None, shards: int = 1) -> Execution:
    stream = pipeline(
        disordered(400),
        et.sliding("60s", slide="20s"),
        keys=["k"],
        watermark={"max_future": "1h"},
        window={"allowed_lateness": "30s", "mode": "retracting"},
    )
    kept = sides if sides is not None else []
    return Execution(
        compile_plan(stream.node), lambda tag, b: kept.append((tag, b.num_rows)), shards=shards
    )


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_the_ledger_balances_after_every_result(
    monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    """Asking waits for chunks that shards are working on (S26)."""
    monkeypatch.setattr(replay, "CHUNK_ROWS", 64)
    run = execution(shards=shards)
    results = 0
    for _ in run.results():
        run.ledger().assert_balanced()
        results += 1
    assert results > 10


@pytest.mark.parametrize("shards", [1, 2])
def test_nothing_is_held_at_the_end(shards: int) -> None:
    run = execution(shards=shards)
    list(run.results())
    run.ledger().assert_balanced()
    assert run.is_empty
    assert run.ledger().operators[0].open == 0


def test_the_watermark_of_reports_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CHUNK_ROWS", 64)
    reports: list[ProgressReport] = []
    list(execution().results(reports.append))
    watermarks = [report.watermark_us for report in reports]
    assert len(watermarks) > 10
    assert watermarks == sorted(watermarks)
    assert all(r.watermark_us <= r.latest_us for r in reports if r.held_by is not None)


def test_side_outputs_come_by_tag_and_whole() -> None:
    sides: list[tuple[str, int]] = []
    run = execution(sides)
    list(run.results())
    total = run.ledger().total
    assert sum(n for tag, n in sides if tag == "late") == total.late > 0
    assert sum(n for tag, n in sides if tag == "quarantine") == total.null_time == 2


def test_closing_ends_a_run_and_may_be_repeated() -> None:
    run = execution(shards=2)
    results = run.results()
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator
    run.close()
    run.close()


def test_rows_are_counted_while_they_wait_for_their_turn() -> None:
    run = execution()
    next(run.results())
    total = run.ledger().total
    assert total.rows_in == total.accounted
