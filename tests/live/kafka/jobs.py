"""A pipeline from topic to topic, as a process runs it that may be killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import eventtime as et
from live.kafka.topics import SCHEMA

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ("Job", "run_job")


@dataclass(frozen=True)
class Job:
    """From one topic to another.

    Args:
        servers: where the broker is.
        source, target: names of the topics.
        folder: for checkpoints.
    """

    servers: str
    source: str
    target: str
    folder: str

    def run(self) -> et.Run:
        """Run it from where it is to the end of the source."""
        rows = et.read_kafka(self.source, servers=self.servers, time="t", schema=SCHEMA, end="now")
        marked = rows.watermark(et.bounded_disorder("20s")).key_by("x")
        windows = marked.window(et.tumbling("10s")).aggregate(n=et.count())
        return windows.run(
            et.to_kafka(self.target, servers=self.servers),
            checkpoint=et.checkpoints(self.folder, every=None, every_rows=2_000, keep=2),
        )


def run_job(job: Job, tell: Connection) -> None:
    """Run it in a process of its own; says when it begins and when it is done."""
    tell.send("begins")
    job.run().assert_balanced()
    tell.send("done")
