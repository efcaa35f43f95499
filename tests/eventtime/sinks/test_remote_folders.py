"""Epochs as part files on file systems of pyarrow: what is there, refused, completed (S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

import eventtime as et
from crash.simulated_store import SimulatedStore
from eventtime.errors import FencedError, OutputExistsError, SinkError
from eventtime.sinks.epochs import EpochWriter, takes_epochs
from s3_server import BUCKET, S3Server

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = pa.schema([("n", pa.int64())])
OURS = "bucket/out/_eventtime"


def batch(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch([numbers], schema=SCHEMA)


@pytest.fixture
def store() -> SimulatedStore:
    return SimulatedStore()


def opened(store: SimulatedStore, job: str = "job", **options: Any) -> EpochWriter:
    sink = et.to_csv("bucket/out", parts=True, filesystem=fs.PyFileSystem(store), **options)
    assert takes_epochs(sink)
    return sink.open_epochs(SCHEMA, job)


def recovered(store: SimulatedStore, token: int = 1, last: int = 0, **options: Any) -> EpochWriter:
    writer = opened(store, **options)
    assert writer.recover(token) == last
    return writer


def parts(store: SimulatedStore) -> dict[str, bytes]:
    at = len("bucket/out/")
    return {path[at:]: data for path, data in store.files.items() if OURS not in path}


def test_an_epoch_is_a_part_beside_one_claim_and_one_record(store: SimulatedStore) -> None:
    writer = recovered(store)
    writer.commit(7, [batch(1, 2), batch(3)], 1)
    writer.commit(8, [], 1)
    writer.commit(12, [batch(4)], 1)
    writer.close()
    recovered(store, token=2, last=12)
    assert parts(store) == {
        "part-00000007-0.csv": b"n\n1\n2\n3\n",
        "part-00000012-0.csv": b"n\n4\n",
    }
    assert [path.split("/")[3] for path in sorted(store.files) if OURS in path] == [
        "claims",
        "epochs",
    ]


def fails_once(store: SimulatedStore, call: str, path: str) -> None:
    """Let one request fail."""

    def before(name: str, at: Any) -> None:
        if name == call and path in str(at):
            store.before = lambda *_: None
            raise OSError(5, "out of order")

    store.before = before


@pytest.mark.parametrize(
    ("call", "path"),
    [("copy", ".part-"), ("delete", ".part-"), ("copy", "epochs/"), ("put", "epochs/")],
)
def test_what_a_failed_request_left_undone_is_done_when_the_epoch_is_tried_again(
    call: str, path: str, store: SimulatedStore
) -> None:
    writer = recovered(store)
    writer.commit(1, [batch(1)], 1)
    fails_once(store, call, path)
    with pytest.raises(SinkError, match="out of order"):
        writer.commit(2, [batch(2)], 1)
    writer.commit(2, [batch(2)], 1)
    assert parts(store) == {
        "part-00000001-0.csv": b"n\n1\n",
        "part-00000002-0.csv": b"n\n2\n",
    }


def test_a_part_that_is_lost_is_not_passed_over(store: SimulatedStore) -> None:
    recovered(store).commit(1, [batch(1)], 1)
    del store.files["bucket/out/part-00000001-0.csv"]
    with pytest.raises(SinkError, match="does not exist"):
        opened(store).recover(2)


def test_a_folder_of_another_job_is_refused_or_replaced(store: SimulatedStore) -> None:
    old = recovered(store, token=9)
    old.commit(1, [batch(1)], 9)
    with pytest.raises(OutputExistsError, match="exists already"):
        opened(store, job="another")
    new = recovered(store, job="another", overwrite=True)
    assert parts(store) == {}
    new.commit(1, [batch(2)], 1)
    with pytest.raises(FencedError, match="no longer an output of this job"):
        old.commit(2, [batch(3)], 9)
    # The same job goes on, whatever `overwrite` says.
    recovered(store, token=2, last=1, job="another", overwrite=True)
    assert parts(store) == {"part-00000001-0.csv": b"n\n2\n"}


def test_replacing_another_job_is_completed_by_the_next_process(store: SimulatedStore) -> None:
    old = recovered(store)
    for epoch in (1, 2):
        old.commit(epoch, [batch(epoch)], 1)
    writer = opened(store, job="another", overwrite=True)
    fails_once(store, "delete", "part-00000002")
    with pytest.raises(SinkError, match="out of order"):
        writer.recover(1)
    assert parts(store) != {}
    recovered(store, token=2, job="another", overwrite=True)
    assert parts(store) == {}


def test_a_run_without_epochs_replaces_the_folder_and_fences_its_job(store: SimulatedStore) -> None:
    old = recovered(store)
    old.commit(1, [batch(1)], 1)
    sink = et.to_csv(
        "bucket/out", parts=True, overwrite=True, filesystem=fs.PyFileSystem(store)
    ).open(SCHEMA)
    sink.write(batch(2))
    sink.commit()
    assert parts(store) == {"part-0.csv": b"n\n2\n"}
    with pytest.raises(FencedError, match="no longer an output of this job"):
        old.commit(2, [batch(3)], 1)


def test_what_is_no_place_for_parts_is_refused(store: SimulatedStore) -> None:
    store.files["bucket/out"] = b""
    with pytest.raises(SinkError, match="is a file; part files need a folder"):
        opened(store)
    del store.files["bucket/out"]
    store.files["bucket/out/letters.txt"] = b"dear"
    with pytest.raises(SinkError, match=r"letters\.txt"):
        opened(store, overwrite=True)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"epoch": 1}'])
def test_a_record_that_says_nothing_is_refused(text: bytes, store: SimulatedStore) -> None:
    recovered(store)
    (record,) = [path for path in store.files if f"{OURS}/epochs/" in path]
    store.files[record] = text
    with pytest.raises(SinkError, match="does not say which epochs are committed"):
        opened(store)


class KilledError(BaseException):
    """What a process that is killed sees last."""


def test_a_run_and_its_checkpoints_live_in_one_bucket(s3: S3Server) -> None:
    """Killed again and again, each row is there once."""
    n = 2_000
    times: list[int | None] = [i * 1_000 if i % 400 else None for i in range(n)]
    rows = pa.table({"t": pa.array(times, pa.timestamp("ms")), "k": [i % 3 for i in range(n)]})
    marked = et.from_arrow(rows, time="t").watermark(et.ascending())
    stream = marked.key_by("k").window(et.tumbling("10s")).aggregate(n=et.count())
    sink = et.to_parquet(s3.uri("run/out"), parts=True)
    sides = {"quarantine": et.to_csv(s3.uri("run/aside.csv"))}
    checkpoints = et.checkpoints(s3.uri("run/state"), every=None, every_rows=1)

    def dies_at(step: int) -> Callable[[et.ProgressReport], None]:
        left = [step]

        def watch(report: et.ProgressReport) -> None:
            left[0] -= 1
            if not left[0]:
                raise KilledError

        return watch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventtime.replay.CHUNK_ROWS", 256)
        for step in (3, 2, 4):
            with pytest.raises(KilledError):
                stream.run(sink, sides=sides, checkpoint=checkpoints, progress=dies_at(step))
        for _ in range(2):
            assert stream.run(sink, sides=sides, checkpoint=checkpoints).is_finished
    filesystem = s3.filesystem()
    with filesystem.open_input_file(f"{BUCKET}/run/aside.csv") as file:
        assert file.read().count(b"null_time") == 5
    found = filesystem.get_file_info(fs.FileSelector(f"{BUCKET}/run/out"))
    files = sorted(it.path for it in found if it.is_file)
    assert len(files) > 5
    tables = [pq.read_table(file, filesystem=filesystem) for file in files]
    assert pa.concat_tables(tables).equals(stream.run().table())
