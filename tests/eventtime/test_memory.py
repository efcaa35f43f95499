"""The argument `memory`: what it takes and refuses, and what becomes of the scratch folder."""

from __future__ import annotations

import errno
from io import FileIO
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from disk_use import bytes_in, state_in
from engine_runs import ipc_bytes
from eventtime.engine import Engine
from eventtime.errors import PlanError, ScratchError
from eventtime.memory import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventtime.stream import Stream

ROWS, KEYS, HOURS = 12_000, 300, 40


def rows(seed: int = 5) -> pa.RecordBatch:
    """Rows over some hours, to and fro by a day, each window of many keys."""
    rng = np.random.default_rng(seed)
    minutes = np.linspace(0, HOURS * 60, ROWS) + rng.uniform(-24 * 60, 0, ROWS)
    return pa.record_batch(
        {
            "t": pa.array((minutes * 60_000_000).astype(np.int64)).view(pa.timestamp("us")),
            "key": rng.integers(0, KEYS, ROWS),
            "x": rng.normal(0, 1e6, ROWS),
        }
    )


def hourly(window: Any = None, *, key: str = "key", **options: Any) -> Stream:
    marked = et.from_arrow(rows(), time="t").watermark(et.bounded_disorder("1d"))
    windowed = marked.key_by(key).window(window or et.tumbling("1h"), **options)
    return windowed.aggregate(n=et.count(), total=et.sum("x"), spread=et.stddev("x"))


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    """Room is made between chunks."""
    with patch("eventtime.replay.CHUNK_ROWS", 2_000):
        yield


class TestArgument:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [("512MB", 512_000_000), ("2 GiB", 2**31), ("0.5kb", 500), (7, 7), ("1TB", 10**12)],
    )
    def test_bytes_are_read_with_their_unit(self, given: object, wanted: int) -> None:
        assert parse_bytes(given, place="") == wanted

    @pytest.mark.parametrize("given", ["512", "0MB", "-1MB", 0, -5, True, 1.5, "many", "", ["1MB"]])
    def test_what_is_no_amount_is_refused(self, given: Any) -> None:
        with pytest.raises(PlanError, match="no amount of memory") as raised:
            hourly().run(memory=given)
        assert raised.value.place == "run(memory=…)"
        with pytest.raises(PlanError, match="no amount of memory") as raised:
            Engine(hourly(), ["a"], memory=given)
        assert raised.value.place == "Engine(memory=…)"

    def test_an_unknown_backend_is_refused(self) -> None:
        with pytest.raises(PlanError, match="no backend 'memory'") as raised:
            et.memory_limit("1MB", backend="memory")  # type: ignore[arg-type]
        assert "files, rocksdb" in raised.value.remedy

    def test_a_scratch_that_is_no_path_is_refused(self) -> None:
        with pytest.raises(PlanError, match="5 is no path"):
            et.memory_limit("1MB", scratch=5)  # type: ignore[arg-type]

    def test_lists_across_slices_are_refused(self, tmp_path: Path) -> None:
        marked = et.from_arrow(rows(), time="t").watermark(et.bounded_disorder("1d"))
        stream = marked.window(et.sliding("2h", slide="1h")).aggregate(xs=et.collect("x"))
        with pytest.raises(PlanError, match="cannot leave memory") as raised:
            stream.run(memory=et.memory_limit("50kB", scratch=tmp_path))
        assert "tumbling" in raised.value.remedy
        assert not list(tmp_path.iterdir())


