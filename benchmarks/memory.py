"""Peak memory of a piece of work, from the kernel's own high-water mark."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import pyarrow as pa

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER = "5"


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    msg = f"no {field} in {_STATUS}: peak memory needs Linux"
    raise OSError(msg)


def settle() -> None:
    """Give freed memory back, so that one round's leavings are not counted for the next."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int:
    """What the process holds in memory now (VmRSS), file-backed pages included."""
    return _status_bytes("VmRSS")


def reset_peak() -> None:
    """Let the high-water mark start anew from what is resident now."""
    _CLEAR_REFS.write_text(_RESET_HIGH_WATER)


def peak_bytes() -> int:
    """The most the process has held since `reset_peak` (VmHWM)."""
    return _status_bytes("VmHWM")
