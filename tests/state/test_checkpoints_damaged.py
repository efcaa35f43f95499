"""Damaged checkpoints: refused with what is wrong, where, and a way out; never passed over."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from eventtime.errors import CheckpointError
from eventtime.state.checkpoints import CheckpointStore, NewBlock
from eventtime.state.manifest import MAJOR, Name, read_manifest
from eventtime.state.saved import list_checkpoints, newest_checkpoint, read_checkpoint, verify
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.state.saved import Checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three checkpoints, of numbers 1, 2 and 3."""
    store = CheckpointStore.open(storage_of(tmp_path))
    for i in (1, 2, 3):
        blocks = [NewBlock({"at": at}, rows(i, at)) for at in range(2)]
        store.write({"n": i}, blocks)
    return tmp_path


def storage_of(folder: Path) -> LocalStorage:
    return LocalStorage(str(folder))


def rows(*numbers: int) -> pa.RecordBatch:
    return pa.record_batch({"n": pa.array(numbers, pa.int64())})


def read_all(folder: Path, **options: Any) -> list[list[int]]:
    """What the next process finds."""
    newest = CheckpointStore.open(storage_of(folder), **options).newest()
    assert newest is not None
    return contents(newest)


def contents(checkpoint: Checkpoint) -> list[list[int]]:
    return [block.batch().column(0).to_pylist() for block in checkpoint.blocks]


def refused(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_all(folder)
    return caught.value


def sealed(fields: dict[str, Any]) -> bytes:
    """A manifest whose digest is right."""
    text = json.dumps(fields).encode() + b"\n"
    return text + hashlib.blake2b(text, digest_size=16).hexdigest().encode() + b"\n"


def with_fields(manifest: Path, **changes: Any) -> None:
    manifest.write_bytes(sealed({**json.loads(manifest.read_bytes()[:-33]), **changes}))


def test_every_bit_of_a_manifest_counts(folder: Path) -> None:
    data = bytearray((folder / "manifests" / "1-3").read_bytes())
    for i in range(len(data)):
        for bit in range(8):
            data[i] ^= 1 << bit
            with pytest.raises(CheckpointError, match="does not have its digest"):
                read_manifest(bytes(data), Name(1, 3), "here")
            data[i] ^= 1 << bit
    read_manifest(bytes(data), Name(1, 3), "here")


def test_every_length_of_a_manifest_but_its_own_is_refused(folder: Path) -> None:
    data = (folder / "manifests" / "1-3").read_bytes()
    for cut in [data[:length] for length in range(len(data))] + [data + b"\n"]:
        with pytest.raises(CheckpointError, match=f"{len(cut)} bytes.* was cut short or changed"):
            read_manifest(cut, Name(1, 3), "here")


def test_every_bit_of_a_block_counts(folder: Path) -> None:
    path = folder / "packs" / "1-3"
    data = bytearray(path.read_bytes())
    (first, second) = read_checkpoint(storage_of(folder), Name(1, 3)).entries
    for i in range(first.offset, second.offset + second.length):
        data[i] ^= 1 << i % 8
        path.write_bytes(data)
        (error,) = verify(read_checkpoint(storage_of(folder), Name(1, 3)))
        assert "of the checkpoint 1-3 (2 rows, {'at': " in error.what
        data[i] ^= 1 << i % 8
    path.write_bytes(data)
    assert verify(read_checkpoint(storage_of(folder), Name(1, 3))) == []


def test_a_damaged_newest_one_is_refused_with_those_to_start_from(folder: Path) -> None:
    (folder / "manifests" / "1-3").write_bytes(b"{}")
    error = refused(folder)
    assert "(2 bytes) does not have its digest" in error.what
    assert error.place.endswith("manifests/1-3")
    assert error.remedy.endswith("start from an older checkpoint that is whole: at=2 or at=1")
    assert read_all(folder, at=2) == [[2, 0], [2, 1]]
    assert [(str(it.name), it.damage is None) for it in list_checkpoints(storage_of(folder))] == [
        ("1-3", False),
        ("1-2", True),
        ("1-1", True),
    ]


def test_a_damaged_block_is_refused_when_it_is_read(folder: Path) -> None:
    for name in ("1-3", "1-1"):
        data = bytearray((folder / "packs" / name).read_bytes())
        data[100] ^= 4
        (folder / "packs" / name).write_bytes(data)
    error = refused(folder)
    assert "a block of the checkpoint 1-3 (2 rows, {'at': 0}) does not have its checksum" in str(
        error
    )
    assert "packs/1-3, bytes 8 to " in error.place
    assert error.remedy.endswith("that is whole: at=2")


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (os.unlink, "the pack '1-3' of the checkpoint 1-3 is missing"),
        (lambda path: path.write_bytes(b""), "the pack '1-3' of the checkpoint 1-3 has 0 bytes"),
    ],
)
def test_a_missing_pack_is_named(folder: Path, damage: Any, what: str) -> None:
    damage(folder / "packs" / "1-3")
    error = refused(folder)
    assert what in error.what
    assert error.place.endswith("packs/1-3")
    assert "at=2 or at=1" in error.remedy


