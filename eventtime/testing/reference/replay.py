"""Bounded partitions in replay order, and the guard against the future there (S10, S11)."""

from __future__ import annotations

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
    readable = [t is not None and -TIME_LIMIT <= t <= TIME_LIMIT for t in times]
    largest: Time = -INFINITY
    flags = []
    for i, t in enumerate(times):
        after = [
            u
            for u, ok in zip(times[i + 1 :], readable[i + 1 :], strict=True)
            if ok and u is not None
        ]
        after = sorted(after[:LOOK_AHEAD])
        median: Time = after[(len(after) - 1) // 2] if after else -INFINITY
        reference = max(largest, median)
        is_future = False
        if t is not None and readable[i]:
            is_future = (
                max_future is not None and reference > -INFINITY and t > max_future + reference
            )
            largest = largest if is_future else max(largest, t)
        flags.append(is_future)
    return flags


def replay(
    partitions: Mapping[str, Sequence[Row]],
    spec: Spec,
    downstream: Any = None,
    by: Any = None,
    between: Callable[[Oracle], None] = lambda _: None,
) -> Oracle:
    """Bounded partitions to their end: always the next row of the one furthest behind (S10)."""
    names = sorted(partitions)
    oracle = Oracle(spec, names, downstream, by)
    rest = {
        name: list(
            zip(rows, future_rows([r[spec.time] for r in rows], spec.max_future), strict=True)
        )
        for name, rows in partitions.items()
    }
    unfinished = set(names)
    while unfinished:
        between(oracle)
        name = min(unfinished, key=lambda n: (oracle.partitions[n].watermark, n))
        if rest[name]:
            row, is_future = rest[name].pop(0)
            oracle.row(name, row, is_future=is_future)
        else:
            # Its end is found as a row is: when it is furthest behind and asked for more.
            unfinished.remove(name)
            oracle.finish(name)
    if not names:
        oracle.operator.advance(INFINITY)
    return oracle
