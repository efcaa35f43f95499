"""Quix Streams over the topics of `benchmarks.kafka`, in an environment of its own.

It asks for another version of the client of Kafka than ours, so that both are not to be had in one:
``python -m venv quix && quix/bin/pip install quixstreams``. Nothing of ours is imported here.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import datetime
from typing import Any


def read(servers: str, topic: str, rows: int) -> int:
    """Count rows of one-second windows by the key of the message, until all were processed.

    Windows are final, and lateness is a second, as with the others; state is in RocksDB, as it has
    none other, without the changelog topic that makes it durable.
    """
    from quixstreams import Application  # type: ignore[import-not-found]

    seen = 0

    def processed(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == rows:
            app.stop()

    def time_of(value: Any, *_: Any) -> int:
        return round(datetime.fromisoformat(value["time"]).timestamp() * 1e3)

    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            servers,
            consumer_group=f"{topic}-{os.getpid()}",
            auto_offset_reset="earliest",
            state_dir=folder,
            use_changelog_topics=False,
            loglevel="ERROR",
            on_message_processed=processed,
        )
        messages = app.topic(topic, timestamp_extractor=time_of)
        window = app.dataframe(messages).tumbling_window(1_000, grace_ms=1_000)
        window.count().final()
        app.run()
    return seen


def main() -> None:
    """Read few rows, then all; prints what was measured."""
    servers, few, few_rows, topic, rows = sys.argv[1:]
    read(servers, few, int(few_rows))
    began = time.perf_counter()
    counted = read(servers, topic, int(rows))
    seconds = time.perf_counter() - began
    assert counted == int(rows)
    print(json.dumps({"rows": counted, "seconds": seconds, "rows_per_s": counted / seconds}))


if __name__ == "__main__":
    main()
