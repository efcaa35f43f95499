"""Kills a process right before one of its system calls, or lets that fail, in whatever thread.

Calls are counted by what they do to which file, so the same one is met in each life, however the
threads take turns; only those on files below a folder count, and what is sent to a server. Linux on
x86-64.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import signal
import socket
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ("LOOKS", "Call", "Fault", "Tracer", "can_trace")

_PATH_0: Final = {"unlink": 87, "rename": 82, "link": 86, "mkdir": 83, "rmdir": 84, "truncate": 76}
_PATH_1: Final = {"openat": 257, "unlinkat": 263, "renameat": 264, "renameat2": 316, "mkdirat": 258}
_PATH_3: Final = {"linkat": 265}
_FILE: Final = {
    "write": 1, "close": 3, "pwrite64": 18, "writev": 20, "sendto": 44, "sendmsg": 46, "fsync": 74,
    "fdatasync": 75, "ftruncate": 77, "fallocate": 285, "pwritev": 296, "copy_file_range": 326,
}  # fmt: skip
_CALLS: Final = {
    number: (name, place)
    for place, calls in ((0, _PATH_0), (1, _PATH_1), (3, _PATH_3), (None, _FILE))
    for name, number in calls.items()
}
_PIDFD_GETFD: Final = 438
_SERVER: Final = "server"
_CREATES: Final = os.O_CREAT | os.O_TRUNC
LOOKS: Final = ("close", "openat to read")
"""Calls that change nothing."""
# Digits that differ from life to life.
_NONCE: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_SCRATCH: Final = re.compile(r"scratch/eventtime-scratch-[^/]+")

_SEIZE, _INTERRUPT, _LISTEN, _SYSCALL, _POKE, _INFO = 0x4206, 0x4207, 0x4208, 24, 6, 0x420E
_TRACE_CLONES_AND_MARK_CALLS: Final = 0x8 | 0x1
_ALL_OF_MINE: Final = 0x40000000 | 0x20000000  # __WALL | __WNOTHREAD
_RAX, _ORIG_RAX = 80, 120
_ENTRY, _EXIT = 1, 2
_SECONDS: Final = 10


def can_trace() -> bool:
    """Whether this machine is one whose calls are known here."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


@dataclass(frozen=True)
class Call:
    """The n-th time that a process does this to this file.

    Args:
        name: of the system call.
        path: of the file below the folder, '*' for what no other life has; or 'server'.
        n: from 1 on.
    """

    name: str
    path: str
    n: int


@dataclass(frozen=True)
class Fault:
    """What befalls a process at a call.

    Args:
        is_hit: whether this is the call.
        number: of the error that the call gives instead, a connection being broken by it; None: the
            process is killed before it.
    """

    is_hit: Callable[[Call], bool]
    number: int | None = None


class _Info(ctypes.Structure):
    """What a thread that stopped is about to call; see `ptrace`."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    )


class Tracer:
    """Follows a process and all its threads, from `attach` to its end.

    Args:
        pid: of the process, which has one thread yet.
        folder: whose files count.
        fault: what befalls it, each time that it is hit; None: nothing.
    """

    def __init__(self, pid: int, folder: Path, fault: Fault | None) -> None:
        self._pid = pid
        self._folder = f"{folder}/".encode()
        self._fault = fault
        self._counts: Counter[tuple[str, str]] = Counter()
        self.calls: list[Call] = []
        self._failing: set[int] = set()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._ptrace = self._libc.ptrace
        self._ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._ptrace.restype = ctypes.c_long
        self._info = _Info()
        self._is_attached = threading.Event()
        # Only the thread that attached may ask; and it waits for nobody else's children.
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def attach(self) -> None:
        """Return when no call escapes any more."""
        self._thread.start()
        assert self._is_attached.wait(_SECONDS)

    def join(self) -> None:
        """Wait for the end of the process."""
        self._thread.join()

    def _follow(self) -> None:
        self._ask(_SEIZE, self._pid, 0, _TRACE_CLONES_AND_MARK_CALLS)
        self._ask(_INTERRUPT, self._pid)
        self._memory = os.open(f"/proc/{self._pid}/mem", os.O_RDONLY)
        with contextlib.suppress(ChildProcessError):
            while True:
                thread, status = os.waitpid(-1, _ALL_OF_MINE)
                if os.WIFSTOPPED(status):
                    # One that is killed meanwhile cannot be asked any more.
                    with contextlib.suppress(ProcessLookupError):
                        self._stopped(thread, os.WSTOPSIG(status), status >> 16)
        os.close(self._memory)

    def _stopped(self, thread: int, number: int, event: int) -> None:
        deliver = 0
        if number == signal.SIGTRAP | 0x80:
            self._at_call(thread)
        elif not event:
            deliver = number
        elif number in {signal.SIGSTOP, signal.SIGTSTP}:
            self._ask(_LISTEN, thread)
            return
        self._ask(_SYSCALL, thread, 0, deliver)
        self._is_attached.set()

    def _at_call(self, thread: int) -> None:
        self._ask(_INFO, thread, ctypes.sizeof(_Info), ctypes.addressof(self._info))
        if self._info.op == _EXIT and thread in self._failing:
            assert self._fault
            assert self._fault.number
            self._failing.remove(thread)
            self._ask(_POKE, thread, _RAX, -self._fault.number)
        elif self._info.op == _ENTRY and (call := self._call()) is not None:
            self.calls.append(call)
            if self._fault is None or not self._fault.is_hit(call):
                return
            if self._fault.number is None:
                os.kill(self._pid, signal.SIGKILL)
            else:
                if call.path == _SERVER:
                    self._hang_up(self._info.arguments[0])
                self._failing.add(thread)
                self._ask(_POKE, thread, _ORIG_RAX, -1)

    def _hang_up(self, number: int) -> None:
        """Break a connection: one on which sending fails is broken, and who sends relies on it.

        Args:
            number: of its file in the process.
        """
        process = os.pidfd_open(self._pid)
        mine = self._libc.syscall(_PIDFD_GETFD, process, number, 0)
        os.close(process)
        with socket.socket(fileno=mine) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def _call(self) -> Call | None:
        name, place = _CALLS.get(self._info.number, ("", None))
        if not name:
            return None
        arguments = self._info.arguments
        try:
            if place is None:
                path = os.readlink(f"/proc/{self._pid}/fd/{arguments[0]}".encode())
            else:
                path = self._text(arguments[place])
        except OSError:
            return None
        if path.startswith(self._folder):
            path = path.removeprefix(self._folder)
        elif name.startswith("send") and path.startswith(b"socket:"):
            path = _SERVER.encode()
        else:
            return None
        if name == "openat" and not arguments[2] & _CREATES:
            name += " to read"
        what = name, _SCRATCH.sub("scratch/*", _NONCE.sub("*", path.decode()))
        self._counts[what] += 1
        return Call(*what, self._counts[what])

    def _text(self, address: int) -> bytes:
        # Up to the end of its page, which the next one need not be there.
        length = min(4096, 4096 - address % 4096 or 4096)
        text = os.pread(self._memory, length, address)
        if b"\0" not in text:
            text += os.pread(self._memory, 4096, address + length)
        return text.partition(b"\0")[0]

    def _ask(self, what: int, thread: int, address: int = 0, data: int = 0) -> None:
        address, data = address & (2**64 - 1), data & (2**64 - 1)
        if self._ptrace(what, thread, address, data) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
