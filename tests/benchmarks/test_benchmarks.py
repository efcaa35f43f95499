"""The benchmarks run small: all contenders agree on the answer. Nothing here looks at time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import checkpoints, goals, harness, memory, report
from benchmarks.answer import Answer, disagreements
from benchmarks.contender import Contender
from benchmarks.dataset import HOUR_US, START_US, Dataset, materialise
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 20_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTTIME_BENCH_CACHE", str(tmp_path / "cache"))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    dataset = Dataset(rows=1_000)
    assert dataset.partition(0).equals(Dataset(rows=1_000).partition(0))
    assert not dataset.partition(0).equals(dataset.partition(1))
    assert not dataset.partition(0).equals(replace(dataset, seed=1).partition(0))


def test_disorder_stays_below_the_bound_but_for_the_very_late_rows() -> None:
    dataset = Dataset(rows=400_000)
    time_us = dataset.partition(2)["time"].cast("int64").to_numpy()
    disorder_us = np.maximum.accumulate(time_us) - time_us
    very_late = disorder_us >= dataset.disorder_us
    assert 50 < very_late.sum() < 150  # 0.1 % of 100,000
    assert disorder_us[very_late].min() > 1.9 * HOUR_US
    assert time_us.min() >= START_US
    assert time_us.max() < START_US + dataset.span_us


def test_files_hold_the_generated_rows_in_batches_of_the_asked_size() -> None:
    dataset = Dataset(rows=5_000, keys=10, key_type="string")
    files = materialise(dataset)
    batches = files.batches(1_000)
    assert list(batches) == ["p0", "p1", "p2", "p3"]
    assert [b.num_rows for b in batches["p0"]] == [1_000, 250]
    assert all(b["time"].offset == 0 for b in batches["p0"])
    assert materialise(dataset) == files


@pytest.mark.parametrize(
    ("workload", "contenders"),
    [
        ("hourly", "ours,ours@2,duckdb,polars,pyarrow,bytewax,floor"),
        ("hourly_parquet", "ours@2,duckdb@2,polars,pyarrow"),
        ("strings", "ours,duckdb,floor"),
        ("tumbling_1m", "ours,duckdb,floor"),
        ("sliding_60", "ours,ours:tumbling_1m,duckdb,floor"),
        ("sliding_6", "ours,duckdb,floor"),
        ("small_batches", "ours,floor"),
        ("ten_days", "ours,ours:day"),
    ],
)
def test_all_contenders_agree_on_the_rows_of_every_window(
    workload: str, contenders: str, tmp_path: Path
) -> None:
    written = tmp_path / "results.json"
    arguments = ["--only", workload, "--rows", str(ROWS), "--rounds", "1", "--out", str(written)]
    assert harness.main([*arguments, "--contenders", contenders]) == 0
    machine, (outcome,) = report.read(written)
    assert not outcome.failures
    assert not outcome.disagreements
    assert list(outcome.rounds) == contenders.split(",")
    assert machine["commit"]
    assert str(outcome.baseline) in report.table(outcome)
    assert workload in report.compare(written, written)


def test_a_contender_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    arguments = ["--only", "hourly_parquet", "--rows", "2000", "--rounds", "1"]
    assert harness.main([*arguments, "--contenders", "bytewax,duckdb", "--out", str(written)]) == 1
    outcome = json.loads(written.read_text())["workloads"][0]
    assert "from memory" in outcome["failures"]["bytewax"]
    assert len(outcome["rounds"]["duckdb"]) == 1


def test_goals_are_read_from_the_results_of_a_folder(tmp_path: Path) -> None:
    def rounds(wall_s: float) -> list[report.Round]:
        return [report.Round(wall_s, wall_s, 100)] * 3

    outcome = report.Outcome("hourly", "", 10, dict.fromkeys(("ours", "duckdb", "floor"), 10))
    outcome.rounds = {"ours": rounds(1.0), "duckdb": rounds(3.0), "floor": rounds(0.4)}
    report.write(tmp_path / "a.json", [outcome], {"commit": "c"}, {})
    lines = goals.table(tmp_path).splitlines()
    assert "| at least 2.5x | 3.00x | 3.00-3.00 | yes |" in lines[2]
    assert "not measured" in lines[3]
    assert "| at most 2x | 2.50x | 2.50-2.50 | **no** |" in lines[4]
    assert "| checkpoints: restore_s | at most 5 | not measured |  | - |" in lines


def test_goals_of_checkpoints_and_spilled_state_are_read_too(tmp_path: Path) -> None:
    arguments = ["--scale", "0.0002", "--cuts", "2", "--rounds", "2"]
    assert checkpoints.main([*arguments, "--out", str(tmp_path / "checkpoints.json")]) == 0
    spilled = {"workload": "random", "backend": "files", "rows_per_s": 2_500_000}
    (tmp_path / "spilling.json").write_text(json.dumps({"measured": [spilled]}))
    lines = goals.table(tmp_path).splitlines()
    share = "checkpoints: incremental_share, 20 keys x 100 windows | at most 0.02 |"
    assert any(share in line for line in lines)
    assert sum("checkpoints: restore_s with 3 shards" in line for line in lines) == 2
    assert "| spilling, random, files: rows/s | at least 1 M | 2.5 M |  | yes |" in lines


def _answer(on_time: dict[int, int], missed: dict[int, int], total: float = 1.0) -> Answer:
    return Answer(1, on_time, missed, total, 1.0, 1.0, 1.0)


def test_a_batch_engine_agrees_when_it_counts_the_late_rows_too() -> None:
    judging = _answer({0: 9, 10: 3}, {0: 1})
    assert not list(disagreements({"ours": judging, "duckdb": _answer({0: 10, 10: 3}, {})}))
    wrong = list(disagreements({"ours": judging, "duckdb": _answer({0: 9, 10: 3}, {})}))
    assert "the window from 0 µs: 9 against 10" in wrong[0]


def test_two_that_judge_lateness_have_to_agree_in_everything() -> None:
    ours, floor = _answer({0: 9}, {0: 1}), _answer({0: 9}, {0: 1}, total=2.0)
    assert "both judge lateness" in next(iter(disagreements({"ours": ours, "floor": floor})))
    assert Answer.from_json(json.loads(json.dumps(ours.to_json()))) == ours


def test_contenders_are_parsed_with_their_threads_and_workload() -> None:
    assert Contender.parse("duckdb@2") == Contender("duckdb", 2)
    assert Contender.parse("ours@2:day") == Contender("ours", 2, "day")
    assert [str(Contender.parse(n)) for n in ("ours", "ours@2:day")] == ["ours", "ours@2:day"]
    assert Contender.parse("ours:day").plays(WORKLOADS["ten_days"]).repeats == 1
    for wrong in ("spark", "duckdb@0", "duckdb@x", "ours:weekly"):
        with pytest.raises(ValueError, match=wrong):
            Contender.parse(wrong)


def test_peak_memory_is_seen_after_it_was_given_back() -> None:
    memory.settle()
    memory.reset_peak()
    before = memory.resident_bytes()
    block = np.ones(64 * 2**20, np.uint8)
    del block
    assert memory.peak_bytes() - before > 48 * 2**20


def test_an_unknown_workload_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        harness.main(["--only", "weekly"])
    assert "no workload 'weekly'" in capsys.readouterr().err
    assert "hourly" in WORKLOADS


def test_checkpoints_are_measured_and_those_of_what_changed_are_small(tmp_path: Path) -> None:
    out = tmp_path / "checkpoints.json"
    arguments = ["--scale", "0.01", "--cuts", "2", "--rounds", "1", "--out", str(out)]
    assert checkpoints.main(arguments) == 0
    told = json.loads(out.read_text())["summary"]
    assert {name.partition(",")[0].partition(" ")[0] for name in told} > set(checkpoints.GOALS)
    assert told["incremental_share, 1,000 keys x 100 windows"] < 0.02
