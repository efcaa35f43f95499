"""How much is on a disk while somebody works there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("bytes_in", "state_in")


def bytes_in(folder: Path) -> int:
    """Return how many bytes all files have, folders of it included."""
    return sum(map(_size, folder.rglob("*")))


def state_in(folder: Path) -> int:
    """Return how many bytes of state there are.

    RocksDB's own table of contents stays when all is gone, and a log that is not used.
    """
    kept = (path for path in folder.rglob("*") if path.suffix in {".blocks", ".blob", ".sst"})
    return sum(map(_size, kept))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # RocksDB puts files together when it likes
        return 0
