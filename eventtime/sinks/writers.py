"""Writing one output in any format: gather, encode, publish; on an error leave nothing behind."""

from __future__ import annotations

import abc
import contextlib
import errno
import posixpath
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Literal, Protocol

import pyarrow as pa

from eventtime.errors import SinkError
from eventtime.sinks.gather import Gather

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.sinks.encoder import FileFormat
    from eventtime.sinks.staging import Staging

__all__ = ("FileWriter", "FolderWriter", "PartFile", "Splitter", "Undivided")

OPEN_PARTS_MAX: Final = 64
"""Files of a partitioned output open at once."""
FOLDER_BYTES_MAX: Final = 128 << 20
"""Bytes of rows that wait in memory for the file of their day, hour or month, over all of them."""


class Splitter(Protocol):
    """Says which folder within the output rows belong to."""

    @property
    def no_time_folder(self) -> str:
        """Folder of rows that say nothing of the type of the folders' column."""
        ...

    @property
    def epoch_folder(self) -> str:
        """Folder of the empty part that an output without rows gets."""
        ...

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (folder, rows)."""
        ...


class Undivided:
    """All rows belong to the output's own folder."""

    no_time_folder = "none"
    epoch_folder = ""

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield the rows as they are."""
        if batch.num_rows:
            yield "", batch


class PartFile:
    """One open file of an output: stream and encoder, closed or forgotten together."""

    def __init__(
        self, staging: Staging, name: str, file_format: FileFormat, schema: pa.Schema
    ) -> None:
        self._staging = staging
        self._name = name
        self._stream = staging.stream(name)
        try:
            self._encoder = file_format.encoder(self._stream, schema)
        except BaseException:
            self._stream.close()
            raise

    @property
    def bytes(self) -> int:
        """Bytes handed to the file system."""
        return 0 if self._stream.closed else int(self._stream.tell())

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._encoder.write(table)

    def close(self) -> int:
        """Finish the file and make it durable; returns its bytes."""
        self._encoder.close()
        size = self.bytes
        self._stream.close()
        self._staging.settle(self._name)
        return size

    def forget(self) -> None:
        """Close without finishing; never raises."""
        self._encoder.forget()
        with contextlib.suppress(Exception):
            self._stream.close()


class _Writer(abc.ABC):
    """What both writers share: the order of states, and nothing left behind on an error.

    States: open → prepared → committed, or aborted from the first two. An error anywhere aborts.
    """

    def __init__(self, staging: Staging, file_format: FileFormat, schema: pa.Schema) -> None:
        self._staging = staging
        self._format = file_format
        self._schema = schema
        self._state: Literal["open", "prepared", "committed", "aborted"] = "open"
        self._bytes_closed = 0

    @property
    def bytes_written(self) -> int:
        """Bytes handed to the file system so far, over all files."""
        return self._bytes_closed + sum(part.bytes for part in self._parts())

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows.

        Raises:
            SinkError: disk full and the like; nothing of the output is left then.
        """
        if self._state != "open":
            msg = f"{self._staging.target!r} is {self._state}; no rows can follow"
            raise SinkError(msg, place=self._staging.target, remedy="open the sink again")
        if not batch.schema.equals(self._schema):
            msg = (
                f"rows of schema [{_line(batch.schema)}] "
                f"for an output opened with [{_line(self._schema)}]"
            )
            self.abort()
            raise SinkError(
                msg, place=self._staging.target, remedy="cast them to the schema of the output"
            )
        with self._guard():
            self._take(batch)

    def prepare(self) -> None:
        """Write out everything and make it durable under the hidden name."""
        if self._state == "open":
            with self._guard():
                self._finish()
                self._state = "prepared"

    def commit(self) -> None:
        """Publish under the final name.

        Raises:
            SinkError: disk full and the like, or the output was aborted; nothing is left then.
            OutputExistsError: somebody else made the output meanwhile.
        """
        self.prepare()
        if self._state == "aborted":
            msg = f"{self._staging.target!r} was aborted and cannot be committed"
            raise SinkError(msg, place=self._staging.target, remedy="run again")
        if self._state == "prepared":
            with self._guard():
                self._staging.publish()
            self._state = "committed"

    def abort(self) -> None:
        """Leave nothing behind; never raises."""
        if self._state in {"open", "prepared"}:
            self._state = "aborted"
            for part in self._parts():
                part.forget()
            self._drop()
            self._staging.discard()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            with _naming(self._staging.target, self):
                yield
        except BaseException:
            self.abort()
            raise

    @abc.abstractmethod
    def _take(self, batch: pa.RecordBatch) -> None:
        """Take rows that were checked."""

    @abc.abstractmethod
    def _finish(self) -> None:
        """Write out and close every file."""

    @abc.abstractmethod
    def _parts(self) -> list[PartFile]:
        """All open files."""

    @abc.abstractmethod
    def _drop(self) -> None:
        """Forget files and rows."""


