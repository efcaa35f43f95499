"""The metrics of a live run through OpenTelemetry, where that is installed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from eventtime.errors import PlanError
from eventtime.metrics import Family, Labels, families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from eventtime.status import Status

__all__ = ("open_telemetry",)


def open_telemetry(meter: Meter | None = None) -> Callable[[Status], None]:
    """Return an observer for `live(observe=…)` that tells OpenTelemetry what `/metrics` tells.

    Counters and gauges are observable ones, under the names they have there without ``_total``;
    what they say is at most a second old. Counters begin with the process, and never fall. The
    histogram of latency is a counter of its buckets. Needs ``opentelemetry-api`` (the extra
    ``eventtime[opentelemetry]``); the exporter is the program's own affair.

    Args:
        meter: that makes the instruments; None: that of the program's provider.

    Raises:
        PlanError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import metrics
    except ImportError as error:
        msg = "OpenTelemetry is not installed"
        remedy = "install eventtime[opentelemetry], or use the metrics of live(ui=…)"
        raise PlanError(msg, place="open_telemetry()", remedy=remedy) from error
    return _Instruments(metrics.get_meter("eventtime") if meter is None else meter)


class _Instruments:
    """Makes an instrument for each metric when it is first there, and keeps the last values."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._families: dict[str, Family] = {}
        self._sums = _Sums()
        self._known: set[str] = set()

    def __call__(self, status: Status) -> None:
        told = families(status, status.life, status.at_us)
        self._families = {family.name: self._sums.of(family) for family in told}
        for name in self._families.keys() - self._known:
            self._known.add(name)
            self._make(self._families[name])

    def _make(self, family: Family) -> None:
        is_gauge = family.kind == "gauge"
        make: Any = (
            self._meter.create_observable_gauge
            if is_gauge
            else self._meter.create_observable_counter
        )
        observe = partial(self._observed, family.name)
        make(family.name.removesuffix("_total"), callbacks=[observe], description=family.says)

    def _observed(self, name: str, options: CallbackOptions) -> Iterator[Observation]:
        from opentelemetry.metrics import Observation

        del options
        family = self._families.get(name)
        for suffix, labels, value in [] if family is None else family.samples:
            if suffix in {"", "_bucket"}:
                yield Observation(value, dict(labels))


class _Sums:
    """Keeps counters from falling where a restart of the run within the process begins at zero."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, Labels], float] = {}
        self._added: dict[tuple[str, str, Labels], float] = {}

    def of(self, family: Family) -> Family:
        """Return a family with what was counted before the restart; a gauge stays as it is."""
        if family.kind == "gauge":
            return family
        summed = []
        for suffix, labels, value in family.samples:
            key = family.name, suffix, labels
            if value < (last := self._last.get(key, 0)):
                self._added[key] = self._added.get(key, 0) + last
            self._last[key] = value
            summed.append((suffix, labels, value + self._added.get(key, 0)))
        return Family(family.name.removeprefix("eventtime_"), family.kind, family.says, summed)
