"""Slips in process functions and their state; as `Mutant` has it, by file."""

from __future__ import annotations

from typing import Final

__all__ = ("PROCESS_SLIPS",)

PROCESS_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "eventtime/process/operator.py": [
        (
            "a timer fires one microsecond late",
            'while self._next_us("event", watermark_us) <= watermark_us:',
            'while self._next_us("event", watermark_us) < watermark_us:',
            "process",
        ),
        (
            "timers fire between chunks only",
            "if watermark_us >= timers.next_us:",
            "if False:",
            "process",
        ),
        (
            "state of another key",
            "context.slot, context.time_us = slot, time_us",
            "context.slot, context.time_us = slot & ~1, time_us",
            "process",
        ),
        (
            "timers of one time in the order of slots",
            "self._held.ordered(np.sort(slots))",
            "np.sort(slots)",
            "process",
        ),
        (
            "a batch is not cut where its own timers fire",
            "ahead_us = context.step_us if has_timers else PLUS_INFINITY - MINUS_INFINITY",
            "ahead_us = PLUS_INFINITY - MINUS_INFINITY",
            "process",
        ),
        (
            "changes of broadcast state wait for the end of a batch that sets no timers",
            "limit = min(timers.next_us, reached + ahead_us, PLUS_INFINITY)",
            "limit = min(timers.next_us if has_timers else NEVER, reached + ahead_us, 2**63 - 1)",
            "broadcast",
        ),
        (
            "changes that waited in a savepoint are not called for",
            "self._await(self._changes.restore(named))",
            "self._changes.restore(named)",
            "live broadcast",
        ),
        ("state stays after the end", "self._held.clear()", "pass", "live process"),
    ],
    "state/keyed_rows.py": [
        (
            "timers are not restored",
            "timers.add_rows(times.flatten().to_numpy(), at)",
            "pass",
            "live process",
        ),
    ],
    "state/keyed_state.py": [
        (
            "lives are not restored",
            'self._expiry.until_us[slots] = saved.column(f"until:{self.name}").to_numpy()',
            "self._expiry.until_us[slots] = 2**62",
            "live process",
        ),
    ],
    "state/moment.py": [
        (
            "state of single rows lives for ever",
            "return bool(self.until_us[slot] <= self.now_us())",
            "return False",
            "process",
        ),
        (
            "state lives one microsecond longer",
            "return bool(self.until_us[slot] <= self.now_us())",
            "return bool(self.until_us[slot] < self.now_us())",
            "process",
        ),
        (
            "a late row writes what is dead already",
            "start = max(moment.time_us, moment.watermark_us)",
            "start = moment.time_us",
            "process",
        ),
    ],
    "state/slot_kernels.py": [
        (
            "state of batches lives for ever",
            "if there and expiring and expires[slot] <= now_us[i]:",
            "if False:",
            "process",
        ),
    ],
    "state/keyed.py": [
        (
            "changes of broadcast state are not restored",
            'if block.about["kind"] == SHARED:',
            "if False:",
            "live broadcast",
        ),
    ],
}
