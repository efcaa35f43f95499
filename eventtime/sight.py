"""What a live loop notes of itself in passing, and the status that is made of it."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from eventtime.latency import Latencies
from eventtime.ledger import AT_DOOR, OperatorLedger, PartitionLedger
from eventtime.status import Before, PartitionState, PartitionStatus, Status, finite

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from eventtime.clock import Clock
    from eventtime.core import Core
    from eventtime.progress import PartitionProgress
    from eventtime.windows.look import Look

__all__ = ("Rates", "Sight")

_MOST_SLICES: Final = 96
_RATE_OVER_US: Final = 2_000_000


class Rates:
    """Numbers per second over the last few seconds, out of counters that grow."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, NDArray[np.int64]]] = deque()

    def note(self, at_us: int, counters: Sequence[int]) -> list[float]:
        """Take readings of all counters; returns the rate of each.

        Args:
            at_us: reading of the clock.
            counters: there may be more of them than the last time.
        """
        now = np.array(counters, np.int64)
        while len(self._seen) > 1 and at_us - self._seen[1][0] >= _RATE_OVER_US:
            self._seen.popleft()
        if self._seen and at_us < self._seen[-1][0]:
            self._seen.clear()  # the clock was stepped back
        since_us, before = self._seen[0] if self._seen else (at_us, now)
        self._seen.append((at_us, now))
        if at_us <= since_us:
            return [0.0] * len(now)
        grown = now.copy()
        grown[: len(before)] -= before
        rates: list[float] = (grown * (1e6 / (at_us - since_us))).tolist()
        return rates


class Sight:
    """Notes of one loop: when partitions were heard, how long results took, how fast it all goes.

    The loop: `goes_on`; `arrived`, `fired`, `committed`; and `latencies`. Looking: `status`.
    """

    def __init__(self) -> None:
        self.latencies = Latencies()
        self._rates, self._heard_us = Rates(), dict[int, int]()
        self._results = 0
        self._before = Before()

    def goes_on(self, core: Core) -> None:
        """Note what a run that was saved had counted, before it takes rows again."""
        balances = [replace(balance) for balance in core.balances()]
        operators = tuple(map(_balance, core.stages.look(0)))
        self._results = core.results
        self._before = Before(core.results, tuple(balances), _total(balances), operators)

    def arrived(self, p: int, now_us: int, arrived_us: int | None) -> None:
        """Note that rows of a partition are taken.

        Args:
            p: its index.
            now_us: reading of the clock.
            arrived_us: see `Arrived`.
        """
        self._heard_us[p] = now_us
        self.latencies.arrived(now_us if arrived_us is None else arrived_us)

    def fired(self, results: int) -> None:
        """Note how many results there were by the end of a turn."""
        self.latencies.fired(results - self._results)
        self._results = results

    def committed(self, clock: Clock) -> None:
        """Note that all results so far can be seen."""
        if self.latencies.is_waiting:
            self.latencies.committed(clock.now_us())

    def status(
        self, core: Core, at_us: int, held: Collection[int], left: Collection[int]
    ) -> Status:
        """Look at a run. Cost: O(partitions), and that of `look_into`.

        Args:
            core: of the run.
            at_us: reading of the clock.
            held, left: indexes of partitions that are.
        """
        report, balances = core.report(), core.balances()
        counters = [report.results, report.rows, *(balance.rows_in for balance in balances)]
        results_per_s, rows_per_s, *own_per_s = self._rates.note(at_us, counters)
        looks = core.stages.look(_MOST_SLICES)
        states = enumerate(zip(core.progress.partitions, balances, own_per_s, strict=True))
        return Status(
            at_us,
            report,
            tuple(
                PartitionStatus(
                    state.name,
                    _state_of(state, p, held, left),
                    finite(state.watermark_us),
                    balance.rows_in,
                    rate,
                    balance.late,
                    balance.null_time + balance.future + balance.malformed,
                    self._heard_us.get(p),
                )
                for p, (state, balance, rate) in states
            ),
            held_by=core.progress.held_by_index,
            total=_total(balances),
            operators=tuple(map(_balance, looks)),
            slices=looks[0].slices,
            n_slices=looks[0].n_slices,
            late_by_idleness=looks[0].late_by_idleness,
            late_since_start=report.late - self._before.total.late,
            state_bytes=sum(look.nbytes for look in looks),
            latency=self.latencies.now(),
            rows_per_s=rows_per_s,
            results_per_s=results_per_s,
            first_aside=core.first_aside,
            before=self._before,
        )


def _state_of(
    state: PartitionProgress, p: int, held: Collection[int], left: Collection[int]
) -> PartitionState:
    if state.finished:
        return "ended"
    if p in left:
        return "left"
    if state.idle:
        return "idle"
    return "held" if p in held else "active"


def _balance(look: Look) -> OperatorLedger:
    still_open = look.assigned - look.emitted - look.missed
    return OperatorLedger(look.assigned, look.emitted, still_open, look.missed)


def _total(balances: Sequence[PartitionLedger]) -> PartitionLedger:
    # By column: a thousand partitions are looked at several times a second.
    names = ("rows_in", "windowed", "late", *AT_DOOR, "waiting")
    return PartitionLedger(**{name: sum(getattr(b, name) for b in balances) for name in names})