def test_a_pack_that_goes_missing_while_it_is_read_is_named(folder: Path) -> None:
    newest = CheckpointStore.open(storage_of(folder)).newest()
    assert newest is not None
    (folder / "packs" / "1-3").unlink()
    with pytest.raises(CheckpointError, match="the pack '1-3' of the checkpoint 1-3 is missing"):
        contents(newest)


def test_if_nothing_is_whole_that_is_said(folder: Path) -> None:
    for name in ("1-1", "1-2", "1-3"):
        (folder / "packs" / name).unlink()
    assert refused(folder).remedy == "put a copy back; no older checkpoint is whole"


def test_a_newer_format_is_refused_by_its_number(folder: Path) -> None:
    with_fields(folder / "manifests" / "1-3", format={"major": MAJOR + 1, "minor": 0}, entries="?")
    error = refused(folder)
    assert f"is of format {MAJOR + 1}; this version of eventtime reads format {MAJOR}" in str(error)
    assert "the version of eventtime that wrote it" in error.remedy


def test_what_a_newer_minor_adds_is_not_in_the_way(folder: Path) -> None:
    fields = json.loads((folder / "manifests" / "1-3").read_bytes()[:-33])
    entries = [{**entry, "new": 1} for entry in fields["entries"]]
    packs = [{**pack, "new": 1} for pack in fields["packs"]]
    newer = {"format": {"major": MAJOR, "minor": 9}, "new": 1, "entries": entries, "packs": packs}
    with_fields(folder / "manifests" / "1-3", **newer)
    assert read_all(folder) == [[3, 0], [3, 1]]


def test_a_manifest_under_another_name_is_refused(folder: Path) -> None:
    os.rename(folder / "manifests" / "1-3", folder / "manifests" / "1-4")
    assert "'1-4' is that of the checkpoint 1-3" in refused(folder).what.replace(
        f"{folder}, manifests/", ""
    )


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint 9-9; there are: 1-3, 1-2, 1-1"):
        read_checkpoint(storage_of(folder), Name(9, 9))
    empty = LocalStorage(str(folder / "empty"))
    assert list_checkpoints(empty) == []
    assert not (folder / "empty").exists()


def test_the_newest_is_looked_at_without_the_others(folder: Path) -> None:
    """One that is swept meanwhile has newer ones; of one that is damaged nothing is said."""

    class Sweeping(LocalStorage):
        def read(self, name: str, offset: int, length: int) -> pa.Buffer:
            asked.append(name)
            if name == "manifests/1-3":
                (folder / name).unlink()
            return super().read(name, offset, length)

    def looked_at(at: int | None = None) -> int | None:
        asked.clear()
        found = newest_checkpoint(Sweeping(str(folder)), at)
        return None if found is None else found.seq

    asked: list[str] = []
    assert (looked_at(1), asked) == (1, ["manifests/1-1"])
    assert (looked_at(), asked) == (2, ["manifests/1-3", "manifests/1-2"])
    (folder / "manifests" / "1-2").write_bytes(b"{}")
    assert (looked_at(), asked) == (None, ["manifests/1-2"])
    assert looked_at(9) is None


def test_damage_among_those_that_stay_keeps_its_packs(folder: Path) -> None:
    """A copy of the manifest may be put back; once it is swept, so are the packs."""
    good = (folder / "manifests" / "1-2").read_bytes()
    (folder / "manifests" / "1-2").write_bytes(good[:-1])
    store = CheckpointStore.open(storage_of(folder))
    store.write({"n": 4}, [NewBlock({"at": 0}, rows(4))])
    (folder / "manifests" / "1-2").write_bytes(good)
    assert contents(read_checkpoint(storage_of(folder), Name(1, 2))) == [[2, 0], [2, 1]]
    for _ in range(3):
        store.write({"n": 5}, [NewBlock({"at": 0}, rows(5))])
    assert sorted(os.listdir(folder / "packs")) == ["2-5", "2-6", "2-7"]


def test_files_of_others_are_left_alone(folder: Path) -> None:
    for name in ("manifests/notes.txt", "packs/01-2", "packs/x", "claims/readme", "top"):
        (folder / name).write_text("mine")
    store = CheckpointStore.open(storage_of(folder), keep=1)
    store.write({}, [NewBlock({"at": 0}, rows(4))])
    assert set(os.listdir(folder / "packs")) == {"01-2", "x", "2-4"}
    assert (folder / "manifests" / "notes.txt").exists()
    assert (folder / "claims" / "readme").exists()


@pytest.mark.parametrize(
    ("place", "what", "remedy"),
    [
        ("missing/below", "No such file or directory", "create the folder above"),
        ("file/below", "Not a directory", "name a folder"),
        ("file", "Not a directory", "name a folder"),
    ],
)
def test_a_place_that_cannot_be_is_told(tmp_path: Path, place: str, what: str, remedy: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match=f"cannot claim the checkpoints in .*: {what}") as e:
        CheckpointStore.open(storage_of(tmp_path / place))
    assert remedy in e.value.remedy
