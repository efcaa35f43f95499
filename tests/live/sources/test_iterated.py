"""Iterators of batches, plain and async: rows, positions, what they raise."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from live.script import SCHEMA, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

BATCHES = [rows(1, 5), rows(12), rows(15, 3), rows(21, 40)]


def counted(data: Any, schema: pa.Schema = SCHEMA) -> et.Stream:
    stream = et.from_batches(data, schema=schema, time="t")
    return (
        stream.watermark(et.bounded_disorder("30s"))
        .window(et.tumbling("10s"))
        .aggregate(n=et.count(), x=et.sum("x"))
    )


def behind(n: int) -> Iterator[pa.RecordBatch]:
    """What comes behind so many rows."""
    for batch in BATCHES:
        if n < batch.num_rows:
            yield batch.slice(n)
        n = max(0, n - batch.num_rows)


async def later(n: int) -> AsyncIterator[pa.RecordBatch]:
    for batch in behind(n):
        yield batch


def replayed() -> pa.Table:
    stream = et.from_arrow(BATCHES, time="t").watermark(et.bounded_disorder("30s"))
    return stream.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x")).run().table()


@pytest.mark.parametrize("data", [behind, later, BATCHES, {"a": behind}, [pa.table(BATCHES[0])]])
def test_what_iterators_give_is_what_a_replay_gives(data: Any) -> None:
    """S4: plain, async, as a list, as a dict."""
    ran = counted(data).run()
    ran.assert_balanced()
    if isinstance(data, list) and isinstance(data[0], pa.Table):
        assert ran.table().column("n").to_pylist() == [2]
    else:
        assert ran.table().equals(replayed())


@pytest.mark.parametrize("make", [behind, later])
def test_a_function_is_asked_for_what_comes_behind(tmp_path: Path, make: Any) -> None:
    """S28: stopped after some rows, and gone on with."""
    asked: list[int] = []

    def noted(n: int) -> Any:
        asked.append(n)
        return make(n) if len(asked) > 1 else blocked(make(n))

    def blocked(whole: Any) -> Any:
        return pausing(whole) if hasattr(whole, "__aiter__") else stopping(whole)

    came = threading.Event()

    def stopping(whole: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield next(whole)
        yield next(whole)
        came.wait(20)

    async def pausing(whole: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
        import asyncio

        yield await anext(whole)
        yield await anext(whole)
        while not came.is_set():
            await asyncio.sleep(0.01)

    seen: list[int] = []
    first = counted(noted).run(
        checkpoint=tmp_path,
        progress=lambda report: seen.append(report.rows),
        stop=lambda: bool(seen) and seen[-1] == 3,
    )
    came.set()
    assert not first.is_finished
    second = counted(noted).run(checkpoint=tmp_path)
    assert asked == [0, 3]
    assert second.table().equals(replayed())
    second.assert_balanced()


def test_an_iterator_cannot_go_on(tmp_path: Path) -> None:
    """What came before is not dropped in silence."""
    counted(behind).run(checkpoint=tmp_path, stop=lambda: True)
    source: Any = et.from_batches(iter(BATCHES), schema=SCHEMA, time="t").node
    with pytest.raises(et.SourceError, match="cannot be read again"):
        source.source.follow(None, {"batches": {"rows": 3, "ended": False}}, et.SystemClock())


def failing(n: int) -> Iterator[pa.RecordBatch]:
    yield BATCHES[0]
    msg = "no more"
    raise RuntimeError(msg)


async def failing_later(n: int) -> AsyncIterator[pa.RecordBatch]:
    yield BATCHES[0]
    msg = "no more"
    raise RuntimeError(msg)


@pytest.mark.parametrize("data", [failing, failing_later])
def test_what_an_iterator_raises_names_the_partition(data: Any) -> None:
    with pytest.raises(et.SourceError, match="'batches' failed after row 2: RuntimeError: no more"):
        counted(data).run()


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (5, "the iterator gave 5"),
        (pa.record_batch({"t": [1]}), "column 't' is timestamp"),
        (rows(1).append_column("y", pa.array([1])), "column 'y' \\(int64\\) is in the batch"),
    ],
)
def test_other_items_are_refused(item: Any, says: str) -> None:
    with pytest.raises(et.SourceError, match=says):
        counted([BATCHES[0], item]).run()


@pytest.mark.parametrize("data", [5, {}, "x", BATCHES[0], {"a": None}])
def test_what_is_no_iterator_is_refused_at_the_door(data: Any) -> None:
    with pytest.raises(et.PlanError):
        et.from_batches(data, schema=SCHEMA, time="t")


def test_a_function_that_makes_nothing_is_refused() -> None:
    with pytest.raises(et.SourceError, match="the function returned 5"):
        counted(lambda n: 5).run()
