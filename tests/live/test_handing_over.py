"""When a live run hands results to sinks: at once, or now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from eventtime.outputs import StagedOutputs
from eventtime.sources.feed import Ended
from live.script import Alarm, Script, rows
from live.test_following import counted, starts

if TYPE_CHECKING:
    from pathlib import Path


class Noted:
    """A sink that notes at which second of the clock it gets how many rows."""

    guarantee = "at_least_once"

    def __init__(self, clock: et.ManualClock, delivery: str) -> None:
        self.clock, self.delivery, self.got = clock, delivery, list[tuple[int, int]]()

    def open_epochs(self, schema: pa.Schema, job: str) -> Noted:
        return self

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: Any, token: int) -> None:
        if n := sum(batch.num_rows for batch in batches):
            self.got.append((self.clock.now_us() // 1_000_000, n))

    def close(self) -> None:
        """Nothing is held."""

    def describe(self) -> str:
        return "a sink that notes"


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    ("every", "wanted"),
    [(None, [(s, 1) for s in range(1, 12)]), ("4s", [(4, 4), (8, 4)])],
)
def test_results_are_handed_over_now_and_then_if_wished(
    tmp_path: Path, every: str | None, wanted: list[tuple[int, int]], *, kept: bool
) -> None:
    """S4: with checkpoints too, where at least once is enough; which rows are late stays."""
    events: list[Any] = [(i, "a", rows(10 * i, 10 * i - 5, 10 * i - 15)) for i in range(12)]
    script = Script([*events, (12, Ended("a"))], ("a",))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock), commit_every=every)
    sink: Any = Noted(script.clock, "at_least_once")
    more: Any = {"checkpoint": et.checkpoints(tmp_path, every="1h")} if kept else {}
    ran = counted(script).run(sink, live=live, **more)
    assert sink.got[:-1] == wanted
    assert sum(n for _, n in sink.got) == ran.report.results
    assert ran.side("late").num_rows == 24


def test_rows_of_the_next_epoch_do_not_overtake_those_that_wait() -> None:
    """Else an older version of a result would be written over a newer one."""
    clock = et.ManualClock()
    sink: Any = Noted(clock, "at_least_once")
    outputs = StagedOutputs("job", 0, clock, every_us=10_000_000)
    outputs.open("", sink, pa.schema([("x", pa.int64())]))
    outputs.recover(None, 1)
    outputs.take("", pa.record_batch({"x": [1]}))
    outputs.turn()
    ended = outputs.end_epoch()
    outputs.take("", pa.record_batch({"x": [1, 2]}))
    clock.advance(20_000_000)
    outputs.turn()
    outputs.commit_early(ended, 1)
    assert [n for _, n in sink.got] == [1, 2]


def test_a_folder_gets_a_file_now_and_then_only(tmp_path: Path) -> None:
    """Without checkpoints: results every second, a file every four."""
    events: list[Any] = [(i, "a", rows(10 * i)) for i in range(12)]
    script = Script([*events, (12, Ended("a"))], ("a",))
    sink = et.to_parquet(tmp_path / "out", partition_by=et.by_day())
    live = et.live(clock=script.clock, alarm=Alarm(script.clock), commit_every="4s")
    counted(script).run(sink, live=live)
    files = sorted((tmp_path / "out").glob("*/part-*.parquet"))
    assert len(files) == 3
    found = [t for file in files for t in starts(pq.ParquetFile(file).read())]
    assert found == [10.0 * i for i in range(12)]


def test_a_run_that_was_drained_has_nothing_to_do_again(tmp_path: Path) -> None:
    """S9: its windows have fired, so it ends at once, though its source goes on."""
    rows = et.generate(5_000, partitions=2).watermark(et.ascending())
    stream = rows.window(et.tumbling("1s")).aggregate(n=et.count())
    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    how: Any = {"checkpoint": tmp_path, "drain": True, "progress": watch}
    ran = stream.run(stop=lambda: seen[0] > 0, **how)
    most = seen[0]

    def watch_again(report: et.ProgressReport) -> None:
        assert report.rows == most, "it goes on for ever"

    again = stream.run(stop=lambda: False, **how | {"progress": watch_again})
    assert again.is_finished
    assert again.table().equals(ran.table())
    assert again.ledger == ran.ledger
