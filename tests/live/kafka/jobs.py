"""Pipelines from a topic to sinks, as a process runs them that may be killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

import eventtime as et
from live.kafka.topics import SCHEMA

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ("Job", "run_job")

_ROW: Final = pa.schema(
    [("x", pa.int64()), ("window_start", pa.timestamp("us", "UTC")), ("n", pa.int64())]
)


class _Copied(et.ProcessFunction):
    """Sends each result to the output and to a side output."""

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        ctx.emit(**row)
        ctx.side("copy", **row)


@dataclass(frozen=True)
class Job:
    """From a topic to a topic, to a table, or to both.

    Args:
        servers: where the broker is.
        source: name of the topic that is read.
        target: name of the topic that is written; '': none is.
        dsn: of the database; table: name of the one that is written; '': none is.
        folder: for checkpoints.
    """

    servers: str
    source: str
    target: str
    dsn: str
    table: str
    folder: str

    def run(self) -> et.Run:
        """Run it from where it is to the end of the source."""
        rows = et.read_kafka(self.source, servers=self.servers, time="t", schema=SCHEMA, end="now")
        marked = rows.watermark(et.bounded_disorder("20s")).key_by("x")
        counted = marked.window(et.tumbling("10s")).aggregate(n=et.count())
        results = counted.key_by("x").process(
            _Copied(), output=_ROW, sides={"copy": _ROW}, columns=_ROW.names
        )
        topic = et.to_kafka(self.target, servers=self.servers)
        table = et.to_postgres(self.dsn, table=self.table)
        checkpoint = et.checkpoints(self.folder, every=None, every_rows=2_000, keep=2)
        if self.target and self.table:
            return results.run(topic, sides={"copy": table}, checkpoint=checkpoint)
        return counted.select(*_ROW.names).run(
            topic if self.target else table, checkpoint=checkpoint
        )


def run_job(job: Job, tell: Connection) -> None:
    """Run it in a process of its own; says when it begins, and in the end its balance."""
    tell.send("begins")
    ran = job.run()
    ran.assert_balanced()
    tell.send(ran.ledger.to_dict())
