"""Topics of a real broker as a source: every message once, whatever happens to either side."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import eventtime as et
from live.kafka.topics import SCHEMA, ipc, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]


def read(topic: Topic, **more: Any) -> et.Stream:
    known = {"time": "t", "schema": SCHEMA, "end": "now", **more}
    return et.read_kafka(topic.name, servers=topic.servers, **known)


def counted(topic: Topic, **more: Any) -> et.Stream:
    marked = read(topic, **more).watermark(et.bounded_disorder("1s"))
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"))


def windows(table: pa.Table) -> list[tuple[float, int]]:
    starts = [t.timestamp() for t in table.column("window_start").to_pylist()]
    return list(zip(starts, table.column("n").to_pylist(), strict=True))


def test_a_topic_is_read_to_its_end_of_now(topic: MakeTopic) -> None:
    """S9: also a partition that is empty."""
    made = topic(3)
    made.rows(0, 1, 5, 12, 21)
    made.rows(2, 2, 14, 29)
    ran = counted(made).run()
    assert windows(ran.table()) == [(0, 3), (10, 2), (20, 2)]
    assert sorted(ran.ledger.partitions) == [f"{made.name}-{i}" for i in range(3)]
    ran.assert_balanced()


def test_timestamps_keys_and_headers_are_columns(topic: MakeTopic) -> None:
    made = topic()
    made.send(0, b'{"x": 1}', timestamp=5_000, key=b"k", headers=[("h", b"1"), ("h", b"2")])
    made.send(0, b'{"x": 2}\n{"x": 3}\n', timestamp=6_000)
    stream = et.read_kafka(
        made.name,
        servers=made.servers,
        schema={"x": pa.int64()},
        key="key",
        headers="headers",
        end="now",
    )
    marked = stream.watermark(et.ascending()).window(et.tumbling("10s"))
    found = marked.aggregate(x=et.collect("x"), key=et.collect("key"), at=et.max("timestamp"))
    [row] = found.run().table().to_pylist()
    assert (row["x"], row["key"], row["at"].timestamp()) == ([1, 2, 3], [b"k"], 6)


def test_what_does_not_parse_is_set_aside_with_its_place(topic: MakeTopic) -> None:
    made = topic()
    made.rows(0, 1, 2)
    made.send(0, message(3, "no number"), None, b"{", b"", b"\xff")
    made.rows(0, 4)
    made.send(0, message(5).replace(b" ", b"\n"))
    ran = counted(made).run()
    assert windows(ran.table()) == [(0, 4)]
    aside = ran.side("quarantine").to_pylist()
    assert [row["line"] for row in aside] == [2, 3, 4, 5, 6]
    assert aside[0]["raw"] == message(3, "no number").decode()
    assert aside[1]["detail"].startswith(
        f"topic '{made.name}', partition 0, offset 3: it has no value"
    )
    ran.assert_balanced()


def test_arrow_payloads_hold_many_rows(topic: MakeTopic) -> None:
    made = topic(2)
    schema = pa.schema([("x", pa.int32()), ("more", pa.string()), SCHEMA.field("t")])
    for partition in (0, 1):
        rows = [{"t": i * 1_000_000, "x": 1, "more": "a"} for i in range(20)]
        made.send(partition, ipc(rows[:15], schema), ipc([], schema), ipc(rows[15:], schema))
    made.send(0, b"no arrow")
    ran = counted(made, value="arrow").run()
    assert windows(ran.table()) == [(0, 20), (10, 20)]
    assert ran.side("quarantine").num_rows == 1


def test_a_run_goes_on_from_its_checkpoint(topic: MakeTopic, tmp_path: Path) -> None:
    """S27, S28: every message counts once, over three runs."""
    made = topic(2)
    for part in range(3):
        for partition in (0, 1):
            made.rows(partition, *(part * 30 + i for i in range(30)))
        reports: list[et.ProgressReport] = []
        wanted = 60 * (part + 1)
        ran = counted(made, end=None).run(
            et.to_sqlite(tmp_path / "out.db", table="out"),
            checkpoint=tmp_path / "state",
            progress=reports.append,
            stop=lambda: bool(reports) and reports[-1].rows == wanted,  # noqa: B023
        )
        assert not ran.is_finished
    ran = counted(made).run(
        et.to_sqlite(tmp_path / "out.db", table="out"), checkpoint=tmp_path / "state"
    )
    assert ran.is_finished
    with contextlib.closing(sqlite3.connect(tmp_path / "out.db")) as database:
        rows = database.execute("SELECT n FROM out ORDER BY window_start").fetchall()
    assert rows == [(20,)] * 9
