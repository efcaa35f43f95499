"""The client of PostgreSQL: how long it waits for a server that does not answer."""

from __future__ import annotations

import os
import re
from typing import Final

__all__ = ("bounded",)

_CONNECT_S: Final = 10
_QUIET_S: Final = 30
_PROBE_S: Final = 10
_PROBES: Final = 3
_DEAD_MS: Final = 60_000
_URI: Final = re.compile(r"(?P<place>postgres(?:ql)?://(?:[^@/]*@)?[^?]*)\??(?P<options>.*)", re.S)


def bounded(dsn: str) -> str:
    """Bound the waits of an address that does not do so itself; of libpq, in either of its forms.

    A server that takes a connection and says nothing is given up after 10 s for each address that
    its name has. A connection whose other end is gone, or takes nothing more, is given up after a
    minute: a connection at rest is probed after 30 s.

    >>> bounded("host=db.example connect_timeout=3").split()[0]
    'connect_timeout=10'
    >>> bounded("postgresql://me@db.example/weather?connect_timeout=3").rpartition("&")[2]
    'connect_timeout=3'
    """
    settings = {
        "keepalives_idle": _QUIET_S,
        "keepalives_interval": _PROBE_S,
        "keepalives_count": _PROBES,
        "tcp_user_timeout": _DEAD_MS,
    }
    if "PGCONNECT_TIMEOUT" not in os.environ:
        settings = {"connect_timeout": _CONNECT_S, **settings}
    ours = [f"{name}={value}" for name, value in settings.items()]
    uri = _URI.fullmatch(dsn)
    if uri is None:
        return " ".join([*ours, dsn])
    return f"{uri['place']}?{'&'.join([*ours, *filter(None, [uri['options']])])}"
