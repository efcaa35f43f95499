"""How operators hand their state over to a checkpoint or a savepoint, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

__all__ = ("CutPart", "PartWriter", "Saved", "SavedPart", "hand_over")


class PartWriter(Protocol):
    """Takes the parts of a cut."""

    is_alone: ClassVar[bool]
    """Whether what is written stands by itself: no part is ever named again."""

    def keep(self, version: int, **about: str | int) -> bool:
        """Name a part of the last checkpoint again, if it is there in this version.

        Args:
            version: differs from the last one if anything in the part changed since; what is
                compared is a checkpoint that this run wrote, or that it was restored from.
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


@dataclass(frozen=True)
class CutPart:
    """A part of the state at a cut, not copied yet.

    Args:
        about: what it is.
        version: the cut, counted from 1, that first saw it as it is now.
        copy: copies its memory while the work stands still; what it returns gives the rows, once,
            later and in any thread.
    """

    about: dict[str, str | int]
    version: int
    copy: Callable[[], Callable[[], pa.RecordBatch]]


def hand_over(parts: Iterable[CutPart], writer: PartWriter, **about: str | int) -> None:
    """Keep the parts that did not change, and copy and add the others.

    Args:
        parts: of one cut.
        writer: takes them.
        about: said of each of them.
    """
    for part in parts:
        if not writer.keep(part.version, **part.about, **about):
            writer.add(part.copy(), part.version, **part.about, **about)


class SavedPart(Protocol):
    """The rows of one part, read back."""

    @property
    def about(self) -> dict[str, Any]:
        """What the part is."""
        ...

    def batch(self) -> pa.RecordBatch:
        """Decode the rows."""
        ...


class Saved(Protocol):
    """What was saved: a pack or a checkpoint."""

    @property
    def head(self) -> dict[str, Any]:
        """What is not rows."""
        ...

    def about(self, **wanted: str | int) -> Sequence[SavedPart]:
        """Return the parts whose descriptions say this, in the order they were written."""
        ...
