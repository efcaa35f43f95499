"""Metrics as text: what Prometheus' own parser reads out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from eventtime.metrics import families, prometheus_text
from eventtime.sources.feed import Ended, Silent
from eventtime.status import Life
from live.script import SECOND, Script, rows
from live.seeing.watching import Seen, counted, run

if TYPE_CHECKING:
    from pathlib import Path

    import eventtime as et

NASTY = 'a"b\\c\nd<script>é'


def looked_at() -> et.Status:
    script = Script(
        [
            (1, "JFK", rows(1, 25, 2)),
            (1, NASTY, rows(31)),
            (2, "JFK", rows(33)),
            (2, Silent([NASTY])),
            (30, Ended("JFK")),
            (30, Ended(NASTY)),
        ],
        ("JFK", NASTY),
    )
    seen = Seen()
    run(script, seen, stream=counted(script, idle_after="5s"))
    return seen.at(20)


def parsed(status: et.Status | None, life: Life, now_us: int) -> dict[tuple[str, ...], float]:
    text = prometheus_text(status, life, now_us)
    return {
        (sample.name, *(f"{k}={v}" for k, v in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_parser_of_prometheus_reads_all_of_it() -> None:
    status = looked_at()
    values = parsed(status, status.life, 21 * SECOND)
    assert values["eventtime_up",] == 1
    assert values["eventtime_rows_total", "partition=JFK"] == 4
    assert values["eventtime_rows_total", f"partition={NASTY}"] == 1
    assert values["eventtime_partition_idle", f"partition={NASTY}"] == 1
    assert values["eventtime_partition_holds_watermark", "partition=JFK"] == 1
    assert values["eventtime_partition_watermark_seconds", "partition=JFK"] == 33
    assert values["eventtime_watermark_lag_seconds",] == 21 - 33
    assert values["eventtime_partitions", "state=idle"] == 1
    assert values["eventtime_results_total",] == 2
    assert values["eventtime_open_windows",] == 1
    assert values["eventtime_emitted_pairs_total", "operator=1"] == 3
    assert values["eventtime_result_latency_seconds_count",] == 2
    assert values["eventtime_result_latency_seconds_bucket", "le=+Inf"] == 2


def test_the_ledger_adds_up_in_the_metrics() -> None:
    """S26: rows are what became of them, and those that wait."""
    status = looked_at()
    values = parsed(status, status.life, 21 * SECOND)
    came = sum(value for name, value in values.items() if name[0] == "eventtime_rows_total")
    fates = sum(value for name, value in values.items() if name[0] == "eventtime_ledger_rows_total")
    assert came == fates + values["eventtime_waiting_rows",] == 5
    late = [v for name, v in values.items() if name[0] == "eventtime_late_rows_total"]
    assert sum(late) == values["eventtime_ledger_rows_total", "fate=late"]


def test_counters_begin_at_zero_when_a_run_goes_on(tmp_path: Path) -> None:
    """S28: what begins at the checkpoint's value is taken for that many new rows by `rate()`."""
    script = Script([(0, "a", rows(1, 12, 2)), (20, "a", rows(25, 3)), (30, Ended("a"))], ("a",))
    first, second = Seen(), Seen()
    run(script, first, checkpoint=tmp_path, stop=lambda: script.clock.now_us() > 15 * SECOND)
    run(script, second, checkpoint=tmp_path)
    begun, over = (parsed(s, s.life, s.at_us) for s in (second.statuses[0], second.statuses[-1]))
    assert {name: n for name, n in begun.items() if name[0].endswith("_total") and n} == {}
    assert over["eventtime_rows_total", "partition=a"] == 2
    assert over["eventtime_partition_late_rows_total", "partition=a"] == 1
    assert over["eventtime_results_total",] == 2
    assert over["eventtime_ledger_rows_total", "fate=windowed"] == 1
    assert over["eventtime_late_rows_total", "reason=beyond_lateness"] == 1
    assert over["eventtime_emitted_pairs_total", "operator=1"] == 2
    assert over["eventtime_missed_pairs_total", "operator=1"] == 1
    before = parsed(first.statuses[-1], first.statuses[-1].life, 0)
    assert before["eventtime_rows_total", "partition=a"] == 3
    of_run = sum(n for name, n in over.items() if name[0] == "eventtime_run_ledger_rows")
    assert over["eventtime_run_rows",] == of_run + over["eventtime_waiting_rows",] == 5


def test_before_the_first_status_only_the_life_is_told() -> None:
    values = parsed(None, Life("starting", 0, 0), SECOND)
    assert values["eventtime_up",] == 0
    assert values["eventtime_turn_age_seconds",] == 1
    assert not [name for name in values if "partition" in name[0]]


def test_names_and_kinds_keep_to_the_conventions() -> None:
    """Counters end with _total, nothing else does; units are seconds and bytes."""
    status = looked_at()
    for family in families(status, status.life, 0):
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.says.endswith("."), family.name
        assert not family.name.endswith(("_us", "_ms")), family.name


def test_buckets_of_latency_accumulate() -> None:
    status = looked_at()
    values = parsed(status, status.life, 0)
    buckets = [v for n, v in values.items() if n[0] == "eventtime_result_latency_seconds_bucket"]
    assert buckets == sorted(buckets)
