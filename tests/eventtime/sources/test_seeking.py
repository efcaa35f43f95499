"""Positions of what is in memory, of unions, and of sources that have none."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from eventtime.errors import PlanError, SourceError
from eventtime.sources import Poll, UnionSource, open_source, position_of
from eventtime.sources.ahead import AheadReader
from eventtime.sources.marks import Place, Placed
from eventtime.sources.positions import RowPositions
from sourcing import arrow_source, positions_after, times_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def test_the_position_is_that_of_rows_handed_over_not_of_rows_decoded() -> None:
    ahead = threading.Event()

    def scan(begin: Place) -> Generator[Placed, None, None]:
        for n in range(begin.rows + 1, 6):
            if n == 4:
                ahead.set()
            yield pa.RecordBatch.from_pydict({"t": [n]}), Place(rows=n)

    reader = AheadReader("p", scan, RowPositions("p", 5), ahead=3)
    assert reader.position == {"rows": 0, "total": 5, "ended": False}
    reader.read()
    assert ahead.wait(10)
    assert reader.position == {"rows": 1, "total": 5, "ended": False}
    reader.read()
    assert reader.position == {"rows": 2, "total": 5, "ended": False}
    reader.close()
    assert reader.position["rows"] == 2


# Arrow data in memory


class Query:
    """Gives a new stream of 30 rows whenever it is asked, cut differently each time."""

    def __init__(self, n: int = 30) -> None:
        self.n, self.asked = n, 0

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        self.asked += 1
        rows = pa.table({"t": pa.array(range(self.n))})
        reader = pa.RecordBatchReader.from_batches(
            rows.schema, rows.to_batches(max_chunksize=3 + self.asked)
        )
        return reader.__arrow_c_stream__(requested_schema)


TABLE = pa.table({"t": pa.array(range(30))})
MEMORY: dict[str, Callable[[], Any]] = {
    "table": lambda: TABLE,
    "batches": lambda: TABLE.to_batches(max_chunksize=7),
    "stream": Query,
    "reader": lambda: TABLE.to_reader(max_chunksize=4),
}


@pytest.mark.parametrize("made", MEMORY.values(), ids=MEMORY)
@pytest.mark.parametrize("reads", range(8))
def test_arrow_data_goes_on_behind_the_rows_that_were_read(
    made: Callable[[], Any], reads: int
) -> None:
    readers = arrow_source({"a": made(), "b": made()}, time="t", time_unit="s").open(None, 8)
    seen = 0
    for _ in range(reads):
        item = readers[0].read()
        seen += 0 if isinstance(item, Poll) else item.num_rows
    held = {reader.name: reader.position for reader in readers}
    again = arrow_source({"a": made(), "b": made()}, time="t", time_unit="s")
    a, b = again.open(None, 5, held)
    assert {reader.name: reader.position for reader in (a, b)} == held
    assert times_of(a) == list(range(seen, 30))
    assert times_of(b) == list(range(30))


def test_other_arrow_data_is_refused() -> None:
    held = positions_after(arrow_source(TABLE, time="t", time_unit="s"), 2)
    with pytest.raises(SourceError, match="it had 30 rows and now has 29 rows"):
        arrow_source(TABLE.slice(1), time="t", time_unit="s").open(None, 5, held)
    with pytest.raises(SourceError, match="30 rows and now has rows that nobody had counted"):
        arrow_source(Query(), time="t", time_unit="s").open(None, 5, held)
    with pytest.raises(SourceError, match="partition 'memory' was read before"):
        arrow_source({"other": TABLE}, time="t", time_unit="s").open(None, 5, held)
    streamed = positions_after(arrow_source(Query(), time="t", time_unit="s"), 2)
    (reader,) = arrow_source(Query(15), time="t", time_unit="s").open(None, 5, streamed)
    with pytest.raises(SourceError, match=r"\d row\(s\) read before the checkpoint are not there"):
        reader.read()


@pytest.mark.parametrize("wrong", [{}, {"rows": 3}, {"rows": "3", "total": 30, "ended": False}])
def test_what_is_no_position_of_such_a_source_is_refused(wrong: Any) -> None:
    with pytest.raises(SourceError, match="is not where such a source has been read to"):
        arrow_source(TABLE, time="t", time_unit="s").open(None, 5, {"memory": wrong})


# Unions


def union(*parts: Any) -> UnionSource:
    return UnionSource.of(*(arrow_source(part, time="t", time_unit="s") for part in parts))


def test_each_source_of_a_union_goes_on_by_itself() -> None:
    parts = {"a": TABLE}, {"a": TABLE, "b": TABLE}
    readers = union(*parts).open(None, 8)
    assert [reader.name for reader in readers] == ["1:a", "2:a", "b"]
    for count, reader in enumerate(readers):
        for _ in range(count):
            reader.read()
    held = {reader.name: reader.position for reader in readers}
    again = union(*parts).open(None, 30, held)
    assert {reader.name: reader.position for reader in again} == held
    assert [len(times_of(reader)) for reader in again] == [30, 22, 14]


def test_a_union_of_other_sources_is_refused() -> None:
    held = positions_after(union({"a": TABLE}, {"b": TABLE}), 1)
    with pytest.raises(SourceError, match="was that of source 2 of the union"):
        union({"a": TABLE}).open(None, 8, held)
    with pytest.raises(SourceError, match=r"partition 'b' was read .* is gone"):
        union({"a": TABLE}, {"c": TABLE}).open(None, 8, held)
    # A new partition of the same name gives others another name.
    with pytest.raises(SourceError, match=r"partition 'b' was read .* is gone"):
        union({"a": TABLE, "b": TABLE}, {"b": TABLE}).open(None, 8, held)


# Sources of users


class PlainReader:
    name = "p"

    def __init__(self) -> None:
        self.closed = False

    def read(self) -> Any:
        return Poll.END

    def close(self) -> None:
        self.closed = True


class PlainSource:
    """A source that knows nothing of positions."""

    time, time_unit = "t", "s"

    def __init__(self) -> None:
        self.reader = PlainReader()

    def schema(self) -> pa.Schema:
        return TABLE.schema

    def open(self, columns: Any, batch_rows: int) -> list[Any]:
        return [self.reader]


class ForgetfulSource(PlainSource):
    """Takes positions and looks at none."""

    def open(self, columns: Any, batch_rows: int, **others: Any) -> list[Any]:
        return [self.reader]


def test_a_source_without_positions_opens_and_says_what_it_lacks_for_checkpoints() -> None:
    source: Any = PlainSource()
    (reader,) = open_source(source, None, 10, {})
    with pytest.raises(PlanError, match="partition 'p' has no position") as caught:
        position_of(reader)
    assert caught.value.place == "PlainReader"
    assert "give it a property position" in caught.value.remedy
    with pytest.raises(PlanError, match=r"its open\(\) takes no positions") as refused:
        open_source(source, None, 10, {"p": {}})
    assert refused.value.place == "PlainSource"
    assert "open(columns, batch_rows, positions=None)" in refused.value.remedy
    with pytest.raises(PlanError, match="has no position"):
        _ = UnionSource.of(source).open(["t"], 10)[0].position


def test_a_source_of_the_users_is_held_to_the_partitions_it_had() -> None:
    source: Any = ForgetfulSource()
    with pytest.raises(SourceError, match="partition 'q' and 1 more was read before"):
        open_source(source, None, 10, {"q": {}, "r": {}})
    assert source.reader.closed
    assert open_source(source, None, 10, {"p": {}}) == [source.reader]
