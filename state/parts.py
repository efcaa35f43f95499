"""How operators hand their state over to a checkpoint or a savepoint, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

__all__ = ("PartWriter",)


class PartWriter(Protocol):
    """Takes the parts of a cut."""

    def keep(self, version: int, **about: str | int) -> bool:
        """Name a part of the last checkpoint again, if it is there in this version.

        Args:
            version: differs from the last one if anything in the part changed since.
            about: what the part is; the same words name the same part in every checkpoint.

        Returns:
            Whether that was done; otherwise `add` the part.
        """
        ...

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        """Write a part.

        Args:
            rows: its rows; as a function it may be called later, in another thread, and reads
                memory that is written to no more.
            version: as for `keep`; None: a part that is never kept.
            about: what it is.
        """
        ...
