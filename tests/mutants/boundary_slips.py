"""Slips at the boundaries of rules and in restarts, for the testing kit; as `Mutant` has it."""

from __future__ import annotations

from typing import Final

__all__ = ("BOUNDARY_SLIPS",)

BOUNDARY_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "eventtime/progress.py": [
        (
            "silence goes on after a partition was heard",
            "partition.silent_from_us, partition.silent_us = None, None, 0",
            "partition.silent_from_us, _ = None, None, 0",
            "kit",
        ),
        (
            "idle after exactly idle_after",
            "not partition.idle and partition.silent_us > self.idle_after_us",
            "not partition.idle and partition.silent_us >= self.idle_after_us",
            "kit",
        ),
        (
            "a restart wakes who was idle",
            'flags = p["is_idle"], p["is_finished"]',
            'flags = False, p["is_finished"]',
            "kit",
        ),
        (
            "a restart forgets who has finished",
            'flags = p["is_idle"], p["is_finished"]',
            'flags = p["is_idle"], False',
            "kit",
        ),
    ],
    "eventtime/partition.py": [
        (
            "a heartbeat takes the watermark back",
            "self.watermark_us = max(self.watermark_us, time_us)",
            "self.watermark_us = time_us",
            "kit",
        ),
        (
            "rows filtered behind the watermark are not counted",
            "self.ledger.filtered += n - len(kept)",
            "pass",
            "kit",
        ),
        (
            "rows filtered before the watermark are not counted",
            "self.ledger.filtered += max(left_out, 0)",
            "pass",
            "kit",
        ),
        (
            "malformed rows are said to have no time",
            '_quarantine(rows, ~admitted & ~null, "malformed")',
            '_quarantine(rows, ~admitted & ~null, "null_time")',
            "kit",
        ),
    ],
    "eventtime/watermark.py": [
        (
            "a row without a mark is one",
            "time_us, MINUS_INFINITY)",
            "time_us, time_us)",
            "kit",
        ),
    ],
    "eventtime/timestamp.py": [
        (
            "a time one beyond the last is admitted",
            "_inside(raw, -(latest // factor), latest // factor)",
            "_inside(raw, -(latest // factor) - 1, latest // factor + 1)",
            "kit",
        ),
    ],
    "eventtime/core.py": [
        (
            "rows that come are not heard",
            "self.progress.heard(p)\n        ready",
            "ready",
            "kit",
        ),
    ],
    "windows/grid.py": [
        (
            "an offset is forgotten in slices",
            "return (time_us - self.offset_us) // self.slice_us",
            "return time_us // self.slice_us",
            "kit",
        ),
        (
            "windows start a slide before they end",
            "else end_us - self.size_us",
            "else end_us - self.slide_us",
            "kit",
        ),
        (
            "a late row missed one window less",
            "else (last - first) // self.slide_us + 1",
            "else (last - first) // self.slide_us",
            "kit",
        ),
        (
            "nothing fires where windows expire",
            "(min(boundary, expiry) if lateness_us else boundary)",
            "boundary",
            "kit",
        ),
    ],
    "windows/shard.py": [
        (
            "corrections are not counted as emitted",
            "self._emitted += int(row_counts(slots, self._acc.tables.words))",
            "self._emitted += 0",
            "kit",
        ),
        (
            "versions are forgotten when a window closes",
            "add(self._closed.keys()[0], lateness_us) <= watermark_us",
            "add(self._closed.keys()[0], 0) <= watermark_us",
            "kit",
        ),
        (
            "a restored shard fires at the end only",
            "self._grid.tick_after(watermark_us, self._spec.lateness_us)\n\n    # Looking",
            "PLUS_INFINITY\n\n    # Looking",
            "kit",
        ),
    ],
}
