"""Checkpoints on an S3 server, a real one over HTTP, that goes away and comes back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from eventtime.errors import CheckpointError, FencedError
from eventtime.places import storage_at
from eventtime.state.checkpoints import CheckpointStore, NewBlock
from eventtime.state.saved import list_checkpoints, verify
from s3_server import BUCKET, S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.state.saved import Checkpoint
    from eventtime.state.storage import Storage


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def storage(server: S3Server) -> Iterator[Storage]:
    filesystem = server.filesystem()
    filesystem.create_dir(BUCKET)
    yield storage_at(f"{BUCKET}/daily/counts", filesystem)
    filesystem.delete_dir_contents(BUCKET)


def rows(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(numbers, pa.int64())})


def cut(store: CheckpointStore, versions: dict[int, int]) -> Checkpoint:
    parts = store.parts()
    for at, version in versions.items():
        if not parts.keep(version, at=at):
            parts.add(rows(at, version), version, at=at)
    return store.write({}, parts.blocks)


def contents(checkpoint: Checkpoint | None) -> list[list[int]]:
    assert checkpoint is not None
    return [block.batch().column(0).to_pylist() for block in checkpoint.blocks]


def test_what_was_written_is_there_for_the_next_process(storage: Storage, server: S3Server) -> None:
    store = CheckpointStore.open(storage)
    cut(store, {0: 0, 1: 0})
    cut(store, {0: 0, 1: 1})
    found = CheckpointStore.open(storage_at(server.uri("daily/counts"))).newest()
    assert contents(found) == [[0, 0], [1, 1]]
    assert found is not None
    assert {pack.name for pack in found.manifest.packs} == {"1-1", "1-2"}
    assert verify(found) == []


def test_the_newest_stay_and_nothing_else(storage: Storage) -> None:
    store = CheckpointStore.open(storage, keep=2)
    for i in range(5):
        cut(store, {0: i})
        assert store.unswept is None
    assert storage.list("packs").keys() == storage.list("manifests").keys() == {"1-4", "1-5"}
    assert len(storage.list("claims")) == 1


def test_a_newer_process_fences_the_older(storage: Storage, server: S3Server) -> None:
    old = CheckpointStore.open(storage)
    cut(old, {0: 0})
    new = CheckpointStore.open(storage_at(server.uri("daily/counts")))
    with pytest.raises(FencedError, match="its token is 2, ours 1"):
        cut(old, {0: 1})
    assert contents(cut(new, {0: 2})) == [[0, 2]]


def test_a_pack_larger_than_one_request_comes_back(storage: Storage) -> None:
    noise = os.urandom(12_000_000)
    batch = pa.record_batch({"x": [noise]})
    CheckpointStore.open(storage).write({}, [NewBlock({}, batch)])
    newest = CheckpointStore.open(storage).newest()
    assert newest is not None
    (block,) = newest.blocks
    assert block.batch()["x"][0].as_py() == noise


def test_a_write_that_is_left_half_way_publishes_nothing(storage: Storage) -> None:
    """A stream of pyarrow that is dropped is completed; what it wrote must not count."""
    store = CheckpointStore.open(storage)
    cut(store, {0: 0})

    def fail() -> pa.RecordBatch:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write({}, [NewBlock({"at": 1}, rows(1)), NewBlock({"at": 2}, fail)])
    assert [str(found.name) for found in list_checkpoints(storage)] == ["1-1"]
    assert storage.list("packs").keys() == {"1-1"}
    assert contents(cut(store, {0: 3})) == [[0, 3]]


def test_a_server_that_is_gone_is_told_and_is_no_matter_once_it_is_back(
    storage: Storage, server: S3Server
) -> None:
    store = CheckpointStore.open(storage)
    cut(store, {0: 0})
    server.stop()
    try:
        with pytest.raises(
            CheckpointError, match="cannot write the checkpoint 1-2 in 's3:jobs"
        ) as e:
            cut(store, {0: 1})
        assert "check the disk or the connection" in e.value.remedy
        with pytest.raises(CheckpointError, match="cannot claim the checkpoints"):
            CheckpointStore.open(storage)
        with pytest.raises(CheckpointError, match="cannot list the checkpoints"):
            list_checkpoints(storage)
    finally:
        server.start()
    assert contents(cut(store, {0: 2})) == [[0, 2]]
    assert [str(found.name) for found in list_checkpoints(storage)] == ["1-3", "1-1"]
