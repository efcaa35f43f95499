"""A TCP address in front of a Unix socket, through which after a while nothing goes any more."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Door",)

_PIECE: Final = 4_096


class Door:
    """Hands on what comes, in both directions, until it is shut; nothing is read or answered then.

    Args:
        behind: the Unix socket.
    """

    def __init__(self, behind: Path) -> None:
        self._behind = str(behind)
        self._listener = socket.socket()
        # What was sent and not read is soon more than there is room for.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._held: list[socket.socket] = []
        self._is_shut, self._left = threading.Event(), 0
        threading.Thread(target=self._take, daemon=True).start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def shut(self, after: int = 0) -> None:
        """Read nothing more, after so many bytes; close nothing."""
        self._left = after
        if not after:
            self._is_shut.set()

    def remove(self) -> None:
        """Close everything."""
        for one in [self._listener, *self._held]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                came, _ = self._listener.accept()
                self._held.append(came)
                if self._is_shut.is_set():
                    continue
                inside = socket.socket(socket.AF_UNIX)
                inside.connect(self._behind)
                self._held.append(inside)
                for one, other in ((came, inside), (inside, came)):
                    threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._is_shut.is_set() and (data := one.recv(_PIECE)):
                other.sendall(data)
                if self._left:
                    self._left -= len(data)
                    if self._left <= 0:
                        self._is_shut.set()
            if not self._is_shut.is_set():
                other.shutdown(socket.SHUT_WR)
