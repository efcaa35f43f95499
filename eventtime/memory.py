"""How much memory state may take, and where the rest of it goes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from eventtime.state.blocks import BlockStore

__all__ = ("MemoryLike", "MemoryLimit", "limit_of", "memory_limit", "parse_bytes")

_UNITS: Final = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_BYTES: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?i?b)", re.IGNORECASE)
_BACKENDS: Final = ("files", "rocksdb")


@dataclass(frozen=True)
class MemoryLimit:
    """A budget of memory for state, and what takes the state above it; see `memory_limit`.

    Args:
        budget_bytes: of all operators and shards together.
        backend: 'files' or 'rocksdb'.
        scratch: folder in which a folder for the run is made; None: where temporary files go.
    """

    budget_bytes: int
    backend: Literal["files", "rocksdb"]
    scratch: str | os.PathLike[str] | None = None

    def open(self) -> BlockStore:
        """Make the scratch folder and the store in it.

        Raises:
            ScratchError: the folder cannot be made.
            PlanError: the backend is not installed.
        """
        from eventtime.state.scratch import ScratchBlocks

        return ScratchBlocks(self.backend, self.scratch)


MemoryLike = str | int | MemoryLimit
"""What an argument `memory` takes: '512MB', a number of bytes, or what `memory_limit` makes."""


def memory_limit(
    budget: str | int,
    *,
    backend: Literal["files", "rocksdb"] = "files",
    scratch: str | os.PathLike[str] | None = None,
) -> MemoryLimit:
    """Say how much of the state may be in memory, and where the rest goes.

    Args:
        budget: such as '512MB', '2GiB', or a number of bytes.
        backend: 'files', or 'rocksdb' (which needs the extra ``eventtime[rocksdb]``). The results
            are the same bytes for either, and those of a run without a limit (S28).
        scratch: folder for it; None: where temporary files go. It is empty again at the end.

    Raises:
        PlanError: no amount of memory, an unknown backend, or something that is no path.

    >>> memory_limit("512MB").budget_bytes
    512000000
    """
    if not is_one_of(backend, _BACKENDS):
        msg = f"there is no backend {shown(backend)}"
        remedy = f"take one of {', '.join(_BACKENDS)}; without a limit all state is in memory"
        raise PlanError(msg, place="memory_limit(backend=…)", remedy=remedy)
    given: object = scratch
    if given is not None and not isinstance(given, str | os.PathLike):
        msg = f"{shown(given)} is no path"
        remedy = "give the path of a folder"
        raise PlanError(msg, place="memory_limit(scratch=…)", remedy=remedy)
    return MemoryLimit(parse_bytes(budget, place="memory_limit(budget)"), backend, scratch)


def limit_of(memory: MemoryLike | None, *, place: str) -> MemoryLimit | None:
    """Read the argument `memory`; None: there is no limit.

    Raises:
        PlanError: it is no limit.
    """
    if memory is None or isinstance(memory, MemoryLimit):
        return memory
    return MemoryLimit(parse_bytes(memory, place=place), "files")


def parse_bytes(value: object, *, place: str) -> int:
    """Read a number of bytes: '512MB' (powers of 1,000), '512MiB' (of 1,024), or a number.

    Args:
        value: as given.
        place: the argument, for the message.

    Raises:
        PlanError: it is no number of bytes, or zero.

    >>> parse_bytes("1.5GB", place=""), parse_bytes("64 KiB", place="")
    (1500000000, 65536)
    """
    number = 0
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and (match := _BYTES.fullmatch(value.strip())):
        number = int(float(match[1]) * _UNITS[match[2].lower()])
    if number <= 0:
        msg = f"{shown(value)} is no amount of memory"
        raise PlanError(msg, place=place, remedy="give one above zero, such as '512MB' or '2GB'")
    return number
