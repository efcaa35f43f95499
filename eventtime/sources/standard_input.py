"""Standard input as a live source: one partition that ends when the pipe does."""

from __future__ import annotations

import os
import select
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventtime.errors import SourceError
from eventtime.sources.base import count_of
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.unsettled import Unsettled
from eventtime.sources.wire import WireSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows

__all__ = ("StandardInput",)

_NAME: Final = "stdin"
_CHUNK_BYTES: Final = 256 << 10
_LOOK_S: Final = 0.1
_CLOSE_S: Final = 2.0


@dataclass(frozen=True)
class StandardInput(WireSource):
    """Rows from standard input; made by `eventtime.read_stdin`.

    Attributes:
        wire: what comes.
        descriptor: of the pipe.
    """

    descriptor: int = 0

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _PipeFeed:
        """Begin to read; what another run has read is gone."""
        kept = Unsettled() if self.unsettled is None else self.unsettled
        # An attempt before this one may have read half of a line.
        kept.decoder = kept.decoder or self.wire.decoder(columns, _NAME)
        mail = Mailbox(clock, self.unsettled)
        return _PipeFeed(self, kept, self.rows_before(positions).get(_NAME, 0), mail)

    def describe(self) -> str:
        """Return one line."""
        return f"{self.wire.format} from standard input, time={self.time}"


class _PipeFeed(MailFeed):
    """A thread that looks at the pipe, so that it can end while nothing comes."""

    def __init__(self, source: StandardInput, kept: Unsettled, rows: int, mail: Mailbox) -> None:
        self._source, self._kept, self._rows = source, kept, rows
        super().__init__(mail)
        self._closing = threading.Event()
        self._mail.add(_NAME, is_found=False)
        self._thread = threading.Thread(target=self._run, name="eventtime-stdin", daemon=True)

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        self._mail.hand_back()
        self._mail.quiet(_NAME)
        if self._kept.has_ended:
            self._mail.end(_NAME)
        else:
            self._thread.start()

    @property
    def is_over(self) -> bool:
        return self._mail.all_ended

    def cease(self) -> None:
        """Read no more; what was read last is put (see `Accepting`)."""
        self.close()

    def close(self) -> None:
        self._closing.set()
        self._mail.wake_waiting()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        with self._mail.failing():
            try:
                self._read()
            except SourceError as error:
                self._put([self._source.wire.set_aside(error)])
                self._end()

    def _read(self) -> None:
        descriptor, decoder = self._source.descriptor, self._kept.decoder
        assert decoder is not None
        poll = select.poll()  # `select` takes no descriptor above 1,023
        poll.register(descriptor, select.POLLIN)
        while not self._closing.is_set():
            if not poll.poll(_LOOK_S * 1_000):
                continue
            data = os.read(descriptor, _CHUNK_BYTES)
            self._put(decoder.feed(data) if data else decoder.end())
            if not data:
                self._end()
                return

    def _end(self) -> None:
        self._kept.has_ended = True
        self._mail.end(_NAME)

    def _put(self, items: Sequence[Rows]) -> None:
        for item in items:
            # What was read when the run ends is put all the same: nobody has it any more.
            while not self._closing.is_set() and not self._mail.wait_for_room(_NAME, _LOOK_S):
                pass
            self._rows += count_of(item)
            self._mail.put(_NAME, item, {"rows": self._rows}, is_quiet=True)
