"""Topics as a feed: one thread polls all partitions; another decodes, while much comes.

What makes a partition silent is the event "end of partition": it was asked, and there was nothing
(S6). While no broker can be reached, nobody was asked.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from eventtime.errors import SourceError
from eventtime.kafka_client import LOG
from eventtime.sources.kafka.lane import Lane
from eventtime.sources.kafka.polled import Polled
from eventtime.sources.kafka.worker import Worker
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future

    from eventtime.clock import Clock
    from eventtime.sources.base import Position
    from eventtime.sources.feed import News
    from eventtime.sources.kafka.client import Client
    from eventtime.sources.kafka.lane import TopicPartitionName
    from eventtime.sources.kafka.membership import Membership
    from eventtime.sources.kafka.messages import Decoded, Decoder
    from eventtime.sources.kafka.polled import Messages

__all__ = ("KafkaFeed",)

_MOST_MESSAGES: Final = 10_000
_MUCH: Final = 2_000
"""So many messages are decoded while the next are polled; of fewer that would cost latency."""

_FEW: Final = 500
_APART_US: Final = 3_000
"""From one poll to the next at least, while few messages come: a parse of a few rows costs about
what one of a hundred does, and the loop needs the interpreter's lock meanwhile."""

_POLL_S: Final = 0.1
_PROBE_S: Final = 1.0
_DISCOVER_S: Final = 2.0
_CLOSE_S: Final = 2.0


