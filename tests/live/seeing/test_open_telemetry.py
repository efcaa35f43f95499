"""OpenTelemetry is told what Prometheus is told: read back through the SDK's reader in memory."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import eventtime as et
from eventtime.metrics import families
from eventtime.sources.feed import Ended
from live.script import Script, rows
from live.seeing.watching import Seen, run


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


def test_without_it_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(et.PlanError, match="OpenTelemetry is not installed") as told:
        et.open_telemetry()
    assert "eventtime[opentelemetry]" in str(told.value)
