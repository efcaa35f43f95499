"""Checkpoints: what was written comes back, unchanged blocks once, the newest few stay (S27)."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from eventtime.clock import ManualClock
from eventtime.errors import CheckpointError, FencedError, PlanError
from eventtime.state.checkpoints import CheckpointStore, KeptBlock, NewBlock
from eventtime.state.manifest import Name
from eventtime.state.saved import list_checkpoints, read_checkpoint, verify
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.state.saved import Checkpoint


def rows(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(numbers, pa.int64())})


def contents(checkpoint: Checkpoint | None) -> dict[Any, list[int]]:
    assert checkpoint is not None
    return {
        block.entry.about["at"]: block.batch().column(0).to_pylist() for block in checkpoint.blocks
    }


def cut(store: CheckpointStore, /, versions: dict[int, int], **head: Any) -> Checkpoint:
    """Write a checkpoint: of each part its version, which is also what is in it."""
    parts = store.parts()
    for at, version in versions.items():
        if not parts.keep(version, kind="part", at=at):
            parts.add(partial(rows, at, version), version, kind="part", at=at)
    return store.write(head, parts.blocks)


def files(folder: Path) -> dict[str, list[str]]:
    found = {name: sorted(os.listdir(folder / name)) for name in os.listdir(folder)}
    return {name: there for name, there in sorted(found.items()) if name != "claims"}


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "checkpoints"))


def test_what_was_written_is_there_for_the_next_process(storage: LocalStorage) -> None:
    first = CheckpointStore.open(storage)
    assert first.newest() is None
    written = cut(first, {1: 0, 2: 7}, position={"a": 2**63 - 1})
    next_one = CheckpointStore.open(storage)
    newest = next_one.newest()
    assert newest is not None
    assert newest.head == written.head == {"position": {"a": 2**63 - 1}}
    assert contents(newest) == contents(written) == {1: [1, 0], 2: [2, 7]}
    assert [block.about for block in newest.about(at=2)] == [{"kind": "part", "at": 2, "rows": 2}]
    assert (newest.token, newest.seq, next_one.token) == (1, 1, 2)
    assert [found.name for found in list_checkpoints(storage)] == [Name(1, 1)]
    assert verify(newest) == []


def test_a_part_in_the_same_version_is_named_and_not_written_again(
    storage: LocalStorage, tmp_path: Path
) -> None:
    store = CheckpointStore.open(storage)
    cut(store, dict.fromkeys(range(10), 0))
    before = sum(pack.length for pack in cut(store, dict.fromkeys(range(10), 0)).manifest.packs)
    assert files(tmp_path / "checkpoints")["packs"] == ["1-1"]
    again = CheckpointStore.open(storage)
    written = cut(again, {at: int(at == 4) for at in range(10)})
    assert contents(written) == {at: [at, int(at == 4)] for at in range(10)}
    packs = {pack.name: pack.length for pack in written.manifest.packs}
    assert packs.keys() == {"1-1", "2-3"}
    assert packs["2-3"] < before / 5


def test_a_part_without_a_version_is_never_kept(storage: LocalStorage) -> None:
    store = CheckpointStore.open(storage)
    store.write({}, [NewBlock({"kind": "part", "at": 1}, rows(1))])
    assert not store.parts().keep(0, kind="part", at=1)


def test_a_block_of_another_checkpoint_cannot_be_kept(storage: LocalStorage) -> None:
    store = CheckpointStore.open(storage, keep=1)
    old = cut(store, {1: 0})
    cut(store, {1: 1})
    with pytest.raises(ValueError, match="is not one of the last checkpoint"):
        store.write({}, [KeptBlock(old.entries[0])])
    assert contents(cut(store, {1: 1})) == {1: [1, 1]}


def test_the_newest_stay_and_nothing_else(storage: LocalStorage, tmp_path: Path) -> None:
    store = CheckpointStore.open(storage, keep=2)
    for i in range(5):
        cut(store, {0: 0, 1: i})
    # The first pack holds what part 0 still is.
    there = {"manifests": ["1-4", "1-5"], "packs": ["1-1", "1-4", "1-5"]}
    assert files(tmp_path / "checkpoints") == there
    assert len(os.listdir(tmp_path / "checkpoints" / "claims")) == 1
    assert [contents(found.checkpoint) for found in list_checkpoints(storage)] == [
        {0: [0, 0], 1: [1, 4]},
        {0: [0, 0], 1: [1, 3]},
    ]


def test_a_pack_that_is_mostly_dead_is_emptied(storage: LocalStorage, tmp_path: Path) -> None:
    store = CheckpointStore.open(storage, keep=1)
    cut(store, dict.fromkeys(range(10), 0))
    for i in range(1, 5):  # half of it is dead, and no more
        cut(store, {at: i if at < 5 else 0 for at in range(10)})
    assert files(tmp_path / "checkpoints")["packs"] == ["1-1", "1-5"]
    last = cut(store, {at: 6 if at < 6 else 0 for at in range(10)})
    assert contents(last) == {at: [at, 6 if at < 6 else 0] for at in range(10)}
    assert files(tmp_path / "checkpoints")["packs"] == ["1-6"]
    assert store.parts().keep(0, kind="part", at=9)


def test_moving_is_bounded_by_what_is_new(storage: LocalStorage) -> None:
    noise = [os.urandom(400_000) for _ in range(12)]
    store = CheckpointStore.open(storage, keep=1)

    def write(changed: int, version: int) -> Checkpoint:
        parts = store.parts()
        for at, value in enumerate(noise):
            now = version if at < changed else 0
            if not parts.keep(now, at=at):
                parts.add(pa.record_batch({"x": [value]}), now, at=at)
        return store.write({}, parts.blocks)

    write(0, 0)
    written = write(7, 1)  # of 12, so 5 are left; 7 may move
    assert [pack.name for pack in written.manifest.packs] == ["1-2"]
    write(7, 2)  # the 5 are less than half of that pack
    last = write(8, 3)
    assert sum(pack.length for pack in last.manifest.packs) < 13 * 400_000
    assert [block.batch()["x"][0].as_py() for block in last.blocks] == noise


def test_a_newer_process_fences_the_older(storage: LocalStorage, tmp_path: Path) -> None:
    old = CheckpointStore.open(storage, writer="the old one")
    cut(old, {1: 1})
    new = CheckpointStore.open(storage, writer="the new one")
    before = files(tmp_path / "checkpoints")
    with pytest.raises(FencedError, match=r"another process \(the new one\) has taken over") as e:
        cut(old, {1: 2})
    assert "its token is 2, ours 1" in str(e.value)
    assert files(tmp_path / "checkpoints") == before
    assert contents(cut(new, {1: 3})) == {1: [1, 3]}


def test_a_manifest_says_what_led_to_it(storage: LocalStorage) -> None:
    store = CheckpointStore.open(storage, clock=ManualClock(5), writer="eventtime 9.9 on here")
    cut(store, {1: 1})
    second = read_checkpoint(storage, cut(store, {1: 1}).name).manifest
    assert (second.parent, second.created_at_us) == (Name(1, 1), 5)
    assert second.writer == "eventtime 9.9 on here"


def test_going_back_is_said(storage: LocalStorage) -> None:
    store = CheckpointStore.open(storage)
    for i in range(3):
        cut(store, {1: i, 2: 0})
    back = CheckpointStore.open(storage, at=2)
    assert contents(back.newest()) == {1: [1, 1], 2: [2, 0]}
    # What lies in older packs may be swept by a process that has not noticed yet.
    assert not back.parts().keep(0, kind="part", at=2)
    assert cut(back, {1: 9}).name == Name(2, 4)
    with pytest.raises(CheckpointError, match="holds no checkpoint at=7; there are: 2, 3, 4") as e:
        CheckpointStore.open(storage, at=7)
    assert "name one" in e.value.remedy


@pytest.mark.parametrize("keep", [0, -1, 1.5, None])
def test_at_least_one_is_kept(storage: LocalStorage, keep: Any) -> None:
    with pytest.raises(PlanError, match=r"a whole number of checkpoints"):
        CheckpointStore.open(storage, keep=keep)