class KafkaFeed(MailFeed):
    """Feeds the loop from partitions of topics.

    Args:
        client: connected.
        decoder: makes rows of messages.
        lanes: partitions known at the start.
        topics: whose new partitions are looked for.
        clock: of the machine's time.
        discover_us: how often; None: never.
        membership: in a group, which tells whose partitions are whose; None: all are ours.
    """

    def __init__(
        self,
        client: Client,
        decoder: Decoder,
        lanes: Sequence[Lane],
        topics: Sequence[str],
        clock: Clock,
        *,
        discover_us: int | None,
        membership: Membership | None = None,
    ) -> None:
        super().__init__(Mailbox())
        self._client, self._decoder, self._clock = client, decoder, clock
        self._topics, self._discover_us = topics, discover_us
        self._membership = membership
        self._lanes: dict[tuple[str, int], Lane] = {lane.place: lane for lane in lanes}
        for lane in lanes:
            self._mail.add(lane.name, is_found=False)
            self._mail.stand(lane.name, lane.position)
        self._held: frozenset[str] = frozenset()
        self._paused: frozenset[str] = frozenset()
        self._pending: tuple[Future[list[_OfLane]], Polled, int] | None = None
        self._closing, self._has_stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._asked_us = self._heard_us = clock.now_us()
        self._is_cut_off = False

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        self._worker: Worker[list[_OfLane]] = Worker("eventtime-kafka-decoding")
        self._thread = threading.Thread(target=self._run, name="eventtime-kafka", daemon=True)
        self._thread.start()

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        self._held = frozenset(held)
        return super().take(most_rows, self._held)

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Tell the group, if there is one."""
        if self._membership is not None:
            self._membership.settled(positions)

    @property
    def is_over(self) -> bool:
        return self._membership is None and self._mail.all_ended

    def close(self) -> None:
        """End; a thread that hangs, for a registry that does not answer, ends alone later."""
        self._closing.set()
        self._mail.wake_waiting()
        if self._membership is not None:
            self._membership.hurry()
        if self._thread is None:
            self._client.close()
        elif self._has_stopped.wait(_CLOSE_S):
            self._thread.join()

    def _run(self) -> None:
        with self._mail.failing():
            self._go_on()
        self._worker.end()
        self._has_stopped.set()
        self._closing.wait()  # what was put is still taken, and may be settled
        if self._membership is not None:
            self._membership.leave()
        self._client.close()

    def _go_on(self) -> None:
        if self._membership is None:
            self._begin(list(self._lanes.values()))
        else:
            self._membership.begin(self._lanes, self._mail)
        while not (self._closing.is_set() or self._all_ended()):
            if self._membership is not None:
                self._membership.commit_settled()
            if not self._mail.wait_for_room_but(self._held, _POLL_S):
                continue
            self._pause()
            polled = Polled(self._topics, self._decoder.wanted, self._lanes)
            self._client.poll(polled.add, _MOST_MESSAGES, 0 if self._pending else _POLL_S)
            self._finish()
            self._take_in(polled)
            self._look_around()
            if self._pending is None:
                self._rest()

    def _all_ended(self) -> bool:
        lanes = self._lanes.values()
        return self._membership is None and all(lane.has_ended for lane in lanes)

    def _take_in(self, polled: Polled) -> None:
        """Decode what was polled; where that is much, beside the next poll."""
        now_us, lanes = self._clock.now_us(), polled.by_lane
        self._heard_us = now_us if 0 < len(polled) < _FEW else self._heard_us
        decode = partial(_all_decoded, self._decoder, lanes)
        if len(polled) < _MUCH:
            self._hand_over(decode(), polled, now_us)
        else:
            self._pending = self._worker.ask(decode), polled, now_us

    def _rest(self) -> None:
        """Let messages gather; they are polled together then."""
        since_us = self._clock.now_us() - self._heard_us
        if 0 <= since_us < _APART_US:
            self._closing.wait((_APART_US - since_us) / 1e6)

    def _finish(self) -> None:
        """Hand over what was decoded beside the poll."""
        if self._pending is not None:
            (done, polled, now_us), self._pending = self._pending, None
            self._hand_over(done.result(), polled, now_us)

    def _hand_over(self, all_decoded: list[_OfLane], polled: Polled, now_us: int) -> None:
        with self._mail.at_once():
            for lane, decoded, error in all_decoded:
                if self._is_ours(lane):  # else it went to another member meanwhile
                    self._keep(lane, decoded, now_us)
                    if error is not None:
                        raise error
            for trouble in polled.troubles:
                self._client.heed(trouble)
            for lane, offset in polled.ends:
                if self._is_ours(lane):
                    self._reached(lane, offset)

    def _is_ours(self, lane: Lane) -> bool:
        return self._lanes.get(lane.place) is lane

    def _keep(self, lane: Lane, decoded: list[Decoded], now_us: int) -> None:
        for rows, offset in decoded:
            lane.offset, lane.is_at_end = offset, False
            if rows is None:
                self._mail.stand(lane.name, lane.position)
            else:
                self._mail.put(lane.name, rows, lane.position, arrived_us=now_us)
        if lane.has_ended:
            self._end(lane)

    def _reached(self, lane: Lane, offset: int) -> None:
        """Note the end of a partition; messages may have followed in the same poll."""
        if offset < lane.offset:
            return
        if offset > lane.offset:  # behind the last message are marks of transactions
            lane.offset = offset
            self._mail.stand(lane.name, lane.position)
        lane.is_at_end = True
        if lane.has_ended:
            self._end(lane)
        elif not self._is_cut_off:
            self._mail.quiet(lane.name)

    def _end(self, lane: Lane) -> None:
        if not lane.is_let_go:
            lane.is_let_go = True
            self._mail.end(lane.name)
            self._client.unassign(lane)

    def _pause(self) -> None:
        """Let the client fetch nothing for partitions that are held, so that nothing piles up."""
        held = self._held
        if held != self._paused:
            names = {lane.name: lane for lane in self._lanes.values()}
            self._client.pause([names[name] for name in held - self._paused if name in names])
            self._client.resume([names[name] for name in self._paused - held if name in names])
            self._paused = held

    def _look_around(self) -> None:
        """Now and then: are the brokers there, and are there more partitions?"""
        now_us = self._clock.now_us()
        if self._client.troubles.is_cut_off:
            self._client.troubles.is_cut_off, self._is_cut_off = False, True
            for lane in self._lanes.values():
                self._mail.unpolled(lane.name)
        every_us = _PROBE_S * 1e6 if self._is_cut_off else self._discover_us
        if every_us is None or 0 <= now_us - self._asked_us < every_us:
            return
        self._asked_us = now_us
        if self._is_cut_off:
            self._knock(now_us)
        else:
            with contextlib.suppress(SourceError):  # asked again next time
                self._find(self._client.partitions(self._topics, _DISCOVER_S))

    def _knock(self, now_us: int) -> None:
        """Ask whether a broker answers again; those that were at their end are silent then."""
        if not self._client.answers(self._topics[0], _PROBE_S):
            self._client.outage.lasts(now_us)
            return
        self._is_cut_off = False
        self._client.outage.is_over()
        for lane in self._lanes.values():
            if lane.is_at_end and not lane.has_ended:
                self._mail.quiet(lane.name)

    def _find(self, partitions: Sequence[TopicPartitionName]) -> None:
        """Begin with partitions that are new, at their beginning: all in them is."""
        fresh = [Lane(*each, offset=0) for each in partitions if each not in self._lanes]
        for lane in fresh:
            self._lanes[lane.place] = lane
            self._mail.add(lane.name, is_found=True)
            self._mail.stand(lane.name, lane.position)
        if fresh:
            self._begin(fresh)

    def _begin(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if lane.has_ended:
                self._mail.end(lane.name)
        self._client.assign([lane for lane in lanes if not lane.has_ended])


class _OfLane(NamedTuple):
    """What messages of a partition held, and what was wrong behind it."""

    lane: Lane
    decoded: list[Decoded]
    error: BaseException | None


def _all_decoded(decoder: Decoder, lanes: Sequence[tuple[Lane, Messages]]) -> list[_OfLane]:
    """Decode what was polled of each partition; few messages together."""
    wanted = [(lane, _own(lane, messages)) for lane, messages in lanes]
    there = [(lane, messages) for lane, messages in wanted if len(messages)]
    if len(there) > 1 and sum(len(messages) for _, messages in there) < _MUCH:
        together = decoder.together([messages for _, messages in there])
        if together is not None:
            pairs = zip(there, together, strict=True)
            return [_OfLane(lane, [decoded], None) for (lane, _), decoded in pairs]
    return [_decoded(decoder, lane, messages) for lane, messages in there]


def _own(lane: Lane, messages: Messages) -> Messages:
    """Return messages of a partition that did not come before, in front of its end.

    The client asks for them in order, and for none twice, but when a partition comes back.
    """
    again = bisect_left(messages.offsets, lane.offset)
    if again:
        LOG.info("%s: %d messages came twice and count once", lane.where, again)
        messages = messages[again:]
    if lane.end is None or not len(messages) or messages.offsets[-1] < lane.end:
        return messages
    return messages[: bisect_left(messages.offsets, lane.end)]


def _decoded(decoder: Decoder, lane: Lane, messages: Messages) -> _OfLane:
    found: list[Decoded] = []
    try:
        found.extend(decoder.decoded(lane.where, messages))
    except BaseException as error:  # noqa: BLE001 - it is raised behind what was found
        return _OfLane(lane, found, error)
    return _OfLane(lane, found, None)
