"""The share of late rows against the bound, drawn with characters."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.duration import format_us

if TYPE_CHECKING:
    from eventtime.advise import Advice
    from eventtime.disorder import Disorder

__all__ = ("plot_costs",)

_LINES: Final = 6
_HEIGHT: Final = 18
_TICKS: Final = 7
_STEPS_US: Final = tuple(
    count * unit
    for unit, counts in (
        (1, (1, 10, 100)),
        (1_000, (1, 10, 100)),
        (1_000_000, (1, 5, 10, 30)),
        (60_000_000, (1, 5, 10, 30)),
        (3_600_000_000, (1, 2, 4, 12)),
        (86_400_000_000, (1, 2, 7, 28, 91, 365, 3650, 36500)),
    )
    for count in counts
)


def plot_costs(advice: Advice) -> str:
    """Draw a line for each partition, or one for all where there are many.

    The axis of bounds ends where 99.9 % of all rows are on time: beyond, nothing is to be seen.
    """
    import plotext

    parts = list(advice.partitions.values())
    total = advice.total
    drawn = parts if len(parts) <= _LINES else [total]
    end = max(total.quantile_us(0.999), advice.bound_us, 1)
    figure: Any = plotext.figure
    figure.clear()
    figure.plot_size(min(shutil.get_terminal_size().columns, 100), _HEIGHT)
    if not sys.stdout.isatty():
        figure.theme("colorless")
    for part in drawn:
        bounds, shares = _curve(part, end)
        signal = figure.signal(bounds, shares, marker="braille")
        signal.lines()
        signal.label(part.partition)
        figure.draw(signal)
    figure.legend(x=end, y=100, ha="right", va="top", relative=True)
    step = next((s for s in _STEPS_US if end / s <= _TICKS), _STEPS_US[-1])
    ticks = list(range(0, end + 1, step))
    figure.ruler("x").ticks(ticks, [format_us(tick) for tick in ticks])
    figure.ruler("y").lim(0, 100)
    figure.title("rows late, % (y), by bound = added delay (x)")
    text: str = figure.build().string(colorless=not sys.stdout.isatty())
    figure.clear()
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def _curve(part: Disorder, end: int) -> tuple[list[int], list[float]]:
    bounds = np.unique(np.linspace(0, end, 161).astype(np.int64)).tolist()
    timed = max(part.timed, 1)
    return bounds, [100 * part.late(bound) / timed for bound in bounds]
