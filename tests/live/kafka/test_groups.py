"""Members of a group on a real broker: each message is read by one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import eventtime as et
from live.kafka.topics import SCHEMA, Running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]


def member(topic: Topic, **more: Any) -> et.Stream:
    rows = et.read_kafka(
        topic.name, servers=topic.servers, time="t", schema=SCHEMA, group=topic.name, **more
    )
    marked = rows.watermark(et.bounded_disorder("1h"))
    return marked.window(et.tumbling("10s")).aggregate(n=et.count())


def total(run: et.Run) -> int:
    return sum(run.table().column("n").to_pylist())


def test_members_share_the_partitions_and_hand_them_over(topic: MakeTopic) -> None:
    """Found and Left as others come and go; every message counts once, in one of them."""
    made = topic(4)

    def send(rounds: int) -> int:
        for partition in range(4):
            made.rows(partition, *range(rounds))
        return 4 * rounds

    with Running(member(made)) as one:
        sent = send(50)
        one.until(lambda: one.rows == sent)
        with Running(member(made)) as two:

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
