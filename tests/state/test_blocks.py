"""The contract of block stores: what was put comes back, in any order of puts and deletes."""

from __future__ import annotations

import errno
import io
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from eventtime.errors import PlanError, ScratchError
from eventtime.state.blocks import BlockStore, Bytes, MemoryBlocks
from eventtime.state.file_blocks import FileBlocks
from eventtime.state.rocks_blocks import RocksBlocks
from eventtime.state.scratch import ScratchBlocks

if TYPE_CHECKING:
    from collections.abc import Callable

STORES: dict[str, Callable[[Path], BlockStore]] = {
    "memory": lambda folder: MemoryBlocks(),
    "files": FileBlocks,
    "small files": partial(FileBlocks, file_bytes=100),
    "rocksdb": RocksBlocks,
}


def buffer(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


class TestContract:
    def test_a_block_is_its_buffers_one_after_the_other(self, store: BlockStore) -> None:
        block = store.put([buffer(b"ab"), buffer(b""), buffer(b"c")])
        assert store.get_many([block])[0].tobytes() == b"abc"

    def test_blocks_come_back_in_the_order_asked_for(self, store: BlockStore) -> None:
        first, second = (store.put([buffer(x)]) for x in (b"first", b"second"))
        assert second > first
        assert [b.tobytes() for b in store.get_many([second, first, second])] == [
            b"second",
            b"first",
            b"second",
        ]

    def test_an_empty_block_is_a_block(self, store: BlockStore) -> None:
        block = store.put([])
        assert len(store.get_many([block])[0]) == 0

    def test_a_large_block_comes_back_whole(self, store: BlockStore) -> None:
        data = np.arange(9_000_001, dtype=np.uint32).view(np.uint8)[:-3]
        block = store.put([data[:5], data[5:]])
        assert np.array_equal(store.get_many([block])[0], data)

    def test_a_deleted_block_is_gone_and_the_others_are_not(self, store: BlockStore) -> None:
        blocks = [store.put([buffer(bytes([i]) * 60)]) for i in range(9)]
        store.delete(blocks[1:-1])
        with pytest.raises(KeyError):
            store.get_many([blocks[4]])
        assert [b[0] for b in store.get_many([blocks[0], blocks[-1]])] == [0, 8]
        assert (store.stats().blocks, store.stats().nbytes) == (2, 120)

    def test_what_is_held_and_was_done_is_counted(self, store: BlockStore) -> None:
        block = store.put([buffer(b"abc")])
        store.get_many([block, block])
        store.delete([block])
        stats = store.stats()
        assert (stats.blocks, stats.nbytes, stats.put_bytes, stats.got_bytes) == (0, 0, 3, 6)

    def test_closing_twice_is_no_harm(self, store: BlockStore) -> None:
        store.put([buffer(b"abc")])
        store.close()
        store.close()


class BesideADict(RuleBasedStateMachine):
    """Every store beside a dict, through all rules."""

    blocks = Bundle("blocks")

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self._folder = tempfile.TemporaryDirectory()
        self.stores = []
        for i, make in enumerate(STORES.values()):
            folder = Path(self._folder.name, str(i))
            folder.mkdir()
            self.stores.append(make(folder))
        self.model: dict[int, bytes] = {}

    @rule(target=blocks, data=st.lists(st.binary(max_size=90), max_size=3))
    def put(self, data: list[bytes]) -> int:
        numbers = {store.put([buffer(d) for d in data]) for store in self.stores}
        assert len(numbers) == 1
        number = numbers.pop()
        assert number not in self.model
        self.model[number] = b"".join(data)
        return number

    @rule(wanted=st.lists(blocks, max_size=4))
    def get(self, wanted: list[int]) -> None:
        wanted = [block for block in wanted if block in self.model]
        for store in self.stores:
            got = [b.tobytes() for b in store.get_many(wanted)]
            assert got == [self.model[block] for block in wanted]

    @rule(gone=st.lists(consumes(blocks), max_size=6))
    def delete(self, gone: list[int]) -> None:
        for block in gone:
            del self.model[block]
        for store in self.stores:
            store.delete(gone)

    @rule()
    def flush(self) -> None:
        for store in self.stores:
            store.flush()

    @invariant()
    def they_hold_the_same(self) -> None:
        for store in self.stores:
            stats = store.stats()
            assert stats.blocks == len(self.model)
            assert stats.nbytes == sum(map(len, self.model.values()))

    def teardown(self) -> None:
        for store in self.stores:
            assert [b.tobytes() for b in store.get_many(list(self.model))] == [*self.model.values()]
            store.close()
        self._folder.cleanup()


BesideADict.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestBesideADict = BesideADict.TestCase


class Faulty(io.FileIO):
    """A file on a disk that is full after some bytes, and writes a few at a time."""

    room = 0

    def write(self, data: Any, /) -> int:
        if Faulty.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(memoryview(data)[: min(7, Faulty.room)])
        Faulty.room -= written
        return written


def files(request: pytest.FixtureRequest, folder: Path, **options: Any) -> FileBlocks:
    """Make a store that is closed when the test ends."""
    store = FileBlocks(folder, **options)
    request.addfinalizer(store.close)
    return store


def faulty(folder: Path, request: pytest.FixtureRequest) -> FileBlocks:
    return files(request, folder, file_bytes=64, create=lambda path: Faulty(path, "x+b"))


class TestFiles:
    def test_a_full_disk_is_an_error_and_loses_nothing(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store, Faulty.room = faulty(tmp_path, request), 20
        first = store.put([buffer(b"0123456789")])
        with pytest.raises(ScratchError, match="No space left on device"):
            store.put([buffer(b"01234"), buffer(b"56789")] * 2)
        Faulty.room = 100
        second = store.put([buffer(b"abcdefgh")])
        assert [b.tobytes() for b in store.get_many([first, second])] == [
            b"0123456789",
            b"abcdefgh",
        ]
        assert store.stats().blocks == 2

    def test_what_cannot_move_on_stays_where_it_is(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store, Faulty.room = faulty(tmp_path, request), 1_000
        blocks = [store.put([buffer(bytes([i]) * 16)]) for i in range(6)]
        Faulty.room = 5
        store.delete(blocks[1:4])
        assert [b[0] for b in store.get_many([blocks[0], *blocks[4:]])] == [0, 4, 5]

    def test_files_without_a_live_block_are_deleted(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store = files(request, tmp_path, file_bytes=50)
        blocks = [store.put([buffer(bytes(30))]) for _ in range(8)]
        assert len(list(tmp_path.iterdir())) == 4
        store.delete(blocks[:4])
        assert len(list(tmp_path.iterdir())) == 2
        store.delete(blocks[4:])
        store.flush()
        assert not list(tmp_path.iterdir())

    def test_the_few_blocks_alive_in_a_file_move_on(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store = files(request, tmp_path, file_bytes=100)
        blocks = [store.put([buffer(bytes([i]) * 20)]) for i in range(7)]
        store.delete(blocks[1:5])
        assert [path.name for path in tmp_path.iterdir()] == ["000001.blocks"]
        assert [b[0] for b in store.get_many([blocks[0], *blocks[5:]])] == [0, 5, 6]

    @pytest.mark.parametrize("bit", range(0, 24, 5))
    def test_a_flipped_bit_is_noticed(
        self, request: pytest.FixtureRequest, tmp_path: Path, bit: int
    ) -> None:
        store = files(request, tmp_path)
        blocks = [store.put([buffer(b"abc")]) for _ in range(3)]
        path = next(tmp_path.iterdir())
        data = bytearray(path.read_bytes())
        data[3 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(ScratchError, match=r"block 1 .* is not what was written"):
            store.get_many(blocks)
        assert [b.tobytes() for b in store.get_many([blocks[0], blocks[2]])] == [b"abc", b"abc"]

    def test_a_file_cut_short_is_noticed(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store = files(request, tmp_path)
        block = store.put([buffer(b"abc")])
        path = next(tmp_path.iterdir())
        path.write_bytes(b"ab")
        with pytest.raises(ScratchError, match="is not what was written"):
            store.get_many([block])

    def test_a_folder_that_is_gone_is_named(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store = files(request, tmp_path / "gone")
        with pytest.raises(ScratchError, match="No such file") as raised:
            store.put([buffer(b"abc")])
        assert "scratch=" in str(raised.value)
        assert "gone" in raised.value.place


class TestScratchFolder:
    @pytest.mark.parametrize("backend", ["files", "rocksdb"])
    def test_closing_leaves_nothing_behind(self, tmp_path: Path, backend: Any) -> None:
        store = ScratchBlocks(backend, tmp_path / "new")
        store.put([buffer(b"abc")])
        assert len(list((tmp_path / "new").iterdir())) == 1
        store.close()
        assert not list((tmp_path / "new").iterdir())

    def test_two_runs_do_not_meet(self, tmp_path: Path) -> None:
        one = ScratchBlocks("files", tmp_path)
        block = one.put([buffer(b"abc")])
        other = ScratchBlocks("files", tmp_path)
        other.close()
        assert one.get_many([block])[0].tobytes() == b"abc"
        one.close()

    def test_what_a_killed_process_left_is_removed(self, tmp_path: Path) -> None:
        program = (
            "import sys, os, numpy as np\n"
            "from eventtime.state.scratch import ScratchBlocks\n"
            "ScratchBlocks('files', sys.argv[1]).put([np.zeros(9, np.uint8)])\n"
            "os._exit(1)"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
        assert len(list(tmp_path.iterdir())) == 1
        (tmp_path / "mine.txt").touch()
        ScratchBlocks("files", tmp_path).close()
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_a_process_killed_while_removing_leaves_what_the_next_run_removes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without its lock, a folder would be taken for one that is just being made."""
        store = ScratchBlocks("files", tmp_path)
        store.put([buffer(b"abc")])
        rmtree, there = shutil.rmtree, []

        def see(path: Path, **how: Any) -> None:
            there.append((path.name == store.folder.name, (store.folder / "blocks").exists()))
            rmtree(path, **how)

        monkeypatch.setattr(shutil, "rmtree", see)
        store.close()
        assert there == [(False, True), (True, False)]

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ScratchError, match="no scratch folder can be made") as raised:
            ScratchBlocks("files", tmp_path / "file")
        assert "scratch=" in str(raised.value)

    def test_without_rocksdict_its_backend_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "rocksdict", None)
        with pytest.raises(PlanError, match="not installed") as raised:
            ScratchBlocks("rocksdb", tmp_path)
        assert "eventtime[rocksdb]" in str(raised.value)
        assert not list(tmp_path.iterdir())
