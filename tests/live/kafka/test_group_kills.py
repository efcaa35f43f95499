"""Members of a group that are killed at random: no row is lost, whoever had it.

The usual form kills one of two once, `EVENTTIME_KILLS=nightly` one of three thirty times.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from live.kafka.jobs import Member, run_member, started
from live.kafka.topics import Running, message, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from kafka_server import KafkaServer
    from live.kafka.topics import Topic

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
KILLS, MEMBERS = (30, "abc") if NIGHTLY else (1, "ab")
PARTITIONS: Final = 6
ROWS: Final = 10


def killed(process: BaseProcess) -> None:
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL  # until then it worked


@pytest.mark.slow
@pytest.mark.timeout(3_000 if NIGHTLY else 300)
def test_no_row_is_lost_whichever_member_is_killed(
    broker: KafkaServer, topic: Callable[..., Topic], tmp_path: Path
) -> None:
    """S28: what its checkpoint holds counts there, the rest in others.

    Rows count twice of a checkpoint that was durable and not committed yet, for a tenth of a
    second; and where the group took a member for dead that was slow.
    """
    made, draw, numbers = topic(PARTITIONS), np.random.default_rng(9), itertools.count()

    def send() -> None:
        for partition in range(PARTITIONS):
            some = itertools.islice(numbers, ROWS)
            made.send(partition, *(message(number % 1_000, number) for number in some))

    members = [Member(broker.servers, made.name, str(tmp_path / n), "300ms") for n in MEMBERS]
    at_work = [started(run_member, each) for each in members]
    for _ in range(KILLS):
        which = int(draw.integers(0, len(members)))
        for _ in range(int(draw.integers(1, 8))):
            send()
            at_work[which][0].join(float(draw.random()) / 2)
        killed(at_work[which][0])
        at_work[which] = started(run_member, members[which])
    for process, _ in at_work:
        killed(process)
    send()
    sent = next(numbers)
    with ExitStack() as stack:
        last = [
            stack.enter_context(Running(it.stream(), checkpoint=it.checkpoints, drain=True))
            for it in members
        ]
        ends = dict.fromkeys(range(PARTITIONS), sent // PARTITIONS)
        until(lambda: made.committed(made.name) == ends)
    found = Counter[int]()
    for running in last:
        running.ran.assert_balanced()
        for kept in running.ran.table().column("x").to_pylist():
            found.update(kept)
    assert sorted(found) == list(range(sent))
