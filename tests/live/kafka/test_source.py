"""Topics of a real broker as a source: every message once, whatever happens to either side."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition

import eventtime as et
from eventtime.clock import SystemClock
from eventtime.errors import SourceError
from eventtime.parsed import parse
from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import Arrived
from eventtime.sources.kafka.client import Client, Span
from eventtime.sources.mailbox import Mailbox
from live.kafka.topics import SCHEMA, Running, ipc, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kafka_server import KafkaServer
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


def test_partitions_can_be_chosen(topic: MakeTopic) -> None:
    """Whoever reads others; what is not chosen is nobody's silence (S8)."""
    made = topic(3)
    for partition in range(3):
        made.rows(partition, *range(partition, 20))
    chosen = counted(made, partitions=[2, 0])
    assert windows(chosen.run().table()) == [(0, 18), (10, 20)]
    assert f"{made.name}, partitions 0, 2, to its end" in chosen.explain()
    with pytest.raises(et.SourceError, match=r"no partition 3 of '.*': it has 3, from 0"):
        counted(made, partitions=[1, 3]).run()


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


def test_start_is_a_time_or_the_end(topic: MakeTopic) -> None:
    made = topic()
    for second in range(1, 10):
        made.send(0, message(second), timestamp=second * 1_000)
    at = datetime.fromtimestamp(6, tz=UTC)
    assert windows(counted(made, start=at).run().table()) == [(0, 4)]
    assert counted(made, start="latest").run().table().num_rows == 0


