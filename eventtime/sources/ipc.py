"""Arrow IPC files and streams; local ones are mapped, not read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.datafile import DataFile, each_file, require_tail, unreadable
from eventtime.sources.marks import Mark, check_total
from eventtime.sources.schemas import check_same, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.sources.format import Only
    from eventtime.sources.marks import Marked

__all__ = ("IpcFormat",)

MAGIC = b"ARROW1"


@dataclass(frozen=True)
class IpcFormat:
    """Arrow IPC, file format (Feather 2) or stream format; told apart by the first bytes."""

    name: str = "arrow ipc"
    suffixes: tuple[str, ...] = (".arrow", ".ipc", ".feather", ".arrows")

    def schema(self, files: Sequence[DataFile]) -> pa.Schema:
        """Compare the schemas of all files."""
        schemas = each_file(_schema, files)
        return check_same([(file.path, s) for file, s in zip(files, schemas, strict=True)])

    def untimed(self, files: Sequence[DataFile]) -> None:
        """Return None: files say the types of columns without values too."""
        del files

    def rows(self, files: Sequence[DataFile]) -> int | None:
        """Add up the footers; None if a file is a stream."""
        counts = [_rows(file) for file in files]
        return None if None in counts else sum(count for count in counts if count is not None)

    def scan(
        self,
        file: DataFile,
        schema: pa.Schema,
        columns: Sequence[str],
        batch_rows: int,
        only: Only | None,
        start: Mark,
    ) -> Iterator[Marked]:
        """Hand over the batches as written; the caller slices large ones without copying."""
        del schema, batch_rows, only
        with _reader(file, columns) as reader:
            if isinstance(reader, pa.ipc.RecordBatchFileReader):
                total = reader.num_record_batches
                check_total(start, total, "batches", where=file.path)
                for index in range(start.offset, total):
                    yield Mark(index, total=total), reader.get_batch(index)
            else:
                for index, rows in enumerate(reader):
                    if index >= start.offset:
                        yield Mark(index), rows


@contextmanager
def _reader(
    file: DataFile, columns: Sequence[str] | None
) -> Iterator[pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader]:
    file.require_bytes()
    with pa.memory_map(file.path) if file.is_local else file.open() as handle:
        is_file = handle.read_at(len(MAGIC), 0) == MAGIC
        opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
        try:
            reader = opened(handle)
            if columns is not None:
                fields = [reader.schema.get_field_index(name) for name in columns]
                handle.seek(0)
                reader = opened(handle, options=pa.ipc.IpcReadOptions(included_fields=fields))
        except (pa.ArrowException, OSError) as error:
            raise _not_ipc(
                file, error, handle.read_at(len(MAGIC), max(0, file.size - 6)), is_file=is_file
            ) from error
        yield reader


def _not_ipc(file: DataFile, error: Exception, tail: bytes, *, is_file: bool) -> SourceError:
    reason = " ".join(str(error).split())
    if not is_file:
        message = f"this is neither an Arrow IPC file nor an Arrow IPC stream: {reason}"
        return SourceError(message, place=file.path, remedy="read it with the reader of its format")
    require_tail(file, tail, MAGIC, "Arrow IPC")
    return unreadable(file, error)


def _schema(file: DataFile) -> pa.Schema:
    try:
        with _reader(file, None) as reader:
            return plain(reader.schema)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from error


def _rows(file: DataFile) -> int | None:
    with _reader(file, None) as reader:
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            return int(reader.count_rows())
        return None
