"""Sources whose columns are those of what is there when a run begins: files, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing import Self

    import pyarrow as pa

__all__ = ("Inferred", "Inferring")


class Inferred(NamedTuple):
    """Columns as a source found them.

    Args:
        inside: of its rows.
        in_paths: of its files by their paths.
    """

    inside: pa.Schema
    in_paths: pa.Schema


@runtime_checkable
class Inferring(Protocol):
    """A source that may show other columns when it is asked again.

    A run that goes on gives it those that the run began with (S29): what came since has them too,
    or does not parse, as while the run lasted.
    """

    def inferred(self) -> Inferred | None:
        """Return the columns that it found; None: all of them were given."""
        ...

    def as_inferred(self, columns: Inferred) -> Self:
        """Return the source with columns that were found before; what is given is put over them."""
        ...
