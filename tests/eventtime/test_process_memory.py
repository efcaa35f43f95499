"""Keys of process functions and the argument `memory`: which leave, and what becomes of them."""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from disk_use import state_in
from engine_runs import ipc_bytes
from eventtime.engine import Engine
from eventtime.errors import UserCodeError
from eventtime.savepoint import read_savepoint

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

OUTPUT = pa.schema({"k": pa.int64(), "total": pa.int64()})
ROWS, KEYS = 20_000, 5_000


class Sums(et.ProcessFunction):
    total = et.reducing_state(pa.int64(), "sum")

    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        ctx.emit_rows({"k": ctx.keys()[0], "total": self.total.add_rows(batch["x"])})


class Viewed(Sums):
    """One state that cannot leave memory: Arrow picks no text views by row."""

    names = et.value_state(pa.string_view())


def rows() -> pa.RecordBatch:
    rng = np.random.default_rng(2)
    times = pa.array(np.arange(ROWS) * 1000).view(pa.timestamp("us"))
    return pa.record_batch(
        {"t": times, "k": rng.integers(0, KEYS, ROWS), "x": rng.integers(0, 9, ROWS)}
    )


def stream(function: et.ProcessFunction | None = None) -> Stream:
    marked = et.from_arrow(rows(), time="t").watermark(et.bounded_disorder("1s"))
    return marked.key_by("k").process(function or Sums(), output=OUTPUT, columns=["x"])


WANTED = ipc_bytes(stream().run().table())


@pytest.mark.parametrize("backend", ["files", "rocksdb"])
def test_keys_above_the_budget_leave_and_nothing_is_left(tmp_path: Path, backend: Any) -> None:
    """S30: after plus infinity nothing is left on disk, either."""
    limit = et.memory_limit("50kB", backend=backend, scratch=tmp_path)
    with patch("eventtime.state.rocks_blocks._WRITE_BUFFER", 1 << 16):  # so that files are written
        engine = Engine(stream(), ["a"], memory=limit)
    for at in range(0, ROWS, 1000):
        engine.push("a", rows()[at : at + 1000])
    # 8 bytes of key and 9 of state for most of the keys.
    assert state_in(tmp_path) > 12 * KEYS
    engine.finish_all()
    assert engine.is_empty
    assert state_in(tmp_path) == 0
    assert ipc_bytes(engine.results()) == WANTED
    engine.suspend()
    assert not list(tmp_path.iterdir())


class Told(et.ProcessFunction):
    """Texts, lists and maps, told of when a timer fires."""

    text = et.value_state(pa.string())
    seen = et.list_state(pa.int64())
    counts = et.map_state(pa.string(), pa.int64(), ttl="1h")
    held: ClassVar[list[Any]] = []

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        Told.held[:] = [self.counts]
        self.text.value = (self.text.value or "") + 50 * str(row["x"])
        self.seen.append(row["x"])
        self.counts[str(row["x"])] = self.counts.get(str(row["x"]), 0) + 1
        ctx.set_timer(ctx.time_us + 2_000_000)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        (k,), counts = ctx.key, self.counts.items()
        ctx.emit(k=k, at=time_us, text=self.text.value, seen=self.seen.values(), counts=counts)


TOLD = pa.schema(
    {
        "k": pa.int64(),
        "at": pa.int64(),
        "text": pa.string(),
        "seen": pa.list_(pa.int64()),
        "counts": pa.map_(pa.string(), pa.int64()),
    }
)


@pytest.mark.parametrize("backend", ["files", "rocksdb"])
def test_objects_and_timers_leave_and_come_back(tmp_path: Path, backend: Any) -> None:
    some = rows()[:3_000]
    marked = et.from_arrow(some, time="t").watermark(et.bounded_disorder("1s"))
    told = marked.key_by("k").process(Told(), output=TOLD, columns=["x"])
    limit = et.memory_limit("500kB", backend=backend, scratch=tmp_path)
    engine = Engine(told, ["a"], memory=limit)
    for at in range(0, len(some), 500):
        engine.push("a", some[at : at + 500])
        # Of more than 2,000 keys in the end.
        assert sum(cell is not None for cell in Told.held[0]._cells) < 1_000
    engine.finish_all()
    assert engine.is_empty
    assert ipc_bytes(engine.results()) == ipc_bytes(told.run().table())
    engine.suspend()


