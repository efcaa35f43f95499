"""Bounded partitions in replay order, and the guard against the future there (S10, S11)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.partitions import Oracle
from eventtime.testing.reference.spec import INFINITY, TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.testing.reference.spec import Row, Spec, Time

__all__ = ("future_rows", "replay")

LOOK_AHEAD = 32


def future_rows(times: Sequence[int | None], max_future: int | None) -> list[bool]:
    """Which rows of a replayed partition lie too far ahead of the other rows (S11)."""
    readable = [t if t is not None and abs(t) <= TIME_LIMIT else None for t in times]
    largest: Time = -INFINITY
    flags = []
    for i, t in enumerate(readable):
        after = sorted([u for u in readable[i + 1 :] if u is not None][:LOOK_AHEAD])
        median: Time = after[(len(after) - 1) // 2] if after else -INFINITY
        limit = max(largest, median) + (INFINITY if max_future is None else max_future)
        # Where there is nothing to compare it with, the row is admitted.
        flags.append(t is not None and not math.isinf(limit) and t > limit)
        if t is not None and not flags[-1]:
            largest = max(largest, t)
    return flags


def replay(
    partitions: Mapping[str, Sequence[Row]],
    spec: Spec,
    operator: Any = None,
    between: Callable[[Oracle], None] = lambda _: None,
) -> Oracle:
    """Bounded partitions to their end: always the next row of the one furthest behind (S10)."""
    oracle = Oracle(spec, sorted(partitions), operator)
    rest = {
        name: list(
            zip(rows, future_rows([r[spec.time] for r in rows], spec.max_future), strict=True)
        )
        for name, rows in partitions.items()
    }
    while rest:
        between(oracle)
        name = min(rest, key=lambda n: (oracle.partitions[n].watermark, n))
        if rest[name]:
            row, is_future = rest[name].pop(0)
            oracle.push(name, [row], ahead=[is_future])
        else:
            # Its end is found as a row is: when it is furthest behind and asked for more.
            del rest[name]
            oracle.finish(name)
    if not partitions:
        oracle.operator.advance(INFINITY)
    return oracle
