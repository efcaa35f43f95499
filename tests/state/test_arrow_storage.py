"""File systems of pyarrow as a place for checkpoints: no half manifest, no remembered listing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import fs

from eventtime.errors import CheckpointError, FencedError
from eventtime.places import storage_at
from eventtime.state.arrow_storage import ArrowStorage
from eventtime.state.checkpoints import CheckpointStore, NewBlock
from eventtime.state.storage import LocalStorage, UnclearError

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.state.saved import Checkpoint


class Remembering(MemoryFileSystem):  # type: ignore[misc]
    """Lists a folder once, as the object stores of fsspec do."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.listings: dict[str, Any] = {}

    def find(self, path: str, **options: Any) -> Any:
        if path not in self.listings:
            self.listings[path] = super().find(path, **options)
        return self.listings[path]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.listings.clear()


class Flaky:
    """A file system of which one call does what it should and then fails, as a time-out does.

    Args:
        filesystem: that does it.
        number: of the call.
    """

    def __init__(self, filesystem: fs.FileSystem, number: int) -> None:
        self.type_name = filesystem.type_name
        self.has_failed = False
        self._fs = filesystem
        self._left = number

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            result = getattr(self._fs, name)(*arguments, **options)
            self._left -= 1
            if self._left == -1:
                self.has_failed = True
                msg = "timed out"
                raise OSError(msg)
            return result

        return call

    def stop(self) -> None:
        """Fail no more."""
        self._left = -1


def numbers(checkpoint: Checkpoint | None) -> list[int]:
    assert checkpoint is not None
    return [it.batch()["n"][0].as_py() for it in checkpoint.blocks]


def block(n: int) -> NewBlock:
    return NewBlock({"at": 0}, pa.record_batch({"n": [n]}))


def test_a_claim_shows_though_the_file_system_remembers_listings() -> None:
    first, second = Remembering(), Remembering()
    first.makedirs("/jobs", exist_ok=True)
    old = CheckpointStore.open(storage_at("/jobs/daily", first))
    old.write({}, [block(1)])
    assert first.listings
    new = CheckpointStore.open(storage_at("/jobs/daily", second))
    with pytest.raises(FencedError):
        old.write({}, [block(2)])
    assert numbers(new.newest()) == [1]
    new.write({}, [block(3)])


def test_what_is_put_shows_whole_or_not_at_all(tmp_path: Path) -> None:
    class Broken(fs.SubTreeFileSystem):  # type: ignore[misc]
        def move(self, *_: str) -> None:
            msg = "gone"
            raise OSError(msg)

    storage = ArrowStorage(Broken(str(tmp_path), fs.LocalFileSystem()), "daily")
    with pytest.raises(UnclearError, match="gone"):
        storage.put("manifests/1-1", b"{}")
    assert "1-1" not in storage.list("manifests")


def test_errors_of_any_kind_become_those_of_checkpoints() -> None:
    class Failing(Remembering):
        def find(self, *_: Any, **__: Any) -> Any:
            msg = "no such region 'moon'"
            raise LookupError(msg)

    with pytest.raises(CheckpointError, match="no such region 'moon'"):
        CheckpointStore.open(storage_at("/jobs/daily", Failing()))


def test_a_path_of_this_machine_is_a_folder_on_a_disk(tmp_path: Path) -> None:
    for place in (tmp_path, f"file://{tmp_path}"):
        storage = storage_at(place)
        assert isinstance(storage, LocalStorage)
        assert storage.place == str(tmp_path)
    assert isinstance(storage_at(str(tmp_path), fs.LocalFileSystem()), LocalStorage)


def test_a_uri_that_nothing_opens_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot open the file system of 'moon://x'") as e:
        storage_at("moon://x")
    assert "check the URI" in e.value.remedy


def test_a_request_that_times_out_though_it_was_carried_out_costs_an_attempt(
    tmp_path: Path,
) -> None:
    number = 0
    for number in itertools.count():
        flaky = Flaky(
            fs.SubTreeFileSystem(str(tmp_path / str(number)), fs.LocalFileSystem()), number
        )
        storage = ArrowStorage(flaky, "daily")
        store, written = None, 0
        while written < 3:
            try:
                store = store or CheckpointStore.open(storage, keep=1)
                store.write({}, [block(written)])
                written += 1
            except CheckpointError as error:
                assert "timed out" in error.what  # noqa: PT017 - which of the calls fails, varies
        assert store is not None
        flaky.stop()
        last = store.write({}, [block(9)])
        assert numbers(CheckpointStore.open(storage).newest()) == numbers(last) == [9]
        files = {str(last.name)}
        assert storage.list("packs").keys() == storage.list("manifests").keys() == files
        if not flaky.has_failed:
            break
    assert number > 30
