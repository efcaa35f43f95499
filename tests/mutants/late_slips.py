"""Slips in what is late and what has expired: by file, what it is, what stands there, what then."""

from __future__ import annotations

from typing import Final

__all__ = ("LATE_SLIPS",)

LATE_SLIPS: Final[dict[str, list[tuple[str, str, str]]]] = {
    "windows/late.py": [
        (
            "missed pairs are not counted",
            "self.counted += int(missed.sum())",
            "self.counted += 0 * int(missed.sum())",
        ),
        (
            "missed pairs are counted each time one looks",
            "self._pending.clear()",
            "self._pending.copy()",
        ),
        (
            "any late row is late by idleness",
            "& (own_us != watermark_us)",
            "| (own_us != watermark_us)",
        ),
        (
            "late_by without the lateness",
            "watermark_us - end - shape.expiry.lateness_of(end),",
            "watermark_us - end,",
        ),
    ],
    "windows/expiry.py": [
        (
            "lateness off by one in what was missed",
            "_BEYOND) - self.lateness_us + 1)",
            "_BEYOND) - self.lateness_us)",
        ),
        (
            "what had expired comes back under a longer lateness",
            "if floor_us > self.floor_us:",
            "if False:",
        ),
        (
            "what had expired is forgotten by the next checkpoint",
            "[list(pair) for pair in pairs]",
            "[]",
        ),
    ],
    "windows/assign_kernel.py": [
        ("some windows had expired, and nobody says so", "<= w or first <= config[FLOOR]", "<= w"),
    ],
}
