"""Reading ahead: a thread or two shared by all partitions decode while the engine computes.

```
 scan (generator) ──► [ready, at most `ahead` batches] ──► read()
   one decoder at a time: a pool thread, or the reading thread itself when nothing is ready
```
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeAlias

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows, Poll, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from eventtime.sources.marks import Place, Placed

__all__ = ("AheadReader", "DecodePool", "Positions", "Scan")

DECODE_THREADS_MAX = 2
CLOSE_WAIT_S = 1.0

Scan: TypeAlias = "Callable[[Place], Generator[Placed, None, None]]"
"""Starts reading behind a place; closing the generator lets go of the file."""


class Positions(Protocol):
    """How places in one partition are told outside."""

    def position(self, place: Place, *, ended: bool) -> Position:
        """Return a place as what JSON can hold; ``ended`` says that nothing is behind it."""
        ...

    def find(self, position: Position | None) -> tuple[Place, bool]:
        """Return the place and whether it is the end; None is the start of the partition."""
        ...


class DecodePool:
    """The decode threads, shared by every reader that is open.

    There is one pool while somebody reads, and none otherwise: readers hold it, and when the last
    one is closed or dropped the executor goes with it and its threads return. `ThreadPoolExecutor`
    also joins its threads before the interpreter goes down, which plain daemon threads inside Arrow
    do not survive.
    """

    _live: weakref.ref[DecodePool] | None = None
    _guard = threading.Lock()

    def __init__(self) -> None:
        self.last_read = 0
        # Decoding costs three times what the engine does with the rows: on two cores two decoders
        # and the engine take turns. 20 M rows from Parquet: 0.50 s, with one 0.56 s (measured).
        threads = max(1, min(DECODE_THREADS_MAX, pa.cpu_count()))
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="eventtime-decode")

    @classmethod
    def shared(cls) -> DecodePool:
        """Return the pool in use, or a new one if nobody reads at the moment."""
        with cls._guard:
            pool = cls._live() if cls._live is not None else None
            if pool is None:
                pool = cls()
                cls._live = weakref.ref(pool)
            return pool

    def decode_soon(self, reader: AheadReader) -> bool:
        """Queue one decoding step, unless the interpreter is going down.

        The queue does not keep a dropped reader alive.
        """
        try:
            self._executor.submit(_decode_if_alive, weakref.ref(reader))
        except RuntimeError:
            return False
        return True


def _decode_if_alive(reference: weakref.ref[AheadReader]) -> None:
    reader = reference()
    if reader is not None:
        reader.decode_ahead()


class AheadReader:
    """A partition reader that keeps up to ``ahead`` decoded batches of a scan ready.

    Reading: `read`, `position`, `close`. For the pool: `decode_ahead`. The rows and their order are
    those of the scan whatever the threads do. With ``ahead`` 0 no thread is ever used. With
    ``lazy`` threads work ahead only while this reader is read several times in a row: with hundreds
    of partitions read in turn, batches made ahead leave the cache before they are used (measured:
    twice the CPU).
    """

    def __init__(
        self,
        name: str,
        scan: Scan,
        positions: Positions,
        opened_at: Position | None = None,
        *,
        ahead: int,
        lazy: bool = False,
    ) -> None:
        self.name = name
        self._scan = scan
        self._positions = positions
        # Behind what was handed over, not behind what was decoded.
        self._place, self._handed_end = positions.find(opened_at)
        self._ahead = ahead
        self._items: Generator[Placed, None, None] | None = None
        self._ready: deque[Placed] = deque()
        # Invariant: whoever advances the scan, or ends it, holds `_decoding`.
        self._decoding = threading.Lock()
        self._queued = False
        self._ended = self._handed_end
        self._failure: BaseException | None = None
        self._closed = False
        self._lazy = lazy
        self._pool = DecodePool.shared() if ahead and not self._ended else None

    @property
    def position(self) -> Position:
        """Just behind what `read` handed over last, however far threads have decoded."""
        return self._positions.position(self._place, ended=self._handed_end)

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        """Hand over the next rows; decodes them here when no thread has yet.

        Raises:
            SourceError: the input cannot be read, or the reader is closed.
        """
        if self._closed:
            message = f"the reader of partition {self.name!r} is closed"
            raise SourceError(message, remedy="open the source again")
        if not self._ready:
            # Waits only while a pool thread is inside this very scan, never behind other
            # partitions.
            with self._decoding:
                if not self._ready:
                    self._decode_one()
        if self._ready:
            rows, self._place = self._ready.popleft()
            if self._is_read_in_a_row():
                self._ask_for_more()
            return rows
        if self._failure is not None:
            raise self._failure
        self._handed_end = True
        return Poll.END

    def decode_ahead(self) -> None:
        """Decode one batch in a pool thread, unless somebody else does or enough are ready."""
        self._queued = False
        if not self._decoding.acquire(blocking=False):
            return
        try:
            if len(self._ready) < self._ahead:
                self._decode_one()
        finally:
            if self._closed:
                self._end_scan()
            self._decoding.release()
        self._ask_for_more()

    def close(self) -> None:
        """End the scan and let go of the pool; waits for a batch, but not for slow storage."""
        self._closed = True
        self._ended = True
        self._pool = None
        if self._decoding.acquire(timeout=CLOSE_WAIT_S):
            # If not acquired, the decoding thread sees `_closed` and ends the scan itself.
            try:
                self._end_scan()
            finally:
                self._decoding.release()
        self._ready.clear()

    def _is_read_in_a_row(self) -> bool:
        """Tell whether working ahead pays: for a lazy reader only if it was read last."""
        pool = self._pool
        if pool is None or not self._lazy:
            return True
        was_last, pool.last_read = pool.last_read == id(self), id(self)
        return was_last

    def _ask_for_more(self) -> None:
        pool = self._pool
        if pool is None or self._ended or self._queued or len(self._ready) >= self._ahead:
            return
        # Set before queueing: the pool thread may take it back at once.
        self._queued = True
        if not pool.decode_soon(self):
            self._queued = False

    def _decode_one(self) -> None:
        if self._ended:
            return
        try:
            if self._items is None:
                # Nothing has been handed over yet: this is where the partition was opened.
                self._items = self._scan(self._place)
            item = next(self._items, None)
        except BaseException as error:  # noqa: BLE001 - kept, and raised by read()
            # A scan that raised, even KeyboardInterrupt, is over: asking it again would look like a
            # regular end.
            self._failure = error
            self._ended = True
            self._pool = None
            return
        if item is None:
            self._ended = True
            self._end_scan()
        elif not self._closed:
            self._ready.append(item)

    def _end_scan(self) -> None:
        items, self._items = self._items, None
        if items is not None:
            items.close()
