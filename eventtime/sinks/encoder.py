"""What a file format is to the writers: a frozen description that starts an encoder on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ("Encoder", "FileFormat")


class Encoder(Protocol):
    """Writes tables to one open stream in one format."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        ...

    def close(self) -> None:
        """Write the end of the format; the stream stays open."""
        ...

    def forget(self) -> None:
        """Give up without writing anything more; never raises."""
        ...


class FileFormat(Protocol):
    """A frozen description of a file format."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def suffix(self) -> str:
        """Of the files in a folder, with the dot."""
        ...

    @property
    def rows_max(self) -> int:
        """Rows written at once."""
        ...

    @property
    def bytes_max(self) -> int:
        """Bytes written at once, about."""
        ...

    def check(self, schema: pa.Schema) -> None:
        """Refuse a schema the format cannot hold."""
        ...

    def encoder(self, stream: pa.NativeFile, schema: pa.Schema) -> Encoder:
        """Start a file."""
        ...