class TestScratch:
    @pytest.mark.parametrize("backend", ["files", "rocksdb"])
    def test_it_is_used_and_empty_at_the_end(self, tmp_path: Path, backend: Any) -> None:
        seen = []
        limit = et.memory_limit("50kB", backend=backend, scratch=tmp_path)
        run = hourly().run(
            memory=limit,
            progress=lambda _: seen.append(bytes_in(tmp_path)),
        )
        # RocksDB keeps so little in its own memory.
        assert max(seen) > (100_000 if backend == "files" else 10_000)
        assert not list(tmp_path.iterdir())
        assert ipc_bytes(run.table()) == ipc_bytes(hourly().run().table())

    def test_a_failed_run_leaves_nothing_in_it(self, tmp_path: Path) -> None:
        def stop(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            hourly().run(memory=et.memory_limit("50kB", scratch=tmp_path), progress=stop)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("backend", ["files", "rocksdb"])
    def test_an_engine_gives_it_back(self, tmp_path: Path, backend: Any) -> None:
        """S30: after plus infinity nothing is left on disk, either."""
        limit = et.memory_limit(50_000, backend=backend, scratch=tmp_path)
        engine = Engine(hourly(), ["a"], memory=limit)
        whole = rows()
        for start in range(0, ROWS, 1000):
            engine.push("a", whole[start : start + 1000])
            engine.ledger.assert_balanced()
        assert backend == "rocksdb" or state_in(tmp_path)
        engine.finish_all()
        assert engine.is_empty
        assert not state_in(tmp_path)
        assert ipc_bytes(engine.results()) == ipc_bytes(hourly().run().table())
        engine.suspend()
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be_written_is_an_error_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ScratchError, match="no scratch folder"):
            hourly().run(memory=et.memory_limit("1MB", scratch=tmp_path / "file"))

    def test_where_the_disk_is_full_state_stays_in_memory(self, tmp_path: Path) -> None:
        wanted = ipc_bytes(hourly().run().table())

        class Full(FileIO):
            room = 300_000

            def write(self, data: Any, /) -> int:
                if Full.room < len(data):
                    raise OSError(errno.ENOSPC, "No space left on device")
                Full.room -= len(data)
                return super().write(data)

        with patch("eventtime.state.file_blocks.FileIO", Full):
            blocked: list[str] = []
            limit = et.memory_limit("50kB", scratch=tmp_path)
            run = hourly().run(memory=limit, progress=lambda r: blocked.append(r.blocked))
        assert Full.room < 100_000
        run.assert_balanced()
        assert blocked[0] == ""
        assert any("No space left on device" in why for why in blocked)
        assert ipc_bytes(run.table()) == wanted

    def test_a_flipped_bit_is_no_answer(self, tmp_path: Path) -> None:
        class Flipping(FileIO):
            def readinto(self, buffer: Any, /) -> int | None:
                read = super().readinto(buffer)
                buffer[len(buffer) // 3] ^= 4
                return read

        with (
            patch("eventtime.state.file_blocks.FileIO", Flipping),
            pytest.raises(ScratchError, match="is not what was written"),
        ):
            hourly().run(memory=et.memory_limit("50kB", scratch=tmp_path))
        assert not list(tmp_path.iterdir())


class TestClosedWindows:
    @pytest.mark.parametrize("mode", ["accumulating", "discarding", "retracting"])
    @pytest.mark.parametrize("window", [et.tumbling("1h"), et.sliding("3h", slide="1h")])
    def test_corrections_of_what_is_outside_are_the_same(self, window: Any, mode: Any) -> None:
        """S21: late rows for closed windows, whose slices left memory."""
        marked = et.from_arrow(rows(), time="t").watermark(et.bounded_disorder("1h"))
        keyed = marked.key_by("key").window(window, allowed_lateness="30h", mode=mode)
        stream = keyed.aggregate(n=et.count(), total=et.sum("x"), last=et.last("x"))
        wanted, got = stream.run(), stream.run(memory="50kB")
        assert ipc_bytes(got.table()) == ipc_bytes(wanted.table())
        assert pc.sum(pc.equal(wanted.table()["timing"], "late")).as_py() > 100
        assert str(got.ledger) == str(wanted.ledger)


class TestState:
    def test_a_savepoint_of_what_is_outside_is_restored_anywhere(self, tmp_path: Path) -> None:
        """S28, S29: into any backend and budget, and into memory."""
        wanted = ipc_bytes(hourly().run().table())
        limits = [None, et.memory_limit(50_000, scratch=tmp_path / "scratch"), "1MB"]
        for i, (before, after) in enumerate(zip(limits, [*limits[1:], None], strict=True)):
            path = tmp_path / f"{i}.savepoint"
            engine = Engine(hourly(), ["a"], memory=before)
            engine.push("a", rows()[: ROWS // 2])
            engine.savepoint(path)
            engine.suspend()
            engine = Engine.restore(hourly(), path, shards=2, memory=after)
            engine.push("a", rows()[ROWS // 2 :])
            engine.finish_all()
            assert ipc_bytes(engine.results()) == wanted
            assert engine.is_empty
            engine.suspend()

    def test_the_bytes_of_a_savepoint_do_not_tell_the_backend(self, tmp_path: Path) -> None:
        for name, memory in (("all", None), ("some", 50_000)):
            engine = Engine(hourly(), ["a"], memory=memory)
            engine.push("a", rows())
            engine.savepoint(tmp_path / name)
            engine.suspend()
        from eventtime.savepoint import read_savepoint

        packs = [read_savepoint(str(tmp_path / name), None) for name in ("all", "some")]
        blocks = [[(b.about["kind"], b.about.get("at")) for b in pack.blocks] for pack in packs]
        assert blocks[0] == blocks[1]
        for one, other in zip(packs[0].blocks, packs[1].blocks, strict=True):
            keyed = [(b.batch().column(0).to_numpy(), b.batch()) for b in (one, other)]
            ordered = [batch.take(pa.array(np.argsort(keys))) for keys, batch in keyed]
            assert ordered[0].equals(ordered[1])