class FileWriter(_Writer):
    """Writes one file.

    Memory: the rows of one table of the format (`rows_max`, `bytes_max`) and its encoding.
    """

    def __init__(self, staging: Staging, file_format: FileFormat, schema: pa.Schema) -> None:
        super().__init__(staging, file_format, schema)
        self._gather = Gather(
            schema, rows_max=file_format.rows_max, bytes_max=file_format.bytes_max
        )
        self._part: PartFile | None = None
        # The file starts at once: what is wrong with the place shows before anything is computed.
        with self._guard():
            self._part = PartFile(staging, "", file_format, schema)

    def _take(self, batch: pa.RecordBatch) -> None:
        self._gather.add(batch)
        while self._gather.full:
            self._flush()

    def _flush(self) -> None:
        assert self._part is not None
        self._part.write(self._gather.take())

    def _finish(self) -> None:
        assert self._part is not None
        while self._gather.rows:
            self._flush()
        self._bytes_closed = self._part.close()
        self._part = None

    def _parts(self) -> list[PartFile]:
        return [] if self._part is None else [self._part]

    def _drop(self) -> None:
        self._part = None


class FolderWriter(_Writer):
    """Writes a folder for each day (hour, month), with one file or several in it.

    Rows wait in memory by day. A day is written when it has a whole table, or when all days
    together wait with more than `FOLDER_BYTES_MAX`: then the one with most. At most
    `OPEN_PARTS_MAX` files are open; the one longest not written is closed, and its day, should it
    come back, gets another part.

    Within a day rows keep their order: within a part, and from one part to the next.

    Args:
        staging: of the folder.
        file_format: of every part.
        schema: of all rows.
        splitter: says which folder rows belong to.
        part: how the names of parts begin.
        at_least_one: write a part without rows if there would be none to read the schema from.
    """

    def __init__(
        self,
        staging: Staging,
        file_format: FileFormat,
        schema: pa.Schema,
        splitter: Splitter,
        *,
        part: str = "part-",
        at_least_one: bool = True,
    ) -> None:
        super().__init__(staging, file_format, schema)
        self._part_name = part
        self._at_least_one = at_least_one
        self._splitter = splitter
        self._waiting: dict[str, Gather] = {}
        self._waiting_bytes = 0
        self._open: OrderedDict[str, PartFile] = OrderedDict()
        self._parts_made: dict[str, int] = {}

    def _take(self, batch: pa.RecordBatch) -> None:
        for folder, rows in self._splitter.split(batch):
            gather = self._waiting.get(folder)
            if gather is None:
                gather = self._waiting[folder] = Gather(
                    self._schema, rows_max=self._format.rows_max, bytes_max=self._format.bytes_max
                )
            before = gather.bytes
            gather.add(rows)
            self._waiting_bytes += gather.bytes - before
            while gather.full:
                self._flush(folder)
        while self._waiting_bytes > FOLDER_BYTES_MAX:
            self._flush(max(self._waiting, key=lambda name: self._waiting[name].bytes))

    def _flush(self, folder: str) -> None:
        gather = self._waiting[folder]
        before = gather.bytes
        part = self._part(folder)
        part.write(gather.take())
        self._waiting_bytes -= before - gather.bytes
        if not gather.rows:
            del self._waiting[folder]

    def _part(self, folder: str) -> PartFile:
        part = self._open.get(folder)
        if part is not None:
            self._open.move_to_end(folder)
            return part
        while len(self._open) >= OPEN_PARTS_MAX:
            self._close(next(iter(self._open)))
        number = self._parts_made.get(folder, 0)
        self._parts_made[folder] = number + 1
        name = posixpath.join(folder, f"{self._part_name}{number}{self._format.suffix}")
        part = self._open[folder] = PartFile(self._staging, name, self._format, self._schema)
        return part

    def _close(self, folder: str) -> None:
        # Closed before it is forgotten: if closing fails, abort still finds it.
        self._bytes_closed += self._open[folder].close()
        del self._open[folder]

    def _finish(self) -> None:
        for folder in list(self._waiting):
            while folder in self._waiting:
                self._flush(folder)
        if self._at_least_one and not self._parts_made.keys() - {self._splitter.no_time_folder}:
            # Without a day readers find no schema, or no type of the day: an empty part gives both.
            self._part(self._splitter.epoch_folder)
        for folder in list(self._open):
            self._close(folder)

    def _parts(self) -> list[PartFile]:
        return list(self._open.values())

    def _drop(self) -> None:
        self._open.clear()
        self._waiting.clear()


@contextlib.contextmanager
def _naming(target: str, writer: _Writer) -> Iterator[None]:
    """Turn what pyarrow and the system raise into an error with the output and its bytes."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        number = getattr(error, "errno", None)
        what = " ".join(str(error).split())
        remedy = "see the cause; nothing half-written was left"
        if number in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "free space or write elsewhere; nothing half-written was left"
        elif number == errno.EFBIG:
            remedy = "raise the limit on file size (ulimit -f); nothing half-written was left"
        elif isinstance(error, pa.ArrowException):
            remedy = "cast the column to a type the format can hold; nothing half-written was left"
        msg = f"writing {target!r} failed after {writer.bytes_written:,} bytes: {what}"
        raise SinkError(msg, place=target, remedy=remedy) from error


def _line(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)
