"""The status of a live run in the text format that Prometheus reads (version 0.0.4).

Counters begin at zero with the process: one that fell to the checkpoint's value would be taken for
one that was reset, and all of that value for an increase. Gauges tell of all lives of the run.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from eventtime.latency import BOUNDS_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from eventtime.ledger import OperatorLedger, PartitionLedger
    from eventtime.status import Life, Status

__all__ = ("CONTENT_TYPE", "Family", "Labels", "families", "prometheus_text")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
_STATES: Final = ("active", "idle", "held", "left", "ended")
_ASIDE: Final = ("null_time", "future", "malformed")


class Family:
    """One metric: all its samples.

    Args:
        name: without the prefix ``eventtime_``.
        kind: 'counter', 'gauge' or 'histogram'.
        says: what it is, in a sentence.
        samples: of each set of labels, a number; of a histogram, with the suffix of the name first.
    """

    def __init__(
        self, name: str, kind: str, says: str, samples: Iterable[tuple[str, Labels, float]]
    ) -> None:
        self.name, self.kind, self.says = f"eventtime_{name}", kind, says
        self.samples = list(samples)


def prometheus_text(status: Status | None, life: Life, now_us: int) -> str:
    """Write all metrics as text.

    Args:
        status: the last one; None: there is none yet, so that only the life of the run is told.
        life: of the run.
        now_us: reading of the clock.
    """
    lines: list[str] = []
    for family in families(status, life, now_us):
        lines.append(f"# HELP {family.name} {family.says}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        lines += [
            f"{family.name}{suffix}{_labels(labels)} {_number(value)}"
            for suffix, labels, value in family.samples
        ]
    return "\n".join(lines) + "\n"


def families(status: Status | None, life: Life, now_us: int) -> Iterator[Family]:
    """Yield the metrics of a run; see `prometheus_text`."""
    up = life.state == "running"
    yield _one(
        "up", "gauge", "Whether the run is running (1), or starting, failed or over (0).", up
    )
    yield _one("started_seconds", "gauge", "When the run began, Unix time.", life.started_us / 1e6)
    says = "Time since the loop was last seen at work."
    yield _one("turn_age_seconds", "gauge", says, max(0, now_us - life.turned_us) / 1e6)
    yield _one(
        "checkpoint_failures_total", "counter",
        "Checkpoints that could not be written or committed.", life.failed_checkpoints,
    )  # fmt: skip
    if status is not None:
        yield from _of_run(status, now_us)
        yield from _of_partitions(status)
        yield _latency(status)


def _of_run(status: Status, now_us: int) -> Iterator[Family]:
    report, total, before = status.report, status.total, status.before
    counted, results = _since(total, before.total), report.results - before.results
    yield _one("results_total", "counter", "Result rows that came out.", results)
    yield _one("restarts_total", "counter", "Restarts after failures.", report.restarts)
    says = "Slices of time that hold rows now."
    yield _one("open_windows", "gauge", says, status.n_slices)
    says = "Bytes of state in memory; of process functions about."
    yield _one("state_bytes", "gauge", says, status.state_bytes)
    if status.watermark_us is not None:
        says = "The combined watermark, Unix time."
        yield _one("watermark_seconds", "gauge", says, status.watermark_us / 1e6)
        says = "How far the combined watermark is behind the clock."
        yield _one("watermark_lag_seconds", "gauge", says, (now_us - status.watermark_us) / 1e6)
    by_idleness = status.late_by_idleness
    reasons = {
        "beyond_lateness": status.late_since_start - by_idleness,
        "idle_partition": by_idleness,
    }
    says = "Rows that missed a window since this process began, by reason."
    yield Family("late_rows_total", "counter", says, _each("reason", reasons))
    says = "Rows set aside, by reason."
    yield Family("quarantined_rows_total", "counter", says, _each("reason", _some(counted, _ASIDE)))
    fates = [name for name in counted if name not in {"rows_in", "waiting"}]
    says = "What became of rows since this process began, or the run's last restart."
    yield Family("ledger_rows_total", "counter", says, _each("fate", _some(counted, fates)))
    yield _one("run_rows", "gauge", "Rows read in all lives of the run.", total.rows_in)
    says = "The ledger of all lives of the run: with those that wait it adds up to run_rows."
    yield Family("run_ledger_rows", "gauge", says, _each("fate", _some(vars(total), fates)))
    yield _one("waiting_rows", "gauge", "Rows whose turn has not come.", total.waiting)
    operators = [_since(*both) for both in zip_longest(status.operators, before.operators)]
    for name in ("assigned", "emitted", "missed"):
        pairs = {str(i): operator[name] for i, operator in enumerate(operators, 1)}
        says = f"(row, window) pairs {name}, by operator."
        yield Family(f"{name}_pairs_total", "counter", says, _each("operator", pairs))
    if report.checkpoint is not None:
        written = report.checkpoint
        age_us = written.age_us + max(0, now_us - status.at_us)
        yield _one("checkpoint", "gauge", "Number of the last checkpoint.", written.number)
        yield _one("checkpoint_age_seconds", "gauge", "Time since it was durable.", age_us / 1e6)
        says = "Time it took to be written and committed."
        yield _one("checkpoint_duration_seconds", "gauge", says, written.duration_us / 1e6)
        yield _one("checkpoint_bytes", "gauge", "Bytes written for it.", written.new_bytes)


def _of_partitions(status: Status) -> Iterator[Family]:
    parts = [((("partition", p.name),), p) for p in status.partitions]

    both = list(zip_longest(parts, status.before.partitions))

    def counter(name: str, says: str, of: str, *known: str) -> Family:
        told = [
            ("", labels, getattr(p, of) - sum(getattr(before, k) for k in known if before))
            for (labels, p), before in both
        ]
        return Family(name, "counter", says, told)

    yield counter("rows_total", "Rows read, by partition.", "rows", "rows_in")
    per_second = [("", labels, p.rows_per_s) for labels, p in parts]
    yield Family("rows_per_second", "gauge", "Over the last few seconds.", per_second)
    yield counter("partition_late_rows_total", "Late rows, by partition.", "late", "late")
    says = "Rows set aside, by partition."
    yield counter("partition_quarantined_rows_total", says, "quarantined", *_ASIDE)
    heard = [(labels, p.watermark_us) for labels, p in parts]
    told = [("", labels, own / 1e6) for labels, own in heard if own is not None]
    says = "Own watermark of a partition, Unix time."
    yield Family("partition_watermark_seconds", "gauge", says, told)
    behind = [("", labels, (status.at_us - own) / 1e6) for labels, own in heard if own is not None]
    says = "How far it is behind the clock."
    yield Family("partition_lag_seconds", "gauge", says, behind)
    states = [p.state for p in status.partitions]
    says = "Partitions by what they do."
    counts = {state: states.count(state) for state in _STATES}
    yield Family("partitions", "gauge", says, _each("state", counts))
    idle = [("", labels, float(p.state == "idle")) for labels, p in parts]
    says = "Whether a partition is idle and does not count for the watermark."
    yield Family("partition_idle", "gauge", says, idle)
    holds = [("", labels, float(i == status.held_by)) for i, (labels, _) in enumerate(parts)]
    says = "1 for the partition that holds the watermark back."
    yield Family("partition_holds_watermark", "gauge", says, holds)


def _latency(status: Status) -> Family:
    samples: list[tuple[str, Labels, float]] = []
    seen = 0
    for bound_us, count in zip(BOUNDS_US, status.latency.counts, strict=False):
        seen += count
        samples.append(("_bucket", (("le", _number(bound_us / 1e6)),), seen))
    samples.append(("_bucket", (("le", "+Inf"),), status.latency.count))
    samples.append(("_sum", (), status.latency.sum_us / 1e6))
    samples.append(("_count", (), status.latency.count))
    says = "From the arrival of the row that let a result fire to its commit in the sink."
    return Family("result_latency_seconds", "histogram", says, samples)


def _one(name: str, kind: str, says: str, value: float) -> Family:
    return Family(name, kind, says, [("", (), value)])


def _since(
    now: PartitionLedger | OperatorLedger, before: PartitionLedger | OperatorLedger | None
) -> dict[str, int]:
    """Return what was counted since then, by name; None: nothing was before."""
    return {name: value - getattr(before, name, 0) for name, value in vars(now).items()}


def _some(counts: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: counts[name] for name in names}


def _each(label: str, values: Mapping[str, int]) -> list[tuple[str, Labels, float]]:
    return [("", ((label, name),), value) for name, value in values.items()]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inner}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
