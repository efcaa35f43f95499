"""The feed over a client that is none: how polls are sorted out, and how it ends."""

from __future__ import annotations

import functools
import logging
import threading
from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from eventtime.clock import ManualClock
from eventtime.sources.base import count_of
from eventtime.sources.feed import Arrived, Silent
from eventtime.sources.kafka.feed import KafkaFeed
from eventtime.sources.kafka.lane import Lane
from eventtime.sources.kafka.messages import Decoder
from eventtime.sources.kafka.outage import Outage
from eventtime.sources.kafka.payloads import Parsed, RawPayload
from eventtime.sources.kafka.polled import Polled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOUND_S = 60


@dataclass
class Told:
    """A message as a poll brings it."""

    place: tuple[str, int]
    number: int
    says: str | None = None

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes:
        return b"x"

    def error(self) -> KafkaError | None:
        known = {"end": KafkaError._PARTITION_EOF, "trouble": KafkaError._TRANSPORT}
        return KafkaError(known[self.says]) if self.says else None


PLACES = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2))


@given(
    told=st.lists(st.tuples(PLACES, st.sampled_from([None, None, "end", "trouble"])), min_size=1),
    cut=st.integers(1, 9),
)
def test_messages_are_sorted_out_in_their_order(
    told: list[tuple[tuple[str, int], str | None]], cut: int
) -> None:
    """However many come at a time, of several topics or of one; ends count once, the last time."""
    polled = [Told(place, i, says) for i, (place, says) in enumerate(told)]
    for topics in (["a", "b"], ["a"]):
        some = [each for each in polled if each.topic() in topics]
        lanes = {each.place: Lane(*each.place, offset=0) for each in some}
        sorted_out = Polled(topics, {"number": methodcaller("offset")}, lanes)
        for start in range(0, len(some), cut):
            assert sorted_out.add(some[start : start + cut]) == len(some[start : start + cut])
        assert sorted_out.troubles == [each for each in some if each.says == "trouble"]
        ends = {each.place: each.number for each in some if each.says == "end"}
        assert {lane.place: offset for lane, offset in sorted_out.ends} == ends
        wanted: dict[tuple[str, int], list[int]] = {}
        for each in some:
            if not each.says:
                wanted.setdefault(each.place, []).append(each.number)
        found = {lane.place: those for lane, those in sorted_out.by_lane}
        assert {place: list(those.offsets) for place, those in found.items()} == wanted
        assert {place: those.beside["number"] for place, those in found.items()} == wanted
        assert all(those.values == [b"x"] * len(those) for those in found.values())


