"""OpenTelemetry is told what Prometheus is told: read back through the SDK's reader in memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import eventtime as et
from eventtime.metrics import families
from eventtime.sources.feed import Ended
from live.script import Script, rows
from live.seeing.test_status import Broken
from live.seeing.watching import Seen, run

if TYPE_CHECKING:
    from pathlib import Path


def points(reader: InMemoryMetricReader) -> dict[tuple[str, ...], float]:
    """Read all values, by name and attributes."""
    data: Any = reader.get_metrics_data()
    return {
        (metric.name, *(f"{k}={v}" for k, v in point.attributes.items())): point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_the_figures_are_those_of_the_metrics_page() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("eventtime")
    script = Script([(1, "JFK", rows(1, 25)), (9, Ended("JFK"))], ("JFK",))
    seen = Seen()
    run(script, seen, et.open_telemetry(meter))
    told, last = points(reader), seen.statuses[-1]
    expected = {
        (family.name.removesuffix("_total"), *(f"{k}={v}" for k, v in labels)): value
        for family in families(last, last.life, last.at_us)
        for suffix, labels, value in family.samples
        if suffix in {"", "_bucket"}
    }
    assert told == expected
    assert told["eventtime_rows", "partition=JFK"] == 2
    assert told["eventtime_results",] == 2


def test_counters_never_fall_though_the_run_starts_again(tmp_path: Path) -> None:
    """S28: the instruments outlive an attempt, and a sum that falls is not one."""
    reader = InMemoryMetricReader()
    observe = et.open_telemetry(MeterProvider([reader]).get_meter("eventtime"))
    told: list[dict[tuple[str, ...], float]] = []

    def look(status: et.Status) -> None:
        observe(status)
        told.append(points(reader))

    script = Script([(0, "a", rows(1, 12, 2)), (40, Ended("a"))], ("a",))
    policy = et.restart(sleep=lambda seconds: None, told=lambda text: None)
    checkpoint = et.checkpoints(tmp_path, every="10s")
    ran = run(script, look, sink=Broken(), checkpoint=checkpoint, restart=policy)
    assert ran.report.restarts == 1
    for name in ("rows", "partition_late_rows", "results", "ledger_rows", "late_rows"):
        of_it = [sum(n for key, n in at.items() if key[0] == f"eventtime_{name}") for at in told]
        assert of_it == sorted(of_it), name


def test_without_it_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(et.PlanError, match="OpenTelemetry is not installed") as told:
        et.open_telemetry()
    assert "eventtime[opentelemetry]" in str(told.value)
