"""Addresses of sockets as they are written, and a socket that listens there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from dataclasses import dataclass
from typing import Final

from eventtime.checks import check_text
from eventtime.errors import PlanError, SourceError

__all__ = ("Address", "address", "listening")

_REMEDIES: Final = {
    errno.EADDRINUSE: "end the process that does, or take another address",
    errno.EADDRNOTAVAIL: "take an address of this machine, or 0.0.0.0 for all of them",
    errno.EACCES: "take a port above 1023, or a folder that you may write to",
    errno.ENOENT: "make the folder first, or take another address",
}
_LOOPBACK: Final = "127.0.0.1"
_HOST_PORT: Final = re.compile(
    r"^(?:tcp://)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/\[\]]*)):(?P<port>\d+)$"
)
_BACKLOG: Final = 128


@dataclass(frozen=True)
class Address:
    """Host and port, or the path of a Unix socket.

    >>> str(Address("::1", 9000)), str(Address(path="/run/x"))
    ('[::1]:9000', 'unix:/run/x')
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: object, *, place: str) -> Address:
    """Read an address; without a host it is that of this machine only.

    Raises:
        PlanError: it is none.

    >>> address(":9000", place="")
    Address(host='127.0.0.1', port=9000, path='')
    """
    remedy = "such as '127.0.0.1:9000', '[::1]:9000' or 'unix:/run/app.sock'"
    check_text(text, what="address", place=place, remedy=remedy)
    written = str(text)
    if written.startswith("unix:") and len(written) > len("unix:"):
        return Address(path=os.path.abspath(written.removeprefix("unix:").removeprefix("//")))
    found = _HOST_PORT.match(written)
    if found is None or not 0 <= int(found["port"]) <= 65_535:
        msg = f"{written!r} is no address"
        raise PlanError(msg, place=place, remedy=remedy)
    return Address(found["six"] or found["host"] or _LOOPBACK, int(found["port"]))


def listening(where: Address) -> socket.socket:
    """Return a socket that listens; only the user may connect to one that is a file.

    Raises:
        SourceError: somebody else listens there, or it may not be used.
    """
    try:
        if where.path:
            return _listening_at(where.path)
        family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
        return socket.create_server((where.host, where.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        msg = f"nobody can listen at {where}: {error.strerror or error}"
        remedy = _REMEDIES.get(error.errno or 0, "take another address")
        raise SourceError(msg, place=str(where), remedy=remedy) from error


def _listening_at(path: str) -> socket.socket:
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)  # of a process that was killed
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(path)
        os.chmod(path, 0o600)
        server.listen(_BACKLOG)
    except OSError:
        server.close()
        raise
    return server
