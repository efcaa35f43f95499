"""A sink as a user would write it, over SQLite, with one fault at a time."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import FencedError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from eventtime.sinks.epochs import Delivery, Guarantee

FAULTS: Final = (
    "the marker is committed before the rows",
    "the marker is committed after the rows",
    "each batch is committed",
    "a commit does not look at the token",
    "a recovery does not look at the token",
    "a recovery does not keep the token",
    "only the last epoch is known to be committed",
    "the last epoch is not found again",
    "an epoch without rows is not marked",
    "no number may be left out",
    "an error of the rows is swallowed",
    "rows of another schema are taken",
    "all jobs have one marker",
    "null becomes empty",
)


@dataclass(frozen=True)
class ToySink:
    """Rows as JSON in a table; right if the fault is empty."""

    path: str
    fault: str = ""
    delivery: Delivery = "exactly_once"
    guarantee: Guarantee = "exactly_once"

    def open_epochs(self, schema: pa.Schema, job: str) -> ToyWriter:
        for field in schema:
            if str(field.type) not in {"int64", "string"} and field.name != "window_start":
                msg = f"no {field.type} in column {field.name!r}"
                raise SinkError(msg)
        return ToyWriter(self, schema, job)

    def describe(self) -> str:
        return "toy"

    def read(self) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.path)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'r'").fetchall()
        found = connection.execute("SELECT row FROM r").fetchall() if tables else []
        connection.close()
        return [json.loads(row) for (row,) in found]


class ToyWriter:
    def __init__(self, sink: ToySink, schema: pa.Schema, job: str) -> None:
        self._fault = sink.fault
        self._schema = schema
        self._job = "all" if self._has("all jobs have one marker") else job
        self._db = sqlite3.connect(sink.path, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS r (row)")
        self._db.execute("CREATE TABLE IF NOT EXISTS m (job PRIMARY KEY, token, epoch)")

    def _has(self, fault: str) -> bool:
        assert fault in FAULTS
        return self._fault == fault

    def _held(self) -> tuple[int, int]:
        found = self._db.execute("SELECT token, epoch FROM m WHERE job = ?", [self._job])
        token, epoch = found.fetchone() or (0, 0)
        return token, epoch

    def _mark(self, token: int, epoch: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO m VALUES (?, ?, ?)", [self._job, token, epoch])

    def recover(self, token: int) -> int:
        held, epoch = self._held()
        if token < held and not self._has("a recovery does not look at the token"):
            msg = f"{token} < {held}"
            raise FencedError(msg)
        if not self._has("a recovery does not keep the token"):
            self._mark(token, epoch)
        return 0 if self._has("the last epoch is not found again") else epoch

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._apply(epoch, batches, token)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _apply(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        held, last = self._held()
        if token < held and not self._has("a commit does not look at the token"):
            msg = f"{token} < {held}"
            raise FencedError(msg)
        if epoch == last or (
            epoch < last and not self._has("only the last epoch is known to be committed")
        ):
            return
        if self._has("no number may be left out") and epoch != last + 1:
            msg = f"epoch {epoch} after {last}"
            raise SinkError(msg)
        if self._has("the marker is committed before the rows"):
            self._mark(token, epoch)
            self._end()
        count = self._insert(batches)
        if self._has("the marker is committed after the rows"):
            self._end()
        if count or not self._has("an epoch without rows is not marked"):
            self._mark(token, epoch)

    def _end(self) -> None:
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    def _insert(self, batches: Iterable[pa.RecordBatch]) -> int:
        count = 0
        try:
            for batch in batches:
                taken = self._has("rows of another schema are taken")
                if not batch.schema.equals(self._schema) and not taken:
                    msg = f"rows of {batch.schema}"
                    raise SinkError(msg)
                lines = [(json.dumps(self._plain(row)),) for row in batch.to_pylist()]
                self._db.executemany("INSERT INTO r VALUES (?)", lines)
                count += len(lines)
                if self._has("each batch is committed"):
                    self._end()
        except Exception:
            if not self._has("an error of the rows is swallowed"):
                raise
        return count

    def _plain(self, row: dict[str, Any]) -> dict[str, Any]:
        empty = "" if self._has("null becomes empty") else None
        return {name: empty if value is None else value for name, value in row.items()} | {
            "window_start": None
        }

    def close(self) -> None:
        self._db.close()
