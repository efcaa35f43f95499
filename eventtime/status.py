"""What a live run looks like at one moment: an immutable snapshot, for pages, metrics and logs.

the loop ──► Status ──► Board ──► threads that serve it; they never look at the run itself
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from eventtime.latency import BOUNDS_US, Latency
from eventtime.ledger import PartitionLedger
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from eventtime.ledger import OperatorLedger
    from eventtime.report import ProgressReport
    from eventtime.windows.look import OpenSlice

__all__ = (
    "Before",
    "Life",
    "PartitionState",
    "PartitionStatus",
    "RunState",
    "Status",
    "as_json",
    "finite",
)

PartitionState = Literal["active", "idle", "held", "left", "ended"]
RunState = Literal[
    "starting", "running", "restarting", "suspended", "finished", "stopped", "failed"
]


class PartitionStatus(NamedTuple):
    """One partition.

    Args:
        name: of it.
        state: 'active': it counts for the watermark; 'idle': silent for so long that it does not
            (S6); 'held': it counts, and its rows wait in the source, for it is too far ahead;
            'left': somebody else reads it; 'ended': nothing more will come (S9).
        watermark_us: its own watermark, int64 microseconds; None: no row has come yet.
        rows: that have come in.
        rows_per_s: over the last few seconds.
        late, quarantined: of the rows.
        heard_us: reading of the clock when rows came last; None: none did in this process.
    """

    name: str
    state: PartitionState
    watermark_us: int | None
    rows: int
    rows_per_s: float
    late: int
    quarantined: int
    heard_us: int | None


@dataclass(frozen=True)
class Life:
    """How a run fares as a whole, over its restarts.

    Args:
        state: 'starting' until the first turn; 'restarting' after a failure that may pass;
            'stopped' by Ctrl-C at once, without being suspended.
        started_us: reading of the clock.
        turned_us: when the loop was last seen at work.
        error: first line of what went wrong last; empty: nothing did.
        failed_checkpoints: checkpoints that could not be written or committed.
        url: of the status page; empty: there is none.
    """

    state: RunState = "starting"
    started_us: int = 0
    turned_us: int = 0
    error: str = ""
    failed_checkpoints: int = 0
    url: str = ""


@dataclass(frozen=True)
class Before:
    """What a run had counted where this process went on with it, or its last restart did.

    Args:
        results: that had come out.
        partitions: the balance of each that was known, in the order of `Status.partitions`.
        total: the balance of all of them.
        operators: the balance of each.
    """

    results: int = 0
    partitions: tuple[PartitionLedger, ...] = ()
    total: PartitionLedger = field(default_factory=PartitionLedger)
    operators: tuple[OperatorLedger, ...] = ()


@dataclass(frozen=True)
class Status:
    """A live run at one moment.

    Args:
        at_us: reading of the clock, int64 microseconds UTC.
        report: where the run is, as `run(progress=…)` tells it; with the last checkpoint.
        partitions: in the order in which they were found.
        held_by: index of the one whose own watermark is the smallest of those that count.
        total: the balance of all partitions.
        operators: the balance of each; `open` is what is left over, not recounted.
        slices: slices of time that hold rows in the first operator, the first ones by time.
        n_slices: all of them.
        late_by_idleness: rows late for another partition's silence since this process began; those
            `late` for other reasons are `late_since_start` less these.
        late_since_start: late rows since this process began.
        state_bytes: of state in memory; of process functions about.
        latency: of results, from the arrival of the row that let them fire to the sink.
        rows_per_s, results_per_s: over the last few seconds.
        life: how the run fares as a whole.
        before: what of the figures had been counted earlier.
        first_aside: why the first row was set aside since this process began; empty: none was.
    """

    at_us: int
    report: ProgressReport
    partitions: tuple[PartitionStatus, ...]
    held_by: int | None
    total: PartitionLedger
    operators: tuple[OperatorLedger, ...]
    slices: tuple[OpenSlice, ...] = ()
    n_slices: int = 0
    late_by_idleness: int = 0
    late_since_start: int = 0
    state_bytes: int = 0
    latency: Latency = field(default_factory=Latency)
    rows_per_s: float = 0.0
    results_per_s: float = 0.0
    life: Life = field(default_factory=Life)
    before: Before = field(default_factory=Before)
    first_aside: str = ""

    @property
    def watermark_us(self) -> int | None:
        """The combined watermark; None: minus infinity, for somebody has not been heard yet."""
        return finite(self.report.watermark_us)

    @property
    def lag_us(self) -> int | None:
        """How far the combined watermark is behind the clock; None: there is none."""
        return None if self.watermark_us is None else self.at_us - self.watermark_us


def finite(time_us: int) -> int | None:
    """Return a time, or None for an infinite one."""
    return time_us if MINUS_INFINITY < time_us < PLUS_INFINITY else None


def as_json(status: Status) -> dict[str, Any]:
    """Return a status as plain numbers and text, for JSON; times are microseconds UTC."""
    report, total = status.report, status.total
    checkpoint = report.checkpoint
    return {
        "at_us": status.at_us,
        "watermark_us": status.watermark_us,
        "is_over": report.watermark_us == PLUS_INFINITY,
        "latest_us": finite(report.latest_us),
        "lag_us": status.lag_us,
        "held_by": status.held_by,
        "rows": report.rows,
        "rows_per_s": round(status.rows_per_s, 1),
        "results": report.results,
        "results_per_s": round(status.results_per_s, 1),
        "late": total.late,
        "late_since_start": {
            "beyond_lateness": status.late_since_start - status.late_by_idleness,
            "idle_partition": status.late_by_idleness,
        },
        "quarantined": {
            "null_time": total.null_time,
            "future": total.future,
            "malformed": total.malformed,
        },
        "ledger": vars(total),
        "operators": [vars(operator) for operator in status.operators],
        "open_windows": status.n_slices,
        "slices": [
            {**s._asdict(), "start_us": finite(s.start_us), "end_us": finite(s.end_us),
             "last_end_us": finite(s.last_end_us)}
            for s in status.slices
        ],
        "state_bytes": status.state_bytes,
        "blocked": report.blocked,
        "checkpoint": None if checkpoint is None else vars(checkpoint),
        "resumed": None if report.resumed is None else vars(report.resumed),
        "restarts": report.restarts,
        "latency": {
            "bounds_us": BOUNDS_US,
            "counts": status.latency.counts,
            "sum_us": status.latency.sum_us,
            "p50_us": status.latency.quantile_us(0.5),
            "p99_us": status.latency.quantile_us(0.99),
        },
        "partitions": [
            {**p._asdict(), "rows_per_s": round(p.rows_per_s, 1)} for p in status.partitions
        ],
    }  # fmt: skip
