"""What a run says of itself while it works."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ("ProgressReport",)


@dataclass(frozen=True)
class ProgressReport:
    """Where a run is.

    Args:
        rows: read so far; total_rows: in all, where known.
        waiting: of the rows read, those whose turn has not come (S10).
        watermark_us: the combined watermark, int64 microseconds.
        latest_us: the latest own watermark of a partition, int64 microseconds.
        held_by: partition that holds the watermark back.
        open_windows: slices of time that hold rows.
        late: rows that missed a window; quarantined: rows set aside; results: rows that came out.
    """

    rows: int
    waiting: int
    total_rows: int | None
    watermark_us: int
    latest_us: int
    held_by: str | None
    open_windows: int
    late: int
    quarantined: int
    results: int
