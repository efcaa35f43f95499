"""Rows that nobody sends again: a run that is tried again in its process has them once more."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import resource
import socket
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.clock import ManualClock
from eventtime.sources.feed import Arrived, Ended, Found, Left, Silent
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.unsettled import Unsettled
from live.script import rows
from live.sources.test_sockets import connected, has, numbers, source
from live.sources.test_wire import SCHEMA
from live.sources.waiting import taken_until

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.sources.feed import News


class Door:
    """Posts rows to a port, each request on a connection of its own."""

    def __init__(self) -> None:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.accepted = 0

    def post(self, rows: int, second: int, path: str = "/events") -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(client) as it:
            body = b'{"t": %d}\n' % second * rows
            it.request("POST", path, body, {"Connection": "close"})
            self.accepted += json.loads(it.getresponse().read()).get("accepted", 0)


class Breaking:
    """A sink whose first commit of rows fails, when more has just been accepted."""

    delivery = guarantee = "at_least_once"

    def __init__(self, door: Door) -> None:
        self.door, self.has_failed = door, False
        self.counts: Counter[int] = Counter()

    def open(self, schema: Any) -> Any:
        return self

    def open_epochs(self, schema: Any, job: str) -> Any:
        return self

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: list[pa.RecordBatch], token: int) -> None:
        found = [row for batch in batches for row in batch.to_pylist()]
        if found and not self.has_failed:
            self.has_failed = True
            self.door.post(5, 21)
            self.door.post(1, 22, "/events?partition=new")
            msg = "the disk is full"
            raise et.SinkError(msg)
        self.counts.update({row["window_start"]: row["n"] for row in found})

    def close(self) -> None:
        pass

    def describe(self) -> str:
        return "breaking"


@pytest.mark.parametrize("has_cut", [False, True])
@pytest.mark.parametrize("has_journal", [False, True])
def test_what_was_accepted_counts_once_though_the_sink_fails(
    tmp_path: Path, *, has_cut: bool, has_journal: bool
) -> None:
    """S26, S28: rows that were answered with 202, windowed, in a checkpoint or in the queue."""
    door = Door()
    sink: Any = Breaking(door)
    turns = [0]

    def stop() -> bool:
        # Asked behind each turn: what is posted here is taken by the next one.
        turns[0] += 1
        if turns[0] <= 2:
            door.post((3, 4)[turns[0] - 1], (1, 20)[turns[0] - 1])
        return bool(sink.has_failed)

    stream = et.read_http(f":{door.port}", schema=SCHEMA, time="t", time_unit="s")
    windows = stream.watermark(et.ascending()).window(et.tumbling("10s")).aggregate(n=et.count())
    ran = windows.run(
        sink,
        checkpoint=et.checkpoints(
            tmp_path / "state", every=None, when=lambda: has_cut and turns[0] == 2
        ),
        restart=et.restart(sleep=lambda seconds: None, told=lambda text: None),
        journal=tmp_path / "run.journal" if has_journal else None,
        stop=stop,
        drain=True,
    )
    assert door.accepted == 13
    assert ran.report.restarts == 1
    assert ran.ledger.total.rows_in == 13
    ran.assert_balanced()
    assert sink.counts == {0: 3, 20: 10}


def test_a_run_goes_on_though_no_checkpoint_would_be_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S28: what is kept asks for one; until it is durable POSTs are refused."""
    monkeypatch.setattr("eventtime.sources.unsettled._MOST_BYTES", 4_000)
    door = Door()

    def stop() -> bool:
        door.post(1, 1)
        return door.accepted == 10

    stream = et.read_http(f":{door.port}", schema=SCHEMA, time="t", time_unit="s")
    windows = stream.watermark(et.ascending()).window(et.tumbling("10s")).aggregate(n=et.count())
    points = et.checkpoints(tmp_path / "state", every=None, every_rows=1_000_000)
    ran = windows.run(checkpoint=points, restart=et.restart(), stop=stop, drain=True)
    assert ran.table().column("n").to_pylist() == [10]
    assert ran.report.checkpoint is not None
    assert ran.report.checkpoint.number > 3


class Counting(et.ProcessFunction):
    """Tells with each row how many broadcast rows it knows."""

    told: Any = et.broadcast_state(pa.string(), pa.int64())

    def on_broadcast(self, ctx: Any, name: str, row: Any) -> None:
        self.told[name] = (self.told.get(name) or 0) + 1

    def on_row(self, ctx: Any, row: Any) -> None:
        ctx.emit(n=self.told.get("rules") or 0)


def test_rows_of_a_broadcast_stream_count_once_though_a_sink_fails(tmp_path: Path) -> None:
    """S28."""
    rules, door = Door(), Door()
    turns, fails = [0], [True]

    def stop() -> bool:
        turns[0] += 1
        if turns[0] == 1:
            rules.post(3, 1)
            door.post(2, 5)
        if fails and turns[0] == 3:
            fails.clear()
            msg = "the disk is full"
            raise OSError(msg)
        return not fails

    def read(port: int) -> et.Stream:
        return et.read_http(f":{port}", schema=SCHEMA, time="t", time_unit="s")

    keyed = read(door.port).watermark(et.ascending()).key_by("x")
    output = pa.schema({"n": pa.int64()})
    counted = keyed.process(Counting(), output=output, broadcast={"rules": read(rules.port)})
    ran = counted.run(
        checkpoint=et.checkpoints(tmp_path / "state", every="1h"),
        restart=et.restart(sleep=lambda seconds: None, told=lambda text: None),
        stop=stop,
        drain=True,
    )
    assert ran.report.restarts == 1
    assert ran.table().column("n").to_pylist() == [0, 3]