def test_keys_with_a_state_that_arrow_does_not_pick_stay(tmp_path: Path) -> None:
    limit = et.memory_limit("50kB", scratch=tmp_path)
    engine = Engine(stream(Viewed()), ["a"], memory=limit)
    engine.push("a", rows())
    assert not list(tmp_path.rglob("*.blocks"))
    engine.finish_all()
    assert ipc_bytes(engine.results()) == WANTED
    engine.suspend()


def test_where_the_disk_is_full_keys_stay_in_memory(tmp_path: Path) -> None:
    class Full(FileIO):
        room = 60_000

        def write(self, data: Any, /) -> int:
            if Full.room < len(data):
                raise OSError(errno.ENOSPC, "No space left on device")
            Full.room -= len(data)
            return super().write(data)

    blocked: list[str] = []
    with (
        patch("eventtime.state.file_blocks.FileIO", Full),
        patch("eventtime.replay.CHUNK_ROWS", 2_000),
    ):
        limit = et.memory_limit("50kB", scratch=tmp_path)
        run = stream().run(memory=limit, progress=lambda r: blocked.append(r.blocked))
    assert blocked[0] == ""
    assert any("No space left on device" in why for why in blocked)
    assert ipc_bytes(run.table()) == WANTED


def test_a_savepoint_holds_the_same_rows_with_a_limit_and_without(tmp_path: Path) -> None:
    tables = []
    for name, memory in (("all", None), ("some", 20_000), ("few", 1)):
        engine = Engine(stream(), ["a"], memory=memory)
        engine.push("a", rows()[:4_000])
        engine.savepoint(tmp_path / name)
        engine.suspend()
        pack = read_savepoint(str(tmp_path / name), None)
        parts = [block.batch() for block in pack.blocks if block.about["kind"] == "keyed"]
        tables.append(pa.Table.from_batches(parts).sort_by("key_0"))
    assert len(tables[0]) > 2_500
    assert tables[1].equals(tables[0])
    assert tables[2].equals(tables[0])


@pytest.mark.parametrize("is_restored", [False, True])
def test_the_null_key_and_the_first_text_are_two(tmp_path: Path, *, is_restored: bool) -> None:
    """Their words are the same; the text leaves memory and comes back, null stays."""
    names = ["first", *map(str, range(500)), None, *map(str, range(500)), "first", None]
    times = pa.array(range(len(names)), pa.timestamp("us"))
    batch = pa.record_batch({"t": times, "k": names, "x": [1] * len(names)})
    marked = et.from_arrow(batch, time="t").watermark(et.ascending())
    output = pa.schema({"k": pa.string(), "total": pa.int64()})
    summed = marked.key_by("k").process(Sums(), output=output, columns=["x"])
    engine = Engine(summed, ["a"], memory=1)
    engine.push("a", batch[:900])
    if is_restored:
        engine.savepoint(tmp_path / "savepoint")
        engine.suspend()
        engine = Engine.restore(summed, tmp_path / "savepoint", memory=1)
    engine.push("a", batch[900:])
    engine.finish_all()
    got = engine.results().to_pylist()
    assert got[501] == {"k": None, "total": 1}
    assert got[-2:] == [{"k": "first", "total": 2}, {"k": None, "total": 2}]
    engine.suspend()


def test_a_wrong_value_names_its_key_though_that_has_left(tmp_path: Path) -> None:
    def emit(ctx: Any, row: dict[str, Any]) -> None:
        ctx.states.n.value = 1
        ctx.emit(k=ctx.key[0], total="none" if ctx.key[0] == 4_321 else 0)

    marked = et.from_arrow(rows(), time="t").watermark(et.bounded_disorder("1s"))
    states = {"n": et.value_state(pa.int64())}
    bad = marked.key_by("k").process(emit, output=OUTPUT, columns=["x"], states=states)
    for memory in (None, 1):
        with pytest.raises(UserCodeError, match="not 'none'") as raised:
            bad.run(memory=memory)
        assert raised.value.place.startswith("key 4321, ")
