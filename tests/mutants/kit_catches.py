"""Which slips the testing kit alone notices within 200 examples, as measured."""

from __future__ import annotations

from typing import Final

__all__ = ("CAUGHT_BY_KIT", "QUICK_FOR_KIT")

CAUGHT_BY_KIT: Final = frozenset(
    {
        "a correction counts in a window that is open",
        "a heartbeat takes the watermark back",
        "a late row missed one window less",
        "a partition holds its own rows back",
        "a partition that returns stays idle",
        "a restart forgets who has finished",
        "a restart wakes who was idle",
        "a restored shard begins before its watermark",
        "a restored shard fires at the end only",
        "a row that missed some of its windows is not late",
        "a row without a mark is one",
        "a time one beyond the last is admitted",
        "an offset is forgotten in slices",
        "any empty poll is silence",
        "changes of broadcast state are not restored",
        "changes that waited in a savepoint are not called for",
        "closes one point late",
        "corrections are not counted as emitted",
        "corrections come twice",
        "expires one point late",
        "final one point early",
        "finished flag ignored",
        "forgotten clamp",
        "idle after exactly idle_after",
        "idle flag ignored",
        "late row not counted",
        "lateness off by one",
        "lateness off by one in what was missed",
        "malformed rows are said to have no time",
        "minimum replaced by maximum",
        "nothing fires where windows expire",
        "nulls first",
        "own watermark by batch",
        "partitions start anew when restored",
        "rows filtered before the watermark are not counted",
        "rows filtered behind the watermark are not counted",
        "rows from the future go on",
        "rows that come are not heard",
        "rows without a time are not counted",
        "silence goes on after a partition was heard",
        "the combined watermark goes back",
        "the last firing is not final",
        "truncating division",
        "versions are forgotten when a window closes",
        "watermark by batch",
        "windows start a slide before they end",
    }
)
QUICK_FOR_KIT: Final = frozenset(
    {
        "idle flag ignored",
        "the last firing is not final",
        "windows start a slide before they end",
    }
)
"""Those of them that it notices within six examples, and that the usual tests try."""
