"""The Delta Lake sink."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pyarrow as pa

from eventtime.encodings import is_list
from eventtime.errors import SinkError
from eventtime.sinks.columns import as_stored, refused, stored
from eventtime.sinks.database import driver_missing, unlike
from eventtime.sinks.epochs import check_delivery, check_job, check_token
from eventtime.sinks.files import path_of, whole_path
from eventtime.sinks.text import check_text_types
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("DeltaEpochs", "DeltaSink", "DeltaWriter", "to_delta")

_WIDER: Final = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
}
_AS_THEY_ARE: Final = {
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_()),
    *(pa.string(), pa.binary(), pa.date32()),
}


def to_delta(
    uri: str | Path,
    *,
    storage_options: Mapping[str, str] | None = None,
    delivery: Delivery = "exactly_once",
) -> DeltaSink:
    """Append to a Delta Lake table; it is made if it is not there.

    A run appends in one commit of the table: all its rows, or none. With checkpoints each epoch is
    one commit that carries the number of the epoch as a transaction of the job (`txn` in the log of
    the table): exactly once. Two processes that commit at once cannot both succeed.

    Integers without sign become the next wider one with sign (uint64 ``decimal(20, 0)``), times µs
    in UTC; a value with nanoseconds is refused, not rounded. Columns of durations, times of day,
    nulls only or 256-bit decimals are refused.

    Not guaranteed: that a commit to a local folder survives a power cut; the library that writes
    the files does not wait for the disk. A killed process loses nothing.

    Needs the extra ``eventtime[delta]``.

    Args:
        uri: a folder, or a URI such as ``s3://bucket/hourly``.
        storage_options: for object stores, as deltalake documents them.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_delta("lake/hourly").describe()
    'Delta table lake/hourly'
    """
    check_delivery(delivery)
    return DeltaSink(path_of(uri), tuple(sorted((storage_options or {}).items())), delivery)


@dataclass(frozen=True)
class DeltaSink:
    """Rows to a Delta Lake table; made by `to_delta`."""

    path: str
    storage_options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # secrets
    delivery: Delivery = "exactly_once"
    makes_files: ClassVar[bool] = True

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        return self.delivery

    @property
    def occupies(self) -> tuple[object, ...]:
        """What no other output of the same run may have: the table."""
        return (whole_path(self.path),)

    def open(self, schema: pa.Schema) -> DeltaWriter:
        """Make the table, or compare it."""
        return DeltaWriter(_Delta(self, schema))

    def open_epochs(self, schema: pa.Schema, job: str) -> DeltaEpochs:
        """Make the table, or compare it."""
        check_job(job)
        return DeltaEpochs(_Delta(self, schema), job, self.delivery)

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"Delta table {without_secrets(self.path)}"


class _Delta:
    """One table, at the version that was seen last."""

    def __init__(self, sink: DeltaSink, schema: pa.Schema) -> None:
        try:
            import deltalake
            from deltalake import exceptions
        except ImportError as error:
            raise driver_missing(error, extra="delta", place=sink.describe()) from error
        self.place = sink.describe()
        self.schema = schema
        self._lake: Any = deltalake
        self.conflict: type[Exception] = exceptions.CommitFailedError
        # Some of what the library raises from object stores is of no class of its own.
        self._failures = (exceptions.DeltaError, OSError, ValueError, pa.ArrowException)
        self._stored = pa.schema([(each.name, _stored_type(each)) for each in schema])
        check_text_types(schema, "Delta Lake")
        options = dict(sink.storage_options) or None
        with self.naming():
            self._table = deltalake.DeltaTable.create(
                sink.path, self._stored, mode="ignore", storage_options=options
            )
        self._compare()

    def _compare(self) -> None:
        found = pa.schema(self._table.schema().to_arrow())
        there = {each.name: _plain(each.type) for each in found}
        wanted = {each.name: _plain(each.type) for each in self._stored}
        if there != wanted:
            msg = f"{self.place} has other columns: {unlike(there, wanted)}"
            remedy = "write to another table, or change this one"
            raise SinkError(msg, place=self.place, remedy=remedy)

    def version(self, app: str) -> int:
        """Last version of an application's transaction; 0 if none."""
        return int(self._table.transaction_version(app) or 0)

    def refresh(self) -> None:
        """Look at the newest version."""
        with self.naming():
            self._table.update_incremental()

    def check(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Cast rows to what the table holds.

        Raises:
            SinkError: rows of another schema, or a value that would change.
        """
        if not batch.schema.equals(self.schema):
            msg = f"rows of schema {batch.schema} for an output opened with {self.schema}"
            remedy = "cast them to the schema of the output"
            raise SinkError(msg, place=self.place, remedy=remedy)
        columns = [
            as_stored(column, each.type, each.name, "Delta Lake")
            for column, each in zip(batch.columns, self._stored, strict=True)
        ]
        return pa.record_batch(columns, schema=self._stored)

    def append(self, rows: Iterable[pa.RecordBatch], versions: Mapping[str, int]) -> None:
        """Append in one commit after the version seen last.

        It fails if another process has committed one of these applications since: the library
        compares with what it saw when the table was refreshed, so markers must be read from this
        object and no other.
        """
        transactions = [self._lake.Transaction(app, version) for app, version in versions.items()]
        self._lake.write_deltalake(
            self._table,
            pa.RecordBatchReader.from_batches(self._stored, rows),
            mode="append",
            commit_properties=self._lake.CommitProperties(app_transactions=transactions),
        )

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Turn what the library raises into an error with the table."""
        try:
            yield
        except self._failures as error:
            what = " ".join(str(error).split())
            msg = f"{self.place} did not take rows: {what}"
            remedy = "see the cause; nothing of this commit was left"
            raise SinkError(msg, place=self.place, remedy=remedy) from error


class DeltaWriter:
    """Writes the rows of one run in one commit; until then they wait in a temporary file."""

    def __init__(self, table: _Delta) -> None:
        self._table = table
        self._folder = tempfile.TemporaryDirectory(prefix="eventtime-")
        self._path = f"{self._folder.name}/rows.arrow"
        self._waiting: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        with self._table.naming():
            rows = self._table.check(batch)
            if self._waiting is None:
                self._waiting = pa.ipc.new_stream(self._path, rows.schema)
            self._waiting.write_batch(rows)

    def commit(self) -> None:
        """Append all rows."""
        if self._waiting is not None:
            with self._table.naming():
                self._waiting.close()
                with pa.memory_map(self._path) as file:
                    self._table.append(pa.ipc.open_stream(file), {})
        self.abort()

    def abort(self) -> None:
        """Forget the rows; never raises."""
        with contextlib.suppress(Exception):
            if self._waiting is not None:
                self._waiting.close()
        with contextlib.suppress(Exception):
            self._folder.cleanup()


class DeltaEpochs:
    """Appends each epoch in one commit, with its number and the token; see `EpochWriter`."""

    def __init__(self, table: _Delta, job: str, delivery: Delivery) -> None:
        self._table = table
        self._epochs = f"eventtime/{job}/epoch"
        self._tokens = f"eventtime/{job}/token"
        self._delivery = delivery

    def recover(self, token: int) -> int:
        """Claim the table and tell the last epoch committed."""
        while True:
            last = self._last(token)
            if self._applied({self._tokens: token}, []):
                return 0 if self._delivery == "at_least_once" else last

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Append rows, number and token in one commit of the table."""
        last = self._last(token)
        if epoch <= last and self._delivery != "at_least_once":
            return
        # Looked through before the library reads them: it would wrap what they raise.
        rows = [self._table.check(batch) for batch in batches]
        versions = {self._epochs: max(epoch, last), self._tokens: token}
        if not self._applied(versions, rows):
            self._last(token)
            msg = f"another process wrote epochs of this job to {self._table.place}"
            remedy = "end one of the two; this epoch can be committed again"
            raise SinkError(msg, place=self._table.place, remedy=remedy)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _last(self, token: int) -> int:
        self._table.refresh()
        check_token(self._table.version(self._tokens), token, self._table.place)
        return self._table.version(self._epochs)

    def _applied(self, versions: Mapping[str, int], rows: list[pa.RecordBatch]) -> bool:
        """Append; False if another process was faster."""
        with self._table.naming():
            try:
                self._table.append(rows, versions)
            except self._table.conflict:
                return False
        return True


def _stored_type(column: pa.Field) -> pa.DataType:
    kind = _delta_type(column.type)
    if kind is None:
        name = "Delta Lake"
        raise refused(column, name)
    return kind


def _delta_type(kind: pa.DataType) -> pa.DataType | None:
    kind = stored(kind)
    if is_list(kind):
        element = _delta_type(kind.value_type)
        return element and pa.list_(element)
    if pa.types.is_map(kind):
        keys, items = _delta_type(kind.key_type), _delta_type(kind.item_type)
        return keys and items and pa.map_(keys, items)
    if pa.types.is_struct(kind):
        kinds = [_delta_type(kind.field(i).type) for i in range(kind.num_fields)]
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return None if None in kinds or not kinds else pa.struct(zip(names, kinds, strict=True))
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if pa.types.is_decimal128(kind) and 0 <= kind.scale <= kind.precision:
        return kind
    kind = _WIDER.get(kind, kind)
    return kind if kind in _AS_THEY_ARE else None


def _plain(kind: pa.DataType) -> str:
    """Show a type without the names that elements of lists and entries of maps have."""
    if is_list(kind):
        return f"list<{_plain(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{_plain(kind.key_type)}, {_plain(kind.item_type)}>"
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return f"struct<{', '.join(f'{each.name}: {_plain(each.type)}' for each in fields)}>"
    return str(stored(kind))