@dataclass(frozen=True)
class Hanging(RawPayload):
    """Waits, as for a registry, until it is let go."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        self.asked.set()
        self.let_go.wait(BOUND_S)
        return super().parse(values)


@dataclass
class Going:
    """Polls what it is given, in as many steps; what is no message happens in between."""

    steps: list[list[Told] | Callable[[], None]]
    troubles: Any = field(default_factory=lambda: type("Troubles", (), {"is_cut_off": False}))
    dry: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)

    def assign(self, lanes: Sequence[Lane]) -> None:
        """Read them."""

    def poll(self, take: Callable[[list[Any]], int], most: int, wait_s: float) -> None:
        for step in self.steps:
            if isinstance(step, list):
                take(step)
            else:
                step()
        if not self.steps and wait_s:
            self.dry.set()
            self.closed.wait(0.01)
        self.steps = []

    def close(self) -> None:
        self.closed.set()


def messages(first: int, end: int) -> list[Told]:
    return [Told(("t", 0), i) for i in range(first, end)]


def taken(*steps: list[Told] | Callable[[KafkaFeed], None]) -> list[Any]:
    """Let a feed poll them at once; returns what it hands over: rows and where they end."""
    client = Going([])
    feed = feeding(client, RawPayload(SCHEMA))
    client.steps = [
        step if isinstance(step, list) else functools.partial(step, feed) for step in steps
    ]
    feed.start(lambda: None)
    assert client.dry.wait(BOUND_S)
    told = feed.take(100_000, ())
    feed.close()
    assert not [each for each in told if isinstance(each, Silent)]
    return [(count_of(each.rows), each.position) for each in told if isinstance(each, Arrived)]


@pytest.mark.parametrize("many", [0, 5_000])
@pytest.mark.parametrize("back", [0, 30])
def test_a_partition_that_goes_and_comes_back_in_one_poll_counts_once(many: int, back: int) -> None:
    """What was polled of it before is polled again from where the group says, or by others."""

    def goes(feed: KafkaFeed) -> None:
        del feed._lanes["t", 0]

    def comes(feed: KafkaFeed) -> None:
        feed._lanes["t", 0] = Lane("t", 0, back)

    many += 60
    before = [*messages(0, many), Told(("t", 0), many, "end")]
    late = messages(many, many + 5)  # came in the step in which it went
    ends = [(many - back, {"offset": many})]
    assert taken(before, goes, late, comes, messages(back, many)) == ends
    assert taken(before, goes, late, comes) == []


@pytest.mark.parametrize("many", [20, 3_000])
def test_messages_that_come_twice_count_once(many: int) -> None:
    """Whatever the client does: it asks for none twice, but where a partition comes back."""
    assert taken(messages(0, many)) == [(many, {"offset": many})]

    def again(feed: KafkaFeed) -> None:
        feed._lanes["t", 0].offset = many

    assert taken(again, messages(0, many)) == []
    assert taken(again, messages(0, many + 7)) == [(7, {"offset": many + 7})]


class Client:
    """Polls some messages at a time, then nothing.

    Args:
        sizes: how many.
        between: called before each poll.
    """

    def __init__(self, *sizes: int, between: Callable[[], None] = lambda: None) -> None:
        self.troubles: Any = type("Troubles", (), {"is_cut_off": False})
        self.closed, self.dry = threading.Event(), threading.Event()
        self._sizes, self._between, self._told = list(sizes), between, 0
        self.polls = 0
        self.answering: list[bool] = []
        self.outage = Outage("broker:9092", "topic 't'")

    def answers(self, topic: str, wait_s: float) -> bool:
        assert (topic, wait_s <= BOUND_S) == ("t", True)
        return self.answering.pop(0)

    def assign(self, lanes: Sequence[Lane]) -> None:
        assert lanes

    def poll(self, take: Callable[[list[Any]], int], most: int, wait_s: float) -> None:
        assert not self.closed.is_set()
        self.polls += 1
        self._between()
        if self._sizes:
            start, self._told = self._told, self._told + self._sizes.pop(0)
            take([Told(("t", 0), i) for i in range(start, self._told)])
        elif wait_s:  # nothing is decoded beside the poll any more
            self.dry.set()
            self.closed.wait(0.01)

    def close(self) -> None:
        self.closed.set()


SCHEMA = pa.schema([("value", pa.binary())])


def feeding(client: Client | Going, payload: RawPayload) -> KafkaFeed:
    made: Any = client
    lanes = [Lane("t", 0, 0), Lane("t", 1, 0)]
    return KafkaFeed(made, Decoder(payload, SCHEMA), lanes, ["t"], ManualClock(), discover_us=None)


def test_what_is_decoded_beside_the_poll_comes_in_order() -> None:
    """Many messages and few in turn: none is twice, none is missing."""
    client = Client(2_500, 3, 4_000, 2_000, 1)
    feed = feeding(client, RawPayload(SCHEMA))
    feed.start(lambda: None)
    assert client.dry.wait(BOUND_S)
    told = [news for news in feed.take(100_000, ()) if isinstance(news, Arrived)]
    feed.close()
    assert [(count_of(news.rows), news.position) for news in told] == [(8_504, {"offset": 8_504})]


def test_what_another_member_has_meanwhile_is_not_handed_over() -> None:
    """It reads on behind what was handed over here, so that nothing counts twice."""
    gone: list[Lane] = []

    def let_go() -> None:
        if client.polls == 3:
            gone.append(feed._lanes.pop(("t", 0)))

    client = Client(3_000, 2_000, between=let_go)
    feed = feeding(client, RawPayload(SCHEMA))
    feed.start(lambda: None)
    assert client.dry.wait(BOUND_S)
    told = [news for news in feed.take(100_000, ()) if isinstance(news, Arrived)]
    feed.close()
    assert [news.position for news in told] == [{"offset": 3_000}]
    assert [lane.offset for lane in gone] == [3_000]


@pytest.mark.parametrize(("messages", "polls"), [(1, 1), (2_000, 2)])
def test_closing_does_not_wait_for_a_registry_that_hangs(messages: int, polls: int) -> None:
    """The thread lets go of the client itself, when it is through; many it waits for behind a poll.

    Closed before that poll it does not wait, and is through at once.
    """
    begun = threading.Semaphore(0)
    payload, client = Hanging(SCHEMA), Client(messages, between=begun.release)
    feed = feeding(client, payload)
    feed.start(lambda: None)
    assert payload.asked.wait(BOUND_S)
    assert all(begun.acquire(timeout=BOUND_S) for _ in range(polls))
    feed.close()
    assert not client.closed.is_set()
    payload.let_go.set()
    assert client.closed.wait(BOUND_S)
    feed.close()


def test_a_feed_that_never_began_lets_go_of_its_client() -> None:
    client = Client()
    feeding(client, RawPayload(SCHEMA)).close()
    assert client.closed.is_set()


def test_brokers_that_are_gone_are_told_once_and_so_is_their_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A first attempt that fails is nothing yet: another address of the broker may answer."""

    def goes_on() -> None:
        clock.advance(1_000_000)
        if not client.answering:
            done.set()

    clock, done, client = ManualClock(), threading.Event(), Client(between=goes_on)
    client.answering, client.troubles.is_cut_off = [False, False, False, True], True
    made: Any = client
    decoder = Decoder(RawPayload(SCHEMA), SCHEMA)
    feed = KafkaFeed(made, decoder, [Lane("t", 0, 0)], ["t"], clock, discover_us=None)
    with caplog.at_level(logging.WARNING, "eventtime.kafka"):
        feed.start(lambda: None)
        assert done.wait(BOUND_S)
        feed.close()
    gone, back = caplog.messages
    assert gone.startswith("topic 't': no broker answers at broker:9092")
    assert back == "topic 't': a broker answers again at broker:9092"


def test_brokers_that_come_and_go_are_told_at_a_bounded_rate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a minute; one that stays away is told in the end."""
    outage = Outage("broker:9092", "here")
    with caplog.at_level(logging.WARNING, "eventtime.kafka"):
        for second in range(59):
            outage.lasts(second * 1_000_000)
            outage.is_over()
        assert len(caplog.messages) == 2
        for second in range(59, 200):
            outage.lasts(second * 1_000_000)
        outage.is_over()
    assert len(caplog.messages) == 4
