"""The feed over a client that is none: how polls are sorted out, and how it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.clock import ManualClock
from eventtime.sources.kafka.feed import KafkaFeed
from eventtime.sources.kafka.lane import Lane
from eventtime.sources.kafka.messages import Decoder
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

    def error(self) -> str | None:
        return self.says


PLACES = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 2))


@given(
    told=st.lists(st.tuples(PLACES, st.sampled_from([None, None, "end"])), min_size=1),
    cut=st.integers(1, 9),
)
def test_messages_are_sorted_out_in_their_order(
    told: list[tuple[tuple[str, int], str | None]], cut: int
) -> None:
    """However many come at a time, of several topics or of one."""
    polled = [Told(place, i, says) for i, (place, says) in enumerate(told)]
    for topics in (["a", "b"], ["a"]):
        some = [each for each in polled if each.topic() in topics]
        sorted_out = Polled(topics, {"number": methodcaller("offset")})
        for start in range(0, len(some), cut):
            assert sorted_out.add(some[start : start + cut]) == len(some[start : start + cut])
        assert sorted_out.events == [each for each in some if each.says]
        wanted: dict[tuple[str, int], list[int]] = {}
        for each in some:
            if not each.says:
                wanted.setdefault(each.place, []).append(each.number)
        found = sorted_out.by_place
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


class Client:
    """Polls one message, then nothing."""

    def __init__(self) -> None:
        self.troubles: Any = type("Troubles", (), {"is_cut_off": False})
        self.closed = threading.Event()
        self._left = [Told(("t", 0), 0)]

    def assign(self, lanes: Sequence[Lane]) -> None:
        assert lanes

    def poll(self, take: Callable[[list[Any]], int], most: int, wait_s: float) -> None:
        assert not self.closed.is_set()
        take(self._left)
        self._left = []

    def close(self) -> None:
        self.closed.set()


def test_closing_does_not_wait_for_a_registry_that_hangs() -> None:
    """The thread lets go of the client itself, when it is through."""
    schema = pa.schema([("value", pa.binary())])
    payload, client = Hanging(schema), Client()
    made: Any = client
    feed = KafkaFeed(
        made, Decoder(payload, schema), [Lane("t", 0, 0)], ["t"], ManualClock(), discover_us=None
    )
    feed.start(lambda: None)
    assert payload.asked.wait(BOUND_S)
    feed.close()
    assert not client.closed.is_set()
    payload.let_go.set()
    assert client.closed.wait(BOUND_S)
    feed.close()


def test_a_feed_that_never_began_lets_go_of_its_client() -> None:
    client: Any = Client()
    schema = pa.schema([("value", pa.binary())])
    feed = KafkaFeed(
        client, Decoder(RawPayload(schema), schema), [], ["t"], ManualClock(), discover_us=None
    )
    feed.close()
    assert client.closed.is_set()
