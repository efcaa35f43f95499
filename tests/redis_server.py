"""A Redis server of our own, in a temporary folder."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS: Final = 400


@contextlib.contextmanager
def started() -> Iterator[str | None]:
    """Start a server on a socket in a folder; give its address, None if none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="eventtime-redis-"))
    options = ["--port", "0", "--unixsocket", f"{folder}/redis", "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, *options, "--save", "", "--appendonly", "no"], stdout=log, stderr=log
        )
    url = f"unix://{folder}/redis"
    try:
        _wait(url, folder)
        yield url
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)


def _wait(url: str, folder: Path) -> None:
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        for _ in range(_ROUNDS):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return
            threading.Event().wait(0.05)
    raise RuntimeError((folder / "log").read_text())
