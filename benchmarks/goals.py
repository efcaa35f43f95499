"""The goals against the committed results; ``python -m benchmarks.goals`` prints a table."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from benchmarks import checkpoints, report, spilling
from benchmarks.startup import GOALS_S

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Goal:
    """What ``over`` takes divided by what ``under`` takes, round by round, and its bound."""

    what: str
    workload: str
    over: str
    under: str
    bound: float
    kind: Literal["at least", "at most"] = "at least"
    figure: Literal["wall_s", "cpu_s", "peak_bytes"] = "wall_s"

    def passed(self, value: float) -> bool:
        """Whether a measured ratio keeps the goal."""
        return value >= self.bound if self.kind == "at least" else value <= self.bound


GOALS = (
    Goal("hourly in memory, one thread: rows/s over DuckDB", "hourly", "duckdb", "ours", 2.5),
    Goal("hourly in memory, one thread: rows/s over Polars", "hourly", "polars", "ours", 1.5),
    Goal("hourly in memory: time over the fused loop", "hourly", "ours", "floor", 2.0, "at most"),
    Goal("hourly in memory: two shards over one", "hourly", "ours", "ours@2", 1.6),
    # One shard: files are decoded in threads of their own, which keep the second core busy.
    Goal(
        "hourly from Parquet: rows per CPU second over DuckDB",
        *("hourly_parquet", "duckdb@2", "ours", 1.5, "at least", "cpu_s"),
    ),
    Goal(
        "hourly from Parquet, two cores each: rows/s over DuckDB",
        *("hourly_parquet", "duckdb@2", "ours", 1.2),
    ),
    Goal("100 k string keys: rows/s over DuckDB", "strings", "duckdb", "ours", 1.2),
    Goal("5 M keys: rows/s over DuckDB", "keys_5m", "duckdb", "ours", 2.0),
    Goal(
        "5 M keys: peak memory over DuckDB's",
        *("keys_5m", "ours", "duckdb", 1.0, "at most", "peak_bytes"),
    ),
    Goal(
        "60-fold sliding: time over tumbling with as many results",
        *("sliding_60", "ours", "ours:tumbling_1m", 1.5, "at most"),
    ),
    Goal("60-fold sliding: rows/s over DuckDB", "sliding_60", "duckdb", "ours", 2.5),
    Goal(
        "ten days over one: peak memory (flat)",
        *("ten_days", "ours", "ours:day", 1.1, "at most", "peak_bytes"),
    ),
)
SMALL_BATCHES_ROWS_PER_S = 5e6


def _row(what: str, goal: str, measured: str, spread: str, met: bool | None) -> str:  # noqa: FBT001
    verdict = {True: "yes", False: "**no**", None: "-"}[met]
    return f"| {what} | {goal} | {measured} | {spread} | {verdict} |"


def _ratio_row(goal: Goal, outcomes: dict[str, report.Outcome]) -> str:
    bound = f"{goal.kind} {goal.bound:g}x"
    outcome = outcomes.get(goal.workload)
    if outcome is None or not (outcome.rounds.get(goal.over) and outcome.rounds.get(goal.under)):
        return _row(goal.what, bound, "not measured", "", None)
    if goal.figure == "peak_bytes":
        # The most of all rounds, not a ratio by round: memory only shows what it needs over many.
        peaks = [max(r.peak_bytes for r in outcome.rounds[n]) for n in (goal.over, goal.under)]
        value = peaks[0] / max(peaks[1], 1)
        spread = " / ".join(f"{p / report.MIB:.0f} MiB" for p in peaks)
    else:
        ratios = outcome.ratios(goal.over, goal.figure, goal.under)
        value = median(ratios)
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
    return _row(goal.what, bound, f"{value:.2f}x", spread, goal.passed(value))


def _small_batches_row(outcomes: dict[str, report.Outcome]) -> str:
    what, bound = "batches of 1,000 rows: rows/s", f"at least {SMALL_BATCHES_ROWS_PER_S / 1e6:g} M"
    outcome = outcomes.get("small_batches")
    if outcome is None or not outcome.rounds.get("ours"):
        return _row(what, bound, "not measured", "", None)
    speeds = [outcome.rows / r.wall_s for r in outcome.rounds["ours"]]
    spread = f"{min(speeds) / 1e6:.1f}-{max(speeds) / 1e6:.1f}"
    value = median(speeds)
    return _row(what, bound, f"{value / 1e6:.1f} M", spread, value >= SMALL_BATCHES_ROWS_PER_S)


def _startup_rows(folder: Path) -> Iterator[str]:
    path = folder / "startup.json"
    seconds = json.loads(path.read_text())["seconds"] if path.exists() else {}
    for name, bound in GOALS_S.items():
        times = seconds.get(name)
        measured = f"{median(times):.2f} s" if times else "not measured"
        spread = f"{min(times):.2f}-{max(times):.2f}" if times else ""
        met = median(times) <= bound if times else None
        yield _row(
            f"start-up: {name.replace('_', ' ')}", f"at most {bound:g} s", measured, spread, met
        )


def _checkpoint_rows(folder: Path) -> Iterator[str]:
    path = folder / "checkpoints.json"
    found = json.loads(path.read_text()) if path.exists() else {"summary": {}, "measured": {}}
    for name, (kind, bound) in checkpoints.GOALS.items():
        figures = {n: v for n, v in found["summary"].items() if n.startswith(name)}
        for what, value in figures.items():
            # Of pauses every one was noted; their percentile has no spread of its own.
            values = found["measured"].get(what, [])
            spread = f"{min(values):.3g}-{max(values):.3g}" if values else ""
            met = value <= bound if kind == "at most" else value >= bound
            yield _row(f"checkpoints: {what}", f"{kind} {bound:g}", f"{value:.3g}", spread, met)
        if not figures:
            yield _row(f"checkpoints: {name}", f"{kind} {bound:g}", "not measured", "", None)


def _spilling_rows(folder: Path) -> Iterator[str]:
    path = folder / "spilling.json"
    found = json.loads(path.read_text())["measured"] if path.exists() else []
    for workload, bound in spilling.GOALS.items():
        limited = [m for m in found if m["workload"] == workload and m["backend"] != "memory"]
        for run in limited:
            what, speed = f"spilling, {workload}, {run['backend']}: rows/s", run["rows_per_s"]
            goal, measured = f"at least {bound / 1e6:g} M", f"{speed / 1e6:.1f} M"
            yield _row(what, goal, measured, "", speed >= bound)
        if not limited:
            what = f"spilling, {workload}: rows/s"
            yield _row(what, f"at least {bound / 1e6:g} M", "not measured", "", None)


def table(folder: Path = RESULTS) -> str:
    """The goals as a Markdown table; of a workload in several files the last written counts."""
    outcomes: dict[str, report.Outcome] = {}
    for path in sorted(folder.glob("*.json"), key=lambda p: (p.stat().st_mtime, p.name)):
        if "workloads" in json.loads(path.read_text()):
            outcomes.update({o.workload: o for o in report.read(path)[1]})
    head = ["| goal | bound | measured (median) | spread | met |", "|---|---|---|---|---|"]
    rows = [_ratio_row(goal, outcomes) for goal in GOALS]
    rows += [_small_batches_row(outcomes), *_startup_rows(folder)]
    return "\n".join([*head, *rows, *_checkpoint_rows(folder), *_spilling_rows(folder)])


if __name__ == "__main__":
    print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS))
