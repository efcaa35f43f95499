"""The feed over a client that is none: how polls are sorted out, and how it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.clock import ManualClock
from eventtime.sources.kafka.feed import KafkaFeed
from eventtime.sources.kafka.lane import Lane
from eventtime.sources.kafka.messages import Decoder
from eventtime.sources.kafka.payloads import Parsed, RawPayload
from eventtime.sources.kafka.polled import sorted_out

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUND_S = 60


@dataclass
class Polled:
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


@given(told=st.lists(st.tuples(PLACES, st.sampled_from([None, None, "end"])), min_size=1))
def test_messages_are_sorted_out_in_their_order(
    told: list[tuple[tuple[str, int], str | None]],
) -> None:
    polled = [Polled(place, i, says) for i, (place, says) in enumerate(told)]
    by_place, events = sorted_out(polled, ["a", "b"])
    assert events == [each for each in polled if each.says]
    plain = [each for each in polled if not each.says]
    wanted = {each.place: [one for one in plain if one.place == each.place] for each in plain}
    assert {place: list(those) for place, those in by_place.items()} == wanted
    only = [each for each in plain if each.topic() == "a"]
    alone = sorted_out(only, ["a"]).by_place
    assert {place: list(those) for place, those in alone.items()} == {
        place: those for place, those in wanted.items() if place[0] == "a"
    }


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
        self._left = [Polled(("t", 0), 0)]

    def assign(self, lanes: Sequence[Lane]) -> None:
        assert lanes

    def poll(self, most: int, wait_s: float) -> list[Polled]:
        assert not self.closed.is_set()
        polled, self._left = self._left, []
        return polled

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
