"""Members of a group on a real broker: each message is read by one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from live.kafka.jobs import Member, run_member, started
from live.kafka.topics import SCHEMA, Running, message, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kafka_server import KafkaServer
    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]


def member(topic: Topic, **more: Any) -> et.Stream:
    how: dict[str, Any] = {"options": {"heartbeat.interval.ms": 300}, **more}
    rows = et.read_kafka(
        topic.name, servers=topic.servers, time="t", schema=SCHEMA, group=topic.name, **how
    )
    marked = rows.watermark(et.bounded_disorder("1h"))
    return marked.window(et.tumbling("10s")).aggregate(n=et.count())


def total(run: et.Run) -> int:
    return sum(run.table().column("n").to_pylist())


@pytest.mark.parametrize("saves", [False, True])
def test_members_share_the_partitions_and_hand_them_over(
    topic: MakeTopic, tmp_path: Path, *, saves: bool
) -> None:
    """Found and Left as others come and go; every message counts once, in one of them."""
    made = topic(4)

    def running(name: str) -> Running:
        state = et.checkpoints(tmp_path / name, every="1h")
        return Running(member(made), drain=True, **{"checkpoint": state} if saves else {})

    def send(rounds: int) -> int:
        for partition in range(4):
            made.rows(partition, *range(rounds))
        return 4 * rounds

    with running("a") as one:
        sent = send(50)
        one.until(lambda: one.rows == sent)
        with running("b") as two:

            def both_have_some() -> bool:
                nonlocal sent
                sent += send(1)
                return two.rows > 0

            two.until(both_have_some)
            two.until(lambda: one.rows + two.rows == sent)
        sent += send(10)
        one.until(lambda: one.rows + total(two.ran) == sent)
    assert total(one.ran) + total(two.ran) == sent
    one.ran.assert_balanced()
    two.ran.assert_balanced()


def test_a_group_goes_on_where_its_checkpoint_stands(topic: MakeTopic, tmp_path: Path) -> None:
    """S27: committed offsets are those of the checkpoint, for others to see."""
    made = topic(2)
    made.rows(0, 1, 2)
    made.rows(1, 3)
    with Running(member(made), checkpoint=tmp_path) as running:
        running.until(lambda: running.rows == 3)
    assert made.committed(made.name) == {0: 2, 1: 1}
    made.rows(0, 4)
    with Running(member(made), checkpoint=tmp_path) as running:
        running.until(lambda: running.rows == 4)
    assert made.committed(made.name) == {0: 3, 1: 1}
    running.ran.assert_balanced()


def test_what_a_killed_member_had_goes_to_another(
    broker: KafkaServer, topic: MakeTopic, tmp_path: Path
) -> None:
    """S28: what its checkpoint holds counts there, everything behind it in who takes over."""
    made, sent = topic(4), 0

    def send() -> None:
        nonlocal sent
        for partition in range(4):
            made.rows(partition, sent)
        sent += 4

    one, other = (Member(broker.servers, made.name, str(tmp_path / name)) for name in "ab")
    with Running(one.stream()) as stays:
        with Running(other.stream(), checkpoint=other.folder) as first:
            while not first.rows:
                send()
        stored = first.ran.ledger.total.rows_in
        process, tell = started(run_member, other)
        while not tell.poll(0.05) or tell.recv() < stored + 10:
            send()
        process.kill()
        process.join()
        with Running(other.stream(), checkpoint=other.folder, drain=True) as again:
            stays.until(lambda: stays.rows + again.rows == sent)
    assert again.ran.ledger.total.rows_in >= stored > 0
    assert total(stays.ran) + total(again.ran) == sent
    stays.ran.assert_balanced()
    again.ran.assert_balanced()


def test_a_member_that_is_killed_after_it_gave_a_partition_away_loses_nothing(
    broker: KafkaServer, topic: MakeTopic, tmp_path: Path
) -> None:
    """S28: it went behind a checkpoint that holds all that was taken of it, though none was due."""
    made = topic(2)
    one, other = (Member(broker.servers, made.name, str(tmp_path / name)) for name in "ab")
    for partition in (0, 1):
        made.rows(partition, *range(50))
    process, tell = started(run_member, one)
    until(lambda: tell.recv() == 100)
    assert set(made.committed(made.name).values()) == {0}
    with Running(other.stream(), checkpoint=other.folder, drain=True) as stays:
        stays.until(lambda: set(made.committed(made.name).values()) == {50})
        process.kill()
        process.join()
        for partition in (0, 1):
            made.rows(partition, 50)
        stays.until(lambda: stays.rows == 2)
    with Running(one.stream(), checkpoint=one.folder, drain=True) as again:
        pass
    assert (total(stays.ran), total(again.ran)) == (2, 100)
    stays.ran.assert_balanced()
    again.ran.assert_balanced()


def test_a_partition_that_is_added_is_read_from_its_beginning(topic: MakeTopic) -> None:
    """S8: by whom the group gives it to, also where the others began at a time."""
    made = topic(1)
    for second in (1, 6):
        made.send(0, message(second), timestamp=second * 1_000)
    how: dict[str, Any] = {
        "start": datetime.fromtimestamp(5, UTC),
        "options": {"topic.metadata.refresh.interval.ms": 500, "heartbeat.interval.ms": 300},
    }
    with Running(member(made, **how)) as running:
        running.until(lambda: running.rows == 1)
        made.widen(2)
        made.send(1, message(7), message(8), timestamp=2_000)
        running.until(lambda: running.rows == 3)
    assert sorted(running.ran.ledger.partitions) == [f"{made.name}-0", f"{made.name}-1"]
    running.ran.assert_balanced()