def test_the_live_side_of_a_hybrid_is_kept() -> None:
    live = et.read_stdin(schema=SCHEMA, time="t", time_unit="s")
    both = source(et.hybrid(et.from_arrow(SCHEMA.empty_table(), time="t", time_unit="s"), live))
    kept = Unsettled()
    assert both.keeping(kept).then.unsettled is kept
    other = replace(both, then=source(et.generate(1, rows=1)))
    assert other.keeping(kept) is other


def mailbox(unsettled: Unsettled, *names: str) -> Mailbox:
    mail = Mailbox(ManualClock(), unsettled)
    for name in names:
        mail.add(name, is_found=False)
    mail.hand_back()
    return mail


def at(news: list[News]) -> list[tuple[str, int]]:
    return [(n.partition, n.position["rows"]) for n in news if isinstance(n, Arrived)]


def test_what_a_checkpoint_holds_is_not_handed_over_again() -> None:
    """S28: not even if nobody said so but the positions that the next attempt begins with."""
    kept = Unsettled()
    mail = mailbox(kept, "a", "b")
    for n in range(4):
        mail.put("a", rows(n), {"rows": n + 1}, is_quiet=True)
    assert at(mail.take(2, ())) == [("a", 2)]
    mail.put("b", rows(7), {"rows": 1})
    mail.settled({"a": {"rows": 2}})
    assert at(mail.take(100, ())) == [("a", 4), ("b", 1)]
    assert kept.resume({"a": {"rows": 2}}) == {"a": 4, "b": 1}
    again = mailbox(kept, "a")
    news = again.take(100, ())
    assert (news[0], at(news), news[-1]) == (Found("b"), [("a", 4), ("b", 1)], Silent(["a", "b"]))
    assert kept.resume({"a": {"rows": 4}, "b": {"rows": 1}}) == {"a": 4, "b": 1}
    assert mailbox(kept, "a").take(100, ()) == [] == list(kept.hand_back())


def test_it_is_bounded_and_asks_for_a_checkpoint_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in the queue is bounded by the queue."""
    monkeypatch.setattr("eventtime.sources.unsettled._MOST_BYTES", 4_000)
    kept = Unsettled()
    mail = mailbox(kept, "a")
    asked = []
    for n in range(4):
        assert mail.has_room("a")
        mail.put("a", rows(n), {"rows": n + 1})
        mail.take(100, ())
        asked.append(kept.wants_cut())
    assert not mail.has_room("a")
    assert asked == [False, True, False, True]
    mail.settled({"a": {"rows": 1}})
    assert mail.has_room("a")
    mail.put("a", rows(9), {"rows": 5})
    mail.take(100, ())
    assert not mail.has_room("a")
    kept.resume({"a": {"rows": 1}})
    assert mailbox(kept, "a").has_room("a")


def test_rows_of_a_connection_come_back_and_it_leaves(tmp_path: Path) -> None:
    """S8: the connection itself was cut off; another one of its number goes on behind them."""
    address = f"unix:{tmp_path}/s"
    listening = source(et.read_socket(address, schema=SCHEMA, time="t", time_unit="s"))
    listening = listening.keeping(Unsettled())
    feed = listening.follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    with connected(tmp_path / "s") as client:
        client.sendall(b'{"t": 1}\n{"t": 2}\n')
        news = taken_until(feed, lambda news: len(numbers(news)) == 2)
        positions = {"connection-1": {"rows": 2}}
        client.sendall(b'{"t": 3}\n')
        taken_until(feed, numbers)  # type: ignore[arg-type]
        feed.close()
    again = listening.follow(None, positions, et.SystemClock())
    assert list(again.known) == []
    again.start(lambda: None)
    news = taken_until(again, has(Left("connection-1")))
    assert news[0] == Found("connection-1")
    assert numbers(news) == [3]
    with connected(tmp_path / "s") as client:
        client.sendall(b'{"t": 4}\n')
        news = taken_until(again, numbers)  # type: ignore[arg-type]
    assert at(news) == [("connection-1", 4)]
    again.close()


def test_a_pipe_goes_on_in_the_middle_of_a_line_and_ends_once() -> None:
    """S9: what was read of it is not in it any more."""
    read, write = os.pipe()
    stdin = source(et.read_stdin(schema=SCHEMA, time="t", time_unit="s"))
    stdin = replace(stdin, descriptor=read).keeping(Unsettled())

    def followed(positions: Any) -> Any:
        feed = stdin.follow(None, positions, et.SystemClock())
        feed.start(lambda: None)
        return feed

    feed = followed(None)
    os.write(write, b'{"t": 1}\n{"t"')
    taken_until(feed, numbers)  # type: ignore[arg-type]
    feed.close()
    feed = followed(None)
    os.write(write, b": 2}\n")
    os.close(write)
    assert numbers(taken_until(feed, has(Ended("stdin")))) == [1, 2]
    feed.close()
    os.close(read)
    feed = followed({"stdin": {"rows": 1}})
    assert numbers(taken_until(feed, has(Ended("stdin")))) == [2]
    assert feed.is_over
    feed.close()


def test_a_pipe_of_a_process_with_many_files_open_is_read() -> None:
    """S9: `select` would take no descriptor above 1,023."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2_048), limits[1]))
    try:
        read, write = os.pipe()
        high = fcntl.fcntl(read, fcntl.F_DUPFD, 1_500)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    stdin = source(et.read_stdin(schema=SCHEMA, time="t", time_unit="s"))
    feed = replace(stdin, descriptor=high).follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    os.write(write, b'{"t": 1}\n')
    os.close(write)
    assert numbers(taken_until(feed, has(Ended("stdin")))) == [1]
    feed.close()
    os.close(read)
    os.close(high)
