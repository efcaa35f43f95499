"""Slips in what is late and what has expired; as `Mutant` has it, by file."""

from __future__ import annotations

from typing import Final

__all__ = ("LATE_SLIPS",)

LATE_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "windows/late.py": [
        (
            "missed pairs are not counted",
            "self.counted += int(missed.sum())",
            "self.counted += 0 * int(missed.sum())",
            "live",
        ),
        (
            "missed pairs are counted each time one looks",
            "self._pending.clear()",
            "self._pending.copy()",
            "live",
        ),
        (
            "any late row is late by idleness",
            "& (own_us != watermark_us)",
            "| (own_us != watermark_us)",
            "by hand",
        ),
        (
            "late_by without the lateness",
            "watermark_us - end - shape.expiry.lateness_of(end),",
            "watermark_us - end,",
            "live",
        ),
    ],
    "windows/expiry.py": [
        (
            "lateness off by one in what was missed",
            "_BEYOND) - self.lateness_us + 1)",
            "_BEYOND) - self.lateness_us)",
            "longer lateness",
        ),
        (
            "what had expired comes back under a longer lateness",
            "if floor_us > self.floor_us:",
            "if False:",
            "by hand",
        ),
        (
            "what had expired is forgotten by the next checkpoint",
            "[list(pair) for pair in pairs]",
            "[]",
            "longer lateness",
        ),
    ],
}