def test_a_partition_that_is_new_is_read_from_its_beginning(
    topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S8: found later, it starts from the combined watermark."""
    monkeypatch.setattr("eventtime.sources.kafka.source._DISCOVER_US", 50_000)
    made = topic(1)
    made.rows(0, 1, 2)
    with Running(counted(made, end=None, start="latest")) as running:
        made.rows(0, 11)
        running.until(lambda: running.rows == 1)
        made.widen(2)
        made.rows(1, 12, 13)
        running.until(lambda: running.rows == 3)
    assert sorted(running.ran.ledger.partitions) == [f"{made.name}-0", f"{made.name}-1"]


def test_what_came_while_nothing_ran_is_read_though_nothing_had_come_before(
    topic: MakeTopic, tmp_path: Path
) -> None:
    """S27: a partition that began at its end has a position before its first row."""
    made = topic(2)
    made.rows(0, 1)
    made.rows(1, 1)
    stream = counted(made, end=None, start="latest")
    with Running(stream, checkpoint=tmp_path) as running:
        made.rows(0, 11)
        running.until(lambda: running.rows == 1)
    made.rows(1, 12, 13)
    with Running(stream, checkpoint=tmp_path) as running:
        running.until(lambda: running.rows == 3)
    running.ran.assert_balanced()


def test_a_partition_at_its_end_falls_idle_and_comes_back(topic: MakeTopic) -> None:
    """S6: it no longer holds the others back."""
    made = topic(2)
    made.rows(0, 1)
    stream = read(made, end=None).watermark(et.ascending(), idle_after="100ms")
    sent = 1
    with Running(stream.window(et.tumbling("10s")).aggregate(n=et.count())) as running:

        def fires_while_the_other_goes_on() -> bool:
            nonlocal sent
            sent += 1
            made.rows(1, 25 + sent / 1_000)
            return running.results > 0

        running.until(fires_while_the_other_goes_on)
        made.rows(0, 100)
        running.until(lambda: running.rows == sent + 1)
    assert dict(windows(running.ran.table()))[100] == 1
    running.ran.assert_balanced()


def test_partitions_far_ahead_wait_at_the_broker(topic: MakeTopic) -> None:
    """Alignment: every message once, also of those that were paused again and again."""
    made = topic(2)
    made.rows(0, *range(0, 3_000, 3))
    made.rows(1, *range(1_000))
    stream = read(made).watermark(et.ascending(), max_ahead="20s")
    ran = stream.window(et.tumbling("100s")).aggregate(n=et.count()).run()
    assert sum(n for _, n in windows(ran.table())) == 2_000
    assert ran.side("late").num_rows == 0
    ran.assert_balanced()


def test_the_broker_goes_and_comes_back(broker: KafkaServer, topic: MakeTopic) -> None:
    """The feed goes on; while nobody answers no partition is silent (S6)."""
    made = topic(2)
    stream = read(made, end=None).watermark(et.ascending(), idle_after="1s")
    with Running(stream.window(et.tumbling("10s")).aggregate(n=et.count())) as running:
        made.rows(0, 1, 2)
        made.rows(1, 1, 2)
        running.until(lambda: running.rows == 4)
        broker.kill()
        broker.start()
        made.rows(0, 11, 22)
        made.rows(1, 12, 21)
        running.until(lambda: running.rows == 8)
        running.until(lambda: running.results == 2)
    running.ran.assert_balanced()


def test_messages_behind_the_checkpoint_that_are_gone_are_an_error(
    topic: MakeTopic, tmp_path: Path
) -> None:
    """S27: no silent jump."""
    made = topic()
    made.rows(0, 1, 2)
    with Running(counted(made, end=None), checkpoint=tmp_path) as running:
        running.until(lambda: running.rows == 2)
    made.rows(0, 3, 4, 5)
    made.forget(0, 4)
    with pytest.raises(SourceError, match=r"goes on at offset 2, but the broker keeps only .* 4"):
        counted(made).run(checkpoint=tmp_path)


def test_what_cannot_be_read_is_said_at_the_start(broker: KafkaServer, topic: MakeTopic) -> None:
    def refused(name: str, **more: Any) -> str:
        known: dict[str, Any] = {"servers": broker.servers, "schema": SCHEMA, "time": "t", **more}
        stream = et.read_kafka(name, **known).watermark(et.ascending())
        with pytest.raises(SourceError) as told:
            stream.window(et.tumbling("1s")).aggregate(n=et.count()).run()
        return str(told.value)

    assert "'none' is closed to us: Broker: Unknown topic" in refused("none")
    assert "the client refuses its options" in refused("none", options={"no.such": 1})
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "eventtime",
        "sasl.password": "wrong",
    }
    name = topic().name
    answer = refused(name, servers=broker.servers_with_login, options=login)
    assert "the broker refuses the login" in answer
    right = {**login, "sasl.password": "right"}
    stream = et.read_kafka(
        name, servers=broker.servers_with_login, schema=SCHEMA, time="t", end="now", options=right
    )
    marked = stream.watermark(et.ascending()).window(et.tumbling("1s"))
    assert marked.aggregate(n=et.count()).run().is_finished


def test_live_equals_the_replay_of_the_topic(topic: MakeTopic) -> None:
    """S4: row for row under the order in which the live run took the rows."""
    made, draw = topic(3), np.random.default_rng(3)
    for partition in range(3):
        seconds = np.arange(0, 300, 0.25) - draw.exponential(2, 1_200)
        made.rows(partition, *map(float, seconds + 100))
    stream = counted(made, end=None)
    source: Any = parse(stream.node).sources[0][0]
    taken: list[tuple[str, int]] = []

    class Recorded(Mailbox):
        def take(self, most_rows: int, held: Any) -> Any:
            news = super().take(300, held)
            for each in news:
                if isinstance(each, Arrived):
                    assert not isinstance(each.rows, MalformedRows)
                    taken.append((each.partition, each.rows.num_rows))
            return news

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventtime.sources.kafka.feed.Mailbox", Recorded)
        with Running(stream) as running:
            running.until(lambda: running.rows == 3_600)
    live = running.ran

    rows: dict[str, pa.Table] = {}
    feed = replace(source, is_bounded=True).follow(None, None, SystemClock())
    feed.start(lambda: None)
    while not feed.is_over:
        for news in feed.take(10_000, ()):
            if isinstance(news, Arrived):
                assert isinstance(news.rows, pa.RecordBatch)
                some = pa.Table.from_batches([news.rows])
                known = rows.get(news.partition, some[:0])
                rows[news.partition] = pa.concat_tables([known, some])
    feed.close()
    engine = et.Engine(stream, partitions=sorted(rows))
    for name, n in taken:
        some, rows[name] = rows[name][:n], rows[name][n:]
        engine.push(name, some.combine_chunks().to_batches()[0])
    engine.finish_all()
    assert not any(left.num_rows for left in rows.values())
    assert engine.results().equals(live.table())
    assert live.side("late").num_rows > 0
    assert live.ledger.operators == engine.ledger.operators


def test_offsets_of_all_partitions_are_asked_for_at_once(topic: MakeTopic) -> None:
    """They are those of each by itself: emptied, empty, and in front of an open transaction."""
    made = topic(4)
    made.rows(0, 1, 2, 3)
    made.forget(0, 2)
    made.rows(1, 1)
    producer = Producer({"bootstrap.servers": made.servers, "transactional.id": made.name})
    producer.init_transactions(60)
    producer.begin_transaction()
    for partition in (1, 2):
        producer.produce(made.name, message(5), partition=partition)
    producer.flush(60)
    client = Client(made.servers, None, (), "here")
    spans = client.spans(client.partitions([made.name]))
    alone = {
        each: Span(*client.consumer.get_watermark_offsets(TopicPartition(*each)))
        for each in client.partitions([made.name])
    }
    client.close()
    producer.abort_transaction(60)
    assert spans == alone
    assert [tuple(span) for span in spans.values()] == [(2, 3), (0, 1), (0, 0), (0, 0)]
