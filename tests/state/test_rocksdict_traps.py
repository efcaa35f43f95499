"""What rocksdict does wrong, pinned, so that a release which mends it is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rocksdict

from eventtime.errors import ScratchError
from eventtime.state.rocks_blocks import RocksBlocks

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path) -> Any:
    return rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))


def flip_a_bit(folder: Path, ending: str) -> None:
    path = max(folder.glob(f"*.{ending}"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_items_end_silently_at_a_damaged_place(tmp_path: Path) -> None:
    db = opened(tmp_path)
    for i in range(20_000):
        db[i.to_bytes(8)] = i.to_bytes(40)
    db.flush()
    db.close()
    flip_a_bit(tmp_path, "sst")
    db = opened(tmp_path)
    assert 0 < sum(1 for _ in db.items()) < 20_000
    db.close()


def test_a_lower_bound_sets_the_upper_one(tmp_path: Path) -> None:
    db = opened(tmp_path)
    for i in range(30):
        db[bytes([i])] = b""
    options = rocksdict.ReadOptions()
    options.set_iterate_lower_bound(bytes([5]))
    keys = [key[0] for key in db.keys(read_opt=options)]
    assert keys == [0, 1, 2, 3, 4]
    db.close()


def test_close_does_not_close_while_an_iterator_lives(tmp_path: Path) -> None:
    db = opened(tmp_path)
    db[b"a"] = b"b"
    iterator = db.iter()
    db.close()
    with pytest.raises(Exception, match=r"[Ll]ock"):
        opened(tmp_path)
    del iterator
    opened(tmp_path).close()


def test_a_flipped_bit_in_a_blob_is_noticed(tmp_path: Path) -> None:
    store = RocksBlocks(tmp_path)
    block = store.put([np.arange(50_000).view(np.uint8)])
    store.flush()
    flip_a_bit(tmp_path, "blob")
    with pytest.raises(ScratchError, match=r"[Cc]orruption|not what was written"):
        store.get_many([block])
    store.close()


def test_a_value_that_is_gone_is_noticed(tmp_path: Path) -> None:
    store = RocksBlocks(tmp_path)
    block = store.put([np.zeros(10, np.uint8)])
    store._db.delete(bytes(12))
    with pytest.raises(ScratchError, match="not what was written"):
        store.get_many([block])
    store.close()


def test_errors_have_a_type(tmp_path: Path) -> None:
    store = RocksBlocks(tmp_path / "a")
    with pytest.raises(ScratchError, match=r"[Ll]ock"):
        RocksBlocks(tmp_path / "a")
    store.close()
    with pytest.raises(ScratchError, match="already closed"):
        store.put([np.zeros(10, np.uint8)])


def test_the_folder_is_next_to_empty_when_all_blocks_are_deleted(tmp_path: Path) -> None:
    """S30: state is empty after plus infinity, and RocksDB's folder too."""
    store = RocksBlocks(tmp_path)
    for _ in range(3):
        store.delete([store.put([np.arange(1 << 18).view(np.uint8)]) for _ in range(20)])
    store.flush()
    assert sum(p.stat().st_size for p in tmp_path.iterdir() if p.suffix in {".sst", ".blob"}) < 4096
    store.close()
