"""Sources, sinks and storages that fail for a while: tried again from the last checkpoint (S28)."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime.state.storage import SystemDisk
from windowing import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from eventtime.sources.base import PartitionReader, Position


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    with patch("eventtime.replay.CHUNK_ROWS", 64):
        yield


class Failing(CutSource):
    """A source whose reads fail, some of them.

    Args:
        partitions: their rows.
        errors: by the number of the read, counted over all lives.
    """

    def __init__(
        self, partitions: Mapping[str, Sequence[pa.RecordBatch]], errors: dict[int, BaseException]
    ) -> None:
        super().__init__(partitions)
        self.errors, self.reads, self.opened = errors, 0, 0

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        self.opened += 1
        readers: list[Any] = super().open(columns, batch_rows, positions)
        for reader in readers:
            reader.read = partial(self._read, reader.read)
        return readers

    def _read(self, real: Callable[[], Any]) -> Any:
        self.reads += 1
        if self.reads in self.errors:
            raise self.errors[self.reads]
        return real()


def source(errors: dict[int, BaseException] | None = None) -> Failing:
    whole = rows(range(400), x=np.arange(400.0))
    batches = [whole.slice(at, 37) for at in range(0, 400, 37)]
    return Failing({"a": batches, "b": batches}, errors or {})


def stream(read: Any) -> et.Stream:
    marked = et.Stream.read(read).watermark(et.bounded_disorder("20s"))
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"))


def gone(text: str = "the server is gone") -> et.SourceError:
    return et.SourceError(text, place="somewhere", remedy="wait")


def ran(read: Failing, path: Path, **policy: Any) -> tuple[et.Run, list[float], list[str]]:
    """Run with restarts; returns the delays and what was told too."""
    slept: list[float] = []
    told: list[str] = []
    where = et.checkpoints(path / "state", every=None, every_rows=1)
    again = et.restart(sleep=slept.append, told=told.append, **policy)
    return stream(read).run(checkpoint=where, restart=again), slept, told


def test_a_source_that_fails_for_a_while_leaves_no_trace(tmp_path: Path) -> None:
    read = source({7: gone(), 8: gone(), 24: gone("timed out")})
    run, slept, told = ran(read, tmp_path, attempts=2, delay="1s", backoff=3.0)
    wanted = stream(source()).run()
    assert run.table() == wanted.table()
    assert run.ledger == wanted.ledger
    assert slept == [1.0, 3.0, 1.0]
    assert run.report.restarts == 3
    assert told[0] == "the server is gone: trying again in 1s (restart 1 of 2)"
    assert told[2] == "timed out: trying again in 1s (restart 1 of 2)"


def test_the_last_error_says_how_many_there_were(tmp_path: Path) -> None:
    read = source({n: gone() for n in range(7, 100)})
    with pytest.raises(et.SourceError, match=r"gone \(given up after 3 failures in a row\)"):
        ran(read, tmp_path, attempts=2)
    assert read.opened == 3


def test_without_a_policy_the_first_failure_is_the_last(tmp_path: Path) -> None:
    read = source({7: gone()})
    with pytest.raises(et.SourceError, match=r"gone\n"):
        stream(read).run(checkpoint=tmp_path / "state")
    assert read.opened == 1


@pytest.mark.parametrize(
    "error",
    [
        et.UserCodeError("code of yours"), et.PlanError("plan"), et.SchemaError("schema"),
        et.MalformedRowError("row"), et.OutputExistsError("output"), et.FencedError("fenced"),
        et.CheckpointError("damaged"), ValueError("a fault"), KeyboardInterrupt(),
    ],
)  # fmt: skip
def test_what_does_not_pass_by_itself_is_not_tried_again(error: Exception, tmp_path: Path) -> None:
    read = source({7: error})
    with pytest.raises(type(error)):
        ran(read, tmp_path)
    assert read.opened == 1


def test_an_operating_system_error_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = source({7: ConnectionResetError("reset")})
    run, slept, _ = ran(first, tmp_path / "first", delay="250ms")
    assert (run.report.restarts, slept) == (1, [0.25])
    read = source({n: TimeoutError("slow") for n in range(7, 100)})
    with pytest.raises(TimeoutError) as caught:
        ran(read, tmp_path, attempts=1)
    assert caught.value.__notes__ == ["given up after 2 failures in a row"]


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    real, left = SystemDisk.write, [6]

    def write(self: SystemDisk, handle: int, data: memoryview) -> int:
        left[0] -= 1
        if left[0] in {0, 1}:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, handle, data)

    with patch.object(SystemDisk, "write", write):
        run, _, told = ran(source(), tmp_path)
    assert run.table() == stream(source()).run().table()
    assert any("No space left on device" in text for text in told)


def test_a_sink_that_fails_for_a_while_has_each_row_once(tmp_path: Path) -> None:
    sink: Any = et.to_parquet(tmp_path / "parts", parts=True)
    failures = [et.SinkError("no answer"), et.SinkError("no answer")]
    writer: Any = type(sink.open_epochs(stream(source()).schema, "probe/results"))
    real = writer.commit

    def commit(self: Any, epoch: int, batches: Any, token: int) -> None:
        if epoch > 2 and failures:
            raise failures.pop()
        real(self, epoch, batches, token)

    with patch.object(writer, "commit", commit):
        where = et.checkpoints(tmp_path / "state", every=None, every_rows=1)
        again = et.restart(sleep=lambda seconds: None, told=lambda text: None)
        run = stream(source()).run(sink, checkpoint=where, restart=again)
    import pyarrow.parquet as pq

    files = sorted((tmp_path / "parts").glob("*.parquet"))
    written = [n for f in files for n in pq.read_table(f, partitioning=None)["n"].to_pylist()]
    assert written == stream(source()).run().table()["n"].to_pylist()
    assert run.report.restarts == 2


def test_a_warning_is_given_where_nobody_is_told(tmp_path: Path) -> None:
    again = et.restart(sleep=lambda seconds: None)
    with pytest.warns(RuntimeWarning, match=r"gone: trying again in 1s \(restart 1 of 3\)"):
        stream(source({7: gone()})).run(checkpoint=tmp_path / "state", restart=again)


def test_delays_grow_up_to_the_longest() -> None:
    policy = et.restart(9, delay="1s", backoff=1e300, max_delay="1h")
    assert [policy.wait_us(n) for n in (1, 2, 900)] == [1_000_000, 3_600_000_000, 3_600_000_000]
    assert et.restart(delay="2m", max_delay="1m").wait_us(1) == 60_000_000


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"attempts": 0}, "0 is not a whole number above zero"),
        ({"attempts": "3"}, "'3' is not a whole number"),
        ({"backoff": 0.5}, "0.5 is not a number from 1 on"),
        ({"backoff": float("nan")}, "nan is not a number"),
        ({"backoff": True}, "True is not a number"),
        ({"delay": "soon"}, "'soon' is not a duration"),
        ({"max_delay": "-1s"}, "max_delay"),
        ({"sleep": 3}, "3 is not a function"),
    ],
)
def test_bad_policies_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(et.PlanError, match=told):
        et.restart(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"restart": et.restart()}, "has nothing to go on from"),
        ({"restart": 3, "checkpoint": "x"}, "3 does not say how often"),
        ({"drain": True, "checkpoint": "x"}, "nothing says when"),
        ({"drain": "yes", "checkpoint": "x"}, "'yes' is neither True nor False"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(et.PlanError, match=told):
        stream(source()).run(**given)
