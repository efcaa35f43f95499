"""Redis on a server: streams followed, sinks by the kit, what is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import redis

import eventtime as et
from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import Arrived, Silent
from eventtime.testing import SINK_CHECKS, SinkCase
from eventtime.testing.sinks import values_of_every_type_come_back
from live.sources.test_sockets import bad, numbers, source
from live.sources.test_wire import SCHEMA
from live.sources.waiting import taken_until, until
from sink_cases import KILLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventtime.sinks.epochs import EpochSink
    from eventtime.sources.base import Position
    from eventtime.sources.feed import News


@contextlib.contextmanager
def client(url: str) -> Iterator[Any]:
    with contextlib.closing(redis.Redis.from_url(url)) as connection:
        yield connection


def name_of(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def read(url: str, folder: Path, key: list[str] | None) -> list[dict[str, Any]]:
    with client(url) as connection:
        name = name_of(folder)
        if key is None:
            return [json.loads(entry[b"row"]) for _, entry in connection.xrange(name)]
        return [json.loads(row) for row in connection.hvals(name)]


@pytest.mark.parametrize("key", [None, ["n"]], ids=["stream", "hash"])
@pytest.mark.parametrize(
    "check",
    # What JSON makes of each type does not depend on where it is written.
    [check for check in SINK_CHECKS if check is not values_of_every_type_come_back],
    ids=lambda check: check.__name__,
)
def test_redis_passes_the_kit(
    check: Callable[..., Any], key: list[str] | None, tmp_path: Path, redis_url: str
) -> None:
    """S28: killed anywhere, each epoch is there whole, once."""

    def make(folder: Path) -> EpochSink:
        name = name_of(folder)
        if key is None:
            return et.to_redis(redis_url, stream=name)
        return et.to_redis(redis_url, hash=name, key=key)

    case = SinkCase(make, lambda folder: read(redis_url, folder, key), kills=KILLS)
    check(case, tmp_path / "case")


def windows(url: str, stream: str, **more: Any) -> et.Stream:
    read_from = et.read_redis(url, stream, schema=SCHEMA, time="t", time_unit="s", **more)
    marked = read_from.watermark(et.ascending()).window(et.tumbling("10s"))
    return marked.aggregate(n=et.count())


def test_a_run_goes_from_stream_to_stream_over_a_restart(tmp_path: Path, redis_url: str) -> None:
    """S28: every entry once, every result once."""
    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    with client(redis_url) as connection:
        for first, last, drain in ((0, 33, False), (33, 60, True)):
            for n in range(first, last):
                connection.xadd("in", {"row": json.dumps({"t": n})})

            def stop(last: int = last) -> bool:
                return seen[0] >= last

            windows(redis_url, "in", field="row").run(
                et.to_redis(redis_url, stream="out"),
                checkpoint=tmp_path,
                progress=watch,
                stop=stop,
                drain=drain,
            )
        counts = [json.loads(entry[b"row"])["n"] for _, entry in connection.xrange("out")]
    assert counts == [10] * 6


def silent(news: list[News]) -> list[str]:
    return [name for item in news if isinstance(item, Silent) for name in item.partitions]


def stands_at(news: list[News]) -> Position:
    return [item.position for item in news if isinstance(item, Arrived)][-1]


def good(news: list[News]) -> list[dict[str, Any]]:
    batches = [item.rows for item in news if isinstance(item, Arrived)]
    whole = [rows for rows in batches if not isinstance(rows, MalformedRows)]
    return [row for rows in whole for row in rows.to_pylist()]


def followed(url: str, streams: Any, positions: Any = None, **more: Any) -> Any:
    stream = et.read_redis(url, streams, schema=SCHEMA, time="t", time_unit="s", **more)
    feed = source(stream).follow(None, positions, et.SystemClock())
    feed.start(lambda: None)
    return feed


@pytest.mark.parametrize("field", [None, "json"])
def test_entries_that_do_not_fit_are_told_with_their_ids(redis_url: str, field: Any) -> None:
    """S6, S12: among others that do."""
    name = f"mixed-{field}"
    values: list[dict[str, str]] = [{"t": "1", "x": "a"}, {"t": "soon"}, {"t": "3"}, {"t": "4"}]
    with client(redis_url) as connection:
        ids = [
            connection.xadd(name, value if field is None else {field: json.dumps(value)}).decode()
            for value in values
        ]
        if field:
            ids.append(connection.xadd(name, {field: " "}).decode())
    feed = followed(redis_url, [name, "quiet"], field=field)
    news = taken_until(feed, lambda news: "quiet" in silent(news))
    news += taken_until(feed, lambda _: bool(numbers(news)) or True)
    feed.close()
    if field is None:
        assert numbers(news) == [1, 3, 4]
        assert [row["error"].partition(": ")[0] for row in bad(news)] == [f"{name}, id='{ids[1]}'"]
    else:  # numbers in quotes are none in JSON
        assert len(bad(news)) == 5
        assert all(f"entry {i}: " in row["error"] for i, row in zip(ids, bad(news), strict=True))


def test_what_cannot_be_followed_is_refused(redis_url: str) -> None:
    with client(redis_url) as connection:
        connection.set("text", "x")
        for n in range(9):
            connection.xadd("trimmed", {"t": str(n)})
        connection.xtrim("trimmed", maxlen=2, approximate=False)
    with pytest.raises(et.SourceError, match="'text' is a string and no stream"):
        followed(redis_url, "text")
    with pytest.raises(et.SourceError, match="7 entries of 'trimmed' are gone, of which 3"):
        followed(redis_url, "trimmed", {"trimmed": {"id": "1-1", "rows": 3, "gone": 0}})


def test_what_was_trimmed_before_a_run_began_does_not_stop_it_from_going_on(redis_url: str) -> None:
    """S28: streams with a length at most are trimmed all the time."""
    with client(redis_url) as connection:
        for n in range(50):
            connection.xadd("short", {"t": str(n)}, maxlen=5, approximate=False)
        feed = followed(redis_url, "short")
        first = taken_until(feed, lambda news: len(numbers(news)) == 5)
        feed.close()
        for n in range(50, 53):
            connection.xadd("short", {"t": str(n)}, maxlen=5, approximate=False)
        feed = followed(redis_url, "short", {"short": stands_at(first)})
        assert numbers(taken_until(feed, lambda news: len(numbers(news)) == 3)) == [50, 51, 52]
        feed.close()


def test_entries_that_are_trimmed_before_they_are_read_end_the_run(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventtime.sources.redis_streams._MOST_ENTRIES", 10)
    monkeypatch.setattr("eventtime.sources.mailbox._MOST_ROWS", 20)
    with client(redis_url) as connection:
        for n in range(100):
            connection.xadd("left behind", {"t": str(n)})
        feed = followed(redis_url, "left behind")
        until(lambda: not feed._mail.has_room("left behind"), "the queue is not full")
        connection.xtrim("left behind", maxlen=30, approximate=False)
        with pytest.raises(
            et.SourceError, match="70 entries of 'left behind' are gone, of which 20"
        ):
            taken_until(feed, lambda _: False)
        feed.close()


def test_bytes_stay_what_they_are_and_no_text_is_made_of_what_is_none(redis_url: str) -> None:
    values = {b"t": b"1", b"x": b"\xff\n", b"b": b"\xff\n"}
    schema = {"t": pa.int64(), "x": pa.string(), "b": pa.binary()}
    with client(redis_url) as connection:
        connection.xadd("bytes", values)
        connection.xadd("bytes", {**values, b"x": "é".encode()})
    stream = et.read_redis(redis_url, "bytes", schema=schema, time="t", time_unit="s")
    feed = source(stream).follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    news = taken_until(feed, lambda news: len(bad(news)) == 1 and bool(good(news)))
    feed.close()
    assert good(news) == [{"t": 1, "x": "é", "b": b"\xff\n"}]
    assert "was not a utf8 string" in bad(news)[0]["error"]


def test_a_server_that_does_not_answer_is_a_clear_error(tmp_path: Path) -> None:
    url = f"unix://me:secret@{tmp_path}/none"
    with pytest.raises(et.SourceError, match="cannot be reached") as raised:
        followed(url, "x")
    assert "secret" not in str(raised.value)
    with pytest.raises(et.SourceError, match="does not take this address"):
        followed(f"unix://{tmp_path}/none?patience=5", "x")
    with pytest.raises(et.PlanError) as refused:
        followed("redis://:sec/ret@host:1", "x")
    assert not any(part in str(refused.value) for part in ("sec", "ret@"))
    with pytest.raises(et.SinkError, match="cannot be reached"):
        et.to_redis(url, stream="x").open_epochs(SCHEMA, "job")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://x"},
        {"stream": None},
        {"hash": "h"},
        {"stream": None, "hash": "h"},
        {"key": ["t"]},
        {"delivery": "twice"},
    ],
)
def test_wrong_arguments_of_the_sink_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(et.PlanError):
        et.to_redis(**{"url": "redis://x", "stream": "s", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": 5},
        {"url": "redis://host:port"},
        {"url": "redis://host/three"},
        {"streams": []},
        {"field": ""},
        {"time": "y"},
    ],
)
def test_wrong_arguments_of_the_source_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"url": "redis://x", "streams": "s", "schema": SCHEMA, "time": "t"}
    with pytest.raises(et.PlanError):
        et.read_redis(**{**right, "time_unit": "s", **wrong})


def test_a_key_must_be_a_column(redis_url: str) -> None:
    with pytest.raises(et.SinkError, match="no column 'y'"):
        et.to_redis(redis_url, hash="h", key=["y"]).open_epochs(pa.schema({"x": pa.int8()}), "job")
