"""A PostgreSQL server of our own, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOM_S: Final = 60
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # the machine stays up
    "shared_buffers": "16MB",
    "max_connections": "50",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """Return the folder of the newest server installed, if any."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    elsewhere = shutil.which("initdb")
    return found[-1].parent if found else Path(elsewhere).parent if elsewhere else None


@contextlib.contextmanager
def started() -> Iterator[PostgresServer | None]:
    """Start a server, and remove it at the end; None if none is installed."""
    found = binaries()
    server = None if found is None else PostgresServer(found)
    yield server
    if server is not None:
        server.remove()


class PostgresServer:
    """A server that listens on a socket in its folder; the owner of the folder may connect.

    A role named `locked` needs its password.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="eventtime-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # which the server refuses to run as
            user = pwd.getpwnam("nobody")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._run("initdb", "-D", f"{self._folder}/data", "-U", "eventtime", "-A", "trust", "-N")
        access = self._folder / "data" / "pg_hba.conf"
        access.write_text("local all locked scram-sha-256\nlocal all all trust\n")
        self._server: subprocess.Popen[Any] | None = None
        self.start()

    @property
    def dsn(self) -> str:
        """Address of a database of the server."""
        return f"postgresql://eventtime@/postgres?host={self._folder}"

    @property
    def socket(self) -> Path:
        """The socket that it listens on."""
        return self._folder / ".s.PGSQL.5432"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", "data", "-k", self._folder, *options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._as,
            )
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", str(self._folder)]
        for _ in range(_ROOM_S * 20):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            threading.Event().wait(0.05)
        raise RuntimeError((self._folder / "log").read_text())

    def kill(self) -> None:
        """Kill all its processes, as a power switch would."""
        assert self._server is not None
        server = psutil.Process(self._server.pid)
        server.suspend()  # or it would start others
        for process in [*server.children(recursive=True), server]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._server.wait(_ROOM_S)

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        assert self._server is not None
        self._server.send_signal(signal.SIGINT)
        self._server.wait(_ROOM_S)
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False, **self._as
        )
        assert done.returncode == 0, done.stderr
