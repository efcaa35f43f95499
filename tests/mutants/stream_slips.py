"""Slips in partitions, their watermarks and replays taken up again; as `Mutant` has it, by file."""

from __future__ import annotations

from typing import Final

__all__ = ("STREAM_SLIPS",)

STREAM_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "eventtime/time_kernels.py": [
        (
            "replay takes a row too many of a partition",
            "if p < second else watermarks[second] - 1",
            "if True else watermarks[second] - 1",
            "replay",
        ),
    ],
    "eventtime/partition.py": [
        (
            "own watermark by batch",
            "rises = rises[:n_rises].copy()",
            "rises = rises[:1].copy()",
            "live",
        ),
        (
            "forgotten clamp",
            "rises = rises[:n_rises].copy()",
            "self.watermark_us = int(raw[-1]); rises = rises[:n_rises].copy()",
            "live",
        ),
        ("rows from the future go on", "rows = rows.where(~future)", "pass", "live"),
        (
            "rows without a time are not counted",
            "self.ledger.null_time +=",
            "self.ledger.null_time = 0 *",
            "live",
        ),
    ],
    "eventtime/progress.py": [
        (
            "minimum replaced by maximum",
            "reached = self._counting[0][0]",
            "reached = self._counting[-1][0]",
            "by hand",
        ),
        (
            "a partition holds its own rows back",
            "if i != index:",
            "if True:",
            "live",
        ),
        (
            "idle flag ignored",
            "not self.idle and not self.finished",
            "not self.finished",
            "by hand",
        ),
        (
            "finished flag ignored",
            "not self.idle and not self.finished",
            "not self.idle",
            "by hand",
        ),
        (
            "a partition that returns stays idle",
            "if partition.idle:",
            "if False:",
            "by hand",
        ),
        (
            "any empty poll is silence",
            "partition.silent_us > self.idle_after_us",
            "partition.silent_us >= 0",
            "by hand",
        ),
        (
            "time in which nobody polled is silence",
            "partition.silent_us, partition.silent_from_us = self._silence(partition), None",
            "pass",
            "by hand",
        ),
        (
            "a partition that left goes on holding back",
            "self._change(index, idle=True, has_left=True)",
            "pass",
            "by hand",
        ),
        (
            "all idle flushes to the minimum",
            "return max(p.watermark_us",
            "return min(p.watermark_us",
            "by hand",
        ),
        (
            "where all have left the watermark is flushed",
            "all(p.has_left for p in unfinished)",
            "False",
            "by hand",
        ),
        (
            "a partition found later starts at minus infinity",
            "if known_at_start or historical else self.combined_us",
            "if True else self.combined_us",
            "by hand",
        ),
        (
            "the combined watermark goes back",
            "self.combined_us = max(self.combined_us, reached)",
            "self.combined_us = reached",
            "live",
        ),
        (
            "partitions start anew when restored",
            'p["name"], p["watermark_us"]',
            'p["name"], MINUS_INFINITY',
            "savepoints",
        ),
        (
            "downtime and the time since the last poll are lost",
            'None if p["empty_for_us"] is None else now_us - p["empty_for_us"]',
            "None",
            "by hand",
        ),
    ],
    "eventtime/core.py": [
        ("late row not counted", "ledger.late += n", "ledger.late += 0", "by hand"),
    ],
    "eventtime/replay.py": [
        (
            "the last row that was taken comes again",
            "else ready.numbers[at - 1]) + 1",
            "else ready.numbers[at - 1])",
            "restores",
        ),
    ],
    "eventtime/bookmarks.py": [
        (
            "rows set aside before the bookmark are lost",
            "self.first <= needed.row and self.next_read <= needed.aside",
            "self.first <= needed.row",
            "restores",
        ),
        (
            "rows held back at the bookmark come twice",
            "self.first <= needed.row and self.next_read <= needed.aside",
            "self.next_read <= needed.row",
            "restores",
        ),
    ],
    "eventtime/execution.py": [
        (
            "rows read again are windowed again",
            'intake.resume_at = known["next_row"]',
            "intake.resume_at = 0",
            "restores",
        ),
        (
            "chunks under way are not in the cut",
            "0 if sweep or is_pause or step.chunk is None",
            "0 if sweep or step.chunk is None",
            "restores",
        ),
        (
            "late rows gathered are not in the cut",
            "        self.stages.flush()\n        if self._observe",
            "        if self._observe",
            "restores",
        ),
        (
            "rows held back are lost",
            'intake.restore(known["intake"], *held)',
            'intake.restore(known["intake"])',
            "restores",
        ),
    ],
    "eventtime/ledger.py": [
        (
            "late rows are not counted before the bookmark",
            "late=self.late, **place",
            "**place",
            "restores",
        ),
    ],
}
