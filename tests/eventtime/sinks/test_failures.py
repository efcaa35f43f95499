"""Full disks, killed runs, interrupts: nothing half-written is left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventtime.errors import SinkError
from eventtime.sinks.base import opens, sink_for
from eventtime.sinks.csv import to_csv
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.parquet import to_parquet

if TYPE_CHECKING:
    from eventtime.sinks.files import FileSink

Tree = Callable[[Path], list[str]]
MAKERS: list[Any] = [to_parquet, to_csv, to_json_lines, to_ipc]
FORMATS = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def write(sink: FileSink, rows: pa.Table, batch_rows: int = 1_000_000) -> None:
    writer = sink.open(rows.schema)
    for batch in rows.to_batches(max_chunksize=batch_rows):
        writer.write(batch)
    writer.commit()


@FORMATS
def test_a_broken_stream_is_an_error_with_path_and_bytes(
    make: Any, tmp_path: Path, tree: Tree, results: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /dev/full takes no byte: every write to it says that the disk is full.
    opened: list[pa.NativeFile] = []

    def full(path: str, mode: str) -> pa.NativeFile:
        opened.append(real("/dev/full", mode))
        return opened[-1]

    real = pa.OSFile
    monkeypatch.setattr("eventtime.sinks.local_disk.pa.OSFile", full)
    with pytest.raises(
        SinkError, match=r"(?s)writing '.*out' failed after [\d,]+ bytes: .*No space.*free space"
    ):
        write(make(tmp_path / "out"), results)
    assert tree(tmp_path) == []
    assert all(stream.closed for stream in opened)


LIMITED = """
import resource, signal, sys
import pyarrow as pa
from eventtime.errors import SinkError
from eventtime.sinks.base import sink_for
from eventtime.sinks.{module} import {maker} as make

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
n = range(100_000)
x = [f"{{i * 7919}}" for i in n]
rows = pa.record_batch({{"window_start": pa.array(n, pa.timestamp("us")), "x": x}})
try:
    writer = make(sys.argv[1], partition_by={partition!r}).open(rows.schema)
    writer.write(rows)
    writer.commit()
except SinkError as error:
    print(error)
    sys.exit(3)
"""


@FORMATS
@pytest.mark.parametrize("partition", [None, "day"])
def test_a_real_limit_leaves_nothing_half_written(
    make: Any, partition: Any, tmp_path: Path, tree: Tree
) -> None:
    script = LIMITED.format(
        module=make.__module__.rsplit(".", 1)[1], maker=make.__name__, partition=partition
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.stderr == ""
    assert done.returncode == 3
    assert str(tmp_path / "out") in done.stdout
    assert "ulimit -f" in done.stdout
    assert tree(tmp_path) == []


KILLED = """
import os, sys
import pyarrow as pa
from eventtime.sinks.parquet import to_parquet

rows = pa.record_batch({{"window_start": pa.array(range(1000), pa.timestamp("us"))}})
writer = to_parquet(sys.argv[1], partition_by={partition!r}).open(rows.schema)
writer.write(rows)
writer.prepare()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("partition", [None, "day"])
def test_what_a_killed_run_left_is_hidden_and_taken_over(
    partition: Any, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "out"
    subprocess.run(
        [sys.executable, "-c", KILLED.format(partition=partition), str(out)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == [".out.partial"]
    rows = pa.table({"window_start": pa.array([1], pa.timestamp("us"))})
    write(to_parquet(out, partition_by=partition), rows)
    assert pq.read_table(out).num_rows == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_interrupt_while_writing_leaves_nothing(
    tmp_path: Path, tree: Tree, results: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, table: pa.Table) -> None:
        raise KeyboardInterrupt

    writer = to_csv(tmp_path / "out.csv").open(results.schema)
    monkeypatch.setattr("eventtime.sinks.lines.LinesEncoder.write", interrupted)
    writer.write(results.to_batches()[0])
    with pytest.raises(KeyboardInterrupt):
        writer.commit()
    assert tree(tmp_path) == []


def test_a_type_the_format_cannot_hold_is_refused_at_open(tmp_path: Path, tree: Tree) -> None:
    schema = pa.schema([("x", pa.dense_union([pa.field("a", pa.int64())]))])
    for name in ("a.parquet", "a.csv", "a.jsonl"):
        sink = sink_for(tmp_path / name)
        assert opens(sink)
        with pytest.raises(SinkError, match="x"):
            sink.open(schema)
    assert tree(tmp_path) == []


def test_an_encoder_that_fails_to_start_leaves_nothing(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        msg = "no"
        raise pa.ArrowInvalid(msg)

    monkeypatch.setattr("eventtime.sinks.lines.LinesFormat.encoder", broken)
    with pytest.raises(SinkError, match="failed after 0 bytes: no"):
        to_csv(tmp_path / "a.csv").open(pa.schema([("a", pa.int64())]))
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free space"),
        (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
        (OSError(errno.EIO, "Input/output error"), "see the cause"),
        (pa.ArrowInvalid("not so"), "cast the column"),
    ],
)
def test_each_cause_has_its_remedy(
    error: Exception, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, table: pa.Table) -> None:
        raise error

    monkeypatch.setattr("eventtime.sinks.lines.LinesEncoder.write", fail)
    rows = pa.table({"a": [1]})
    with pytest.raises(SinkError, match=rf"(?s)a\.csv' failed after 2 bytes.*{remedy}") as caught:
        write(to_csv(tmp_path / "a.csv"), rows)
    assert caught.value.__cause__ is error
