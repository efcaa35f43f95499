"""Standard output: whole lines as they come, and again after a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.sinks.stdout import StdoutSink

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = pa.schema([("x", pa.int64()), ("s", pa.string())])
PIPELINE = """
import pyarrow as pa
import eventtime as et

rows = pa.record_batch({"t": pa.array(range(25))})
stream = et.from_arrow(rows, time="t", time_unit="s").watermark(et.ascending())
counts = stream.window(et.tumbling("10s")).aggregate(n=et.count())
counts.run(et.to_stdout())
"""


def test_a_pipeline_prints_its_results() -> None:
    """S9: whole lines that parse, nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", PIPELINE], capture_output=True, check=False, timeout=120
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["n"] for line in lines] == [10, 10, 5], done.stderr.decode()


def test_epochs_are_written_as_they_are_given(tmp_path: Path) -> None:
    """At least once: one that comes again is written again."""
    descriptor = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY)
    writer = StdoutSink(descriptor).open_epochs(SCHEMA, "job")
    assert writer.recover(7) == 0
    batch = pa.record_batch([[1, None], ['a"\n', None]], schema=SCHEMA)
    for _ in range(2):
        writer.commit(1, [batch, batch.slice(0, 0)], 7)
    writer.close()
    os.close(descriptor)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert lines == [{"x": 1, "s": 'a"\n'}, {"x": None, "s": None}] * 2


def test_a_pipe_that_nobody_reads_is_a_clear_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    rows = pa.record_batch([[1], ["a"]], schema=SCHEMA)
    with pytest.raises(et.SinkError, match="takes no more rows: Broken pipe"):
        StdoutSink(writer).open(SCHEMA).write(rows)
    os.close(writer)
