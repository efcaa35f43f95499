"""How files become partitions: each file, each folder, or each value of a column."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from eventtime.checks import check_text
from eventtime.errors import ColumnError, SourceError
from eventtime.sources.format import Only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.datafile import DataFile

__all__ = (
    "PARTITIONS_MAX",
    "ByColumn",
    "FilePartition",
    "PartitionBy",
    "by_column",
    "by_file",
    "by_folder",
    "by_values",
    "check_partition_type",
)

PARTITIONS_MAX = 1024


@dataclass(frozen=True)
class ByColumn:
    """Each value of a column is a partition, which is its own filtered pass over the files."""

    column: str

    def __str__(self) -> str:
        """Return it as the user writes it."""
        return f"by_column({self.column!r})"


PartitionBy = Literal["file", "folder"] | ByColumn


def by_column(name: str) -> ByColumn:
    """Make each value of a column a partition, for example the device or the airport.

    Cost: one pass over that column to find the values, then one filtered pass for each of them, so
    it suits few values (at most 1,024) or files sorted by the column.

    >>> by_column("origin")
    ByColumn(column='origin')
    """
    remedy = "write by_column('origin')"
    check_text(name, what="column name", place="by_column(name)", remedy=remedy)
    return ByColumn(name)


@dataclass(frozen=True)
class FilePartition:
    """A named partition: files read one after another, perhaps only the rows with one value."""

    name: str
    files: tuple[DataFile, ...]
    only: Only | None = None


def by_file(files: Sequence[DataFile]) -> list[FilePartition]:
    """Make each file a partition, named by its path below the folder all have in common."""
    root = posixpath.commonpath([posixpath.dirname(file.path) for file in files])
    named = [FilePartition(posixpath.relpath(file.path, root or "."), (file,)) for file in files]
    return sorted(named, key=lambda partition: partition.name)


def by_folder(files: Sequence[DataFile]) -> list[FilePartition]:
    """Make each folder a partition of its files; named by its path below the common one."""
    folders: dict[str, list[DataFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        folders.setdefault(posixpath.dirname(file.path), []).append(file)
    root = posixpath.commonpath(list(folders))
    named = []
    for folder, inside in folders.items():
        name = posixpath.relpath(folder, root or ".")
        named.append(
            FilePartition(posixpath.basename(root) or name if name == "." else name, tuple(inside))
        )
    return sorted(named, key=lambda partition: partition.name)


def check_partition_type(column: str, data_type: pa.DataType) -> None:
    """Refuse columns whose values cannot name partitions.

    Raises:
        ColumnError: the column is a float or nested.
    """
    if pa.types.is_floating(data_type) or pa.types.is_nested(data_type):
        message = f"column {column!r} is {data_type}; its values cannot name partitions"
        raise ColumnError(
            message,
            place=f"by_column({column!r})",
            remedy="use a column of integers, strings or dates",
        )


def by_values(
    files: tuple[DataFile, ...], column: str, values: Sequence[pa.Scalar]
) -> list[FilePartition]:
    """Make each value a partition over all files, named ``column=value``, null ``column is null``.

    Raises:
        SourceError: there are more values than partitions may be.
    """
    if len(values) > PARTITIONS_MAX:
        message = f"column {column!r} has more than {PARTITIONS_MAX:,} different values"
        remedy = "partition by 'file' or 'folder', or write the files partitioned by this column"
        raise SourceError(message, place=f"by_column({column!r})", remedy=remedy)
    named = [
        FilePartition(_value_name(column, value), files, Only(column, value)) for value in values
    ]
    return sorted(named, key=lambda partition: partition.name)


def _value_name(column: str, value: pa.Scalar) -> str:
    if not value.is_valid:
        return f"{column} is null"
    if pa.types.is_binary(value.type) or pa.types.is_large_binary(value.type):
        return f"{column}={value.as_py().hex()}"
    return f"{column}={value.cast(pa.string()).as_py()}"
