"""Where a process function stands: which keys it is called for, and what time it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.duration import LONGEST
from eventtime.timestamp import LATEST, MINUS_INFINITY

if TYPE_CHECKING:
    from eventtime.state.declared import Declared

__all__ = ("NO_KEY", "Expiry", "Moment", "OneForAll")

Ints = NDArray[np.int64]
_NO_ROWS: Final[Ints] = np.empty(0, np.int64)
# No row or timer has a later time; what is added to it stays in int64.
_LAST: Final = LATEST + LONGEST


class _NoKey:
    """Stands where a slot would: states by key, which it is an index of, say that there is none."""

    def __index__(self) -> int:
        msg = "on_broadcast is called for no key, so it has no state by key"
        raise TypeError(msg)


NO_KEY: Final[Any] = _NoKey()


class Moment:
    """What states go by: a slot for a call with one row, arrays for a call with many.

    Args of each row: `slot`, `time_us` (of the row or timer), `watermark_us` (before it). Of many:
    `slots`, `times_us`, `watermarks_us`. `processing_us` is the clock's; `is_changing`: a row of a
    broadcast stream is at hand.
    """

    def __init__(self) -> None:
        self.slot: Any = 0
        self.is_changing = False
        self.time_us = self.watermark_us = self.processing_us = MINUS_INFINITY
        self.slots: Ints = _NO_ROWS
        self.times_us: Ints = _NO_ROWS
        self.watermarks_us: Ints = _NO_ROWS


class OneForAll:
    """The same moment for a state that all keys share: always slot 0."""

    slot = 0

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    @property
    def is_changing(self) -> bool:
        """Whether a row of a broadcast stream is at hand."""
        return self._moment.is_changing

    @property
    def time_us(self) -> int:
        """Event time of the row or timer."""
        return self._moment.time_us

    @property
    def watermark_us(self) -> int:
        """The watermark before it."""
        return self._moment.watermark_us

    @property
    def processing_us(self) -> int:
        """Processing time."""
        return self._moment.processing_us

    @property
    def slots(self) -> Ints:
        """Slot 0 for each row."""
        return np.zeros(len(self._moment.slots), np.int64)

    @property
    def times_us(self) -> Ints:
        """Event times."""
        return self._moment.times_us

    @property
    def watermarks_us(self) -> Ints:
        """The watermark before each row."""
        return self._moment.watermarks_us


class Expiry:
    """Until when the value of each slot lives.

    By event time it lives as long after it was written as the time to live says, from the later of
    the row's time and the watermark; it is dead once the watermark is there. So whether a row finds
    it depends on the rows before it alone (S4).

    Args:
        declared: has a time to live.
        moment: says what time it is.
    """

    def __init__(self, declared: Declared, moment: Moment | OneForAll) -> None:
        assert declared.ttl_us is not None
        self._ttl_us, self._moment = declared.ttl_us, moment
        self._by_event_time = declared.ttl_clock == "event"
        self.until_us: Ints = _NO_ROWS

    def now_us(self) -> int:
        """Return the time by which values are dead or not."""
        moment = self._moment
        return moment.watermark_us if self._by_event_time else moment.processing_us

    def then_us(self) -> int:
        """Return until when a value written now lives."""
        moment = self._moment
        if self._by_event_time:
            start = max(moment.time_us, moment.watermark_us)
        else:
            start = moment.processing_us
        return min(start, _LAST) + self._ttl_us

    def nows_us(self, rows: Ints | None) -> Ints:
        """Return the time by which values are dead or not, (n,), at each of some rows."""
        moment = self._moment
        if self._by_event_time:
            return moment.watermarks_us if rows is None else moment.watermarks_us[rows]
        n = len(moment.slots) if rows is None else len(rows)
        return np.full(n, moment.processing_us)

    def thens_us(self, rows: Ints | None) -> Ints:
        """Return until when a value written at each of some rows lives, (n,)."""
        if self._by_event_time:
            moment = self._moment
            start = np.maximum(moment.times_us, moment.watermarks_us)
            start = start if rows is None else start[rows]
        else:
            start = self.nows_us(rows)
        until: Ints = np.minimum(start, _LAST) + self._ttl_us
        return until

    def is_dead(self, slot: int) -> bool:
        """Tell whether what the slot holds has outlived its time."""
        return bool(self.until_us[slot] <= self.now_us())

    def renew(self, slot: int) -> None:
        """Let what the slot holds live from now on."""
        self.until_us[slot] = self.then_us()
