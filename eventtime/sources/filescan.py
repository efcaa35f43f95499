"""One partition's files as one sequence of batches with the schema the source promised."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.sources.base import MalformedRows, Rows
from eventtime.sources.datafile import DataFile, unreadable
from eventtime.sources.hive import Constants
from eventtime.sources.marks import FILE_START, Mark, Marked, Place, Placed, placed
from eventtime.sources.partitions import PARTITIONS_MAX, FilePartition
from eventtime.sources.rebatch import rebatch
from eventtime.sources.schemas import conform

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from eventtime.sources.ahead import Scan
    from eventtime.sources.format import FileFormat, Only

__all__ = (
    "FileSet",
    "distinct_values",
    "peek_first",
    "physical",
    "scan_partition",
    "with_constants",
)

FIRST_PASS_ROWS = 65_536


@dataclass(frozen=True)
class FileSet:
    """The located files of a source with the columns inside them and those in their paths."""

    format: FileFormat
    files: tuple[DataFile, ...]
    inside: pa.Schema
    in_paths: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        """All columns; what is inside a file wins over the same name in its path."""
        return pa.schema(
            [
                *self.inside,
                *(field for field in self.in_paths if field.name not in self.inside.names),
            ]
        )


def scan_partition(
    files: FileSet,
    partition: FilePartition,
    wanted: pa.Schema,
    batch_rows: int,
    *,
    keep_malformed: bool,
) -> Scan:
    """Return the scan of a partition.

    Malformed rows have no value to be partitioned by, so with `by_column` every partition meets
    them; ``keep_malformed`` is true for one of them only, so that each row counts once.
    """

    def located(begin: Place) -> Iterator[Placed]:
        file = partition.files[begin.file]
        items = (
            (mark, rows)
            for mark, rows in _scan_file(
                files, file, wanted, batch_rows, partition.only, begin.mark
            )
            if keep_malformed or not isinstance(rows, MalformedRows)
        )
        return placed(items, begin, where=file.path)

    def scan(begin: Place) -> Generator[Placed, None, None]:
        later = (Place(index) for index in range(begin.file + 1, len(partition.files)))
        items = (item for place in chain([begin], later) for item in located(place))
        yield from rebatch(items, batch_rows)

    return scan


def peek_first(scan: Scan) -> Scan:
    """Return the same rows from a scan that is closed after its first item and reopened later.

    Replay looks at the first rows of every partition before it knows whose turn it is. With
    hundreds of files, each of one month, only few are then read at a time: the others hold no file
    and no decoder until their time comes, for the price of decoding their first batch twice.
    """

    def peeked(begin: Place) -> Generator[Placed, None, None]:
        items = scan(begin)
        first = next(items, None)
        items.close()
        if first is None:
            return
        yield first
        _, behind = first
        yield from scan(behind)

    return peeked


def distinct_values(files: FileSet, column: str) -> list[pa.Scalar]:
    """Find the values of a column in one pass over it; stops above the limit of partitions."""
    data_type = files.schema.field(column).type
    value_type = data_type.value_type if pa.types.is_dictionary(data_type) else data_type
    wanted = pa.schema([(column, data_type)])
    seen = pa.array([], value_type)
    for file in files.files:
        if column not in files.inside.names:
            constant = Constants.of(file, files.in_paths).column(column, 1)
            seen = pc.unique(pa.concat_arrays([seen, constant]))
            continue
        for _, rows in _scan_file(files, file, wanted, FIRST_PASS_ROWS, None, FILE_START):
            if isinstance(rows, MalformedRows):
                continue
            values = rows.column(0).unique()
            plain_values = (
                values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
            )
            seen = pc.unique(pa.concat_arrays([seen, plain_values]))
            if len(seen) > PARTITIONS_MAX:
                return list(seen)
    # A source without any row still is one partition, which may hold malformed ones.
    return list(seen) if len(seen) else [pa.scalar(None, value_type)]


def _scan_file(
    files: FileSet,
    file: DataFile,
    wanted: pa.Schema,
    batch_rows: int,
    only: Only | None,
    start: Mark,
) -> Iterator[Marked]:
    constants = Constants.of(file, files.in_paths)
    inside_only = only if only is not None and only.column in files.inside.names else None
    if (
        only is not None
        and inside_only is None
        and not constants.scalars[only.column].equals(only.value)
    ):
        return
    names = physical(files.inside, wanted, inside_only)
    rows_before = 0
    try:
        items = files.format.scan(file, files.inside, names, batch_rows, inside_only, start)
        for mark, rows in items:
            if isinstance(rows, MalformedRows):
                yield mark, rows
                continue
            rows_before += rows.num_rows
            kept = (
                rows
                if inside_only is None
                else rows.filter(_equals(rows.column(inside_only.column), inside_only.value))
            )
            if kept.num_rows:
                yield mark, with_constants(kept, wanted, files.inside, constants)
    except (pa.ArrowException, OSError) as error:
        # Of rows before a mark nobody knows how many there were.
        known = rows_before if start == FILE_START else None
        raise unreadable(file, error, rows_before=known) from error


def physical(inside: pa.Schema, wanted: pa.Schema, only: Only | None = None) -> Sequence[str]:
    """Return the names of the columns to read inside a file."""
    names = [name for name in wanted.names if name in inside.names]
    if only is not None and only.column not in names:
        names.append(only.column)
    # Something must be read to know how many rows there are.
    return names or inside.names[:1]


def _equals(column: pa.Array, value: pa.Scalar) -> pa.Array:
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if column.type != value.type:
        column = column.cast(value.type)
    return pc.equal(column, value) if value.is_valid else pc.is_null(column)


def with_constants(
    rows: pa.RecordBatch, wanted: pa.Schema, inside: pa.Schema, constants: Constants
) -> Rows:
    """Return the columns wanted, those of the path too."""
    if all(name in inside.names for name in wanted.names):
        return conform(rows, wanted)
    columns = [
        rows.column(name) if name in inside.names else constants.column(name, rows.num_rows)
        for name in wanted.names
    ]
    return pa.RecordBatch.from_arrays(columns, schema=wanted)
