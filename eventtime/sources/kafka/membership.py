"""A place in a group of consumers: partitions come and go, and their offsets are with the broker.

assigned ──► Found, from the latest of checkpoint, committed offset and what was taken here before
revoked  ──► Left, behind the rows that were taken; others are dropped, for who is next reads them
             a run with checkpoints makes one now, and the partition is let go when it is durable
settled  ──► the offsets of the checkpoint are committed

So what is committed is never ahead of what outlives this process. Without checkpoints nothing does:
what was taken is committed then.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import SourceError
from eventtime.kafka_client import LOG, WAIT_S
from eventtime.sources.kafka.lane import Lane, TopicPartitionName
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.sources.base import Position
    from eventtime.sources.kafka.client import Client

__all__ = ("CUT_S", "Membership")

_TRIES: Final = 3
CUT_S: Final = 30.0
"""So long a partition that goes waits for a checkpoint; meanwhile nothing is polled."""


class Membership:
    """Keeps the lanes of a feed to the partitions that the group gives it.

    From the thread that polls: `begin`, `commit_settled`, `leave`. From any: `settled`, `hurry`.

    Args:
        client: of the group.
        topics: of the group.
        place: finds the offsets of partitions, given those that the group or this member got to, by
            name, and whether they are the first that it gets.
        cut_s: how long to wait for the checkpoint behind which a partition goes.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        place: Callable[[Sequence[TopicPartitionName], Mapping[str, int], bool], list[Lane]],
        cut_s: float,
    ) -> None:
        self._client, self._topics, self._place = client, list(topics), place
        self._cut_s = cut_s
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._mail = Mailbox()
        self._taken: dict[str, int] = {}
        # Offsets in front of which no row is in this process alone.
        self._safe: dict[str, int] = {}
        self._settling = threading.Condition()
        self._is_first = True
        self._is_saved = self._is_due = self._hurries = self._is_closing = False

    def begin(self, lanes: dict[tuple[str, int], Lane], mail: Mailbox) -> None:
        """Join; from now on `lanes` are those of this member."""
        self._lanes, self._mail = lanes, mail
        self._client.consumer.subscribe(
            self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Keep offsets until the thread that polls commits them: the client hangs in another."""
        with self._settling:
            for name, at in positions.items():
                # A partition that was back meanwhile may stand further on, thanks to others.
                self._safe[name] = max(self._safe.get(name, 0), int(at["offset"]))
            self._is_saved = self._is_due = True
            self._settling.notify_all()

    def hurry(self) -> None:
        """Wait for no checkpoint any more: the feed closes."""
        with self._settling:
            self._hurries = True
            self._settling.notify_all()

    def commit_settled(self) -> None:
        """Commit what was settled since, of partitions that are ours; from one thread."""
        if self._is_due:
            self._commit(self._settled_lanes())

    def leave(self) -> None:
        """Say, before the client is closed, how far a run got that has no checkpoints."""
        self._is_closing = True
        self.commit_settled()
        if not self._is_saved:
            self._commit([(lane, self._withdrawn(lane)) for lane in self._lanes.values()])

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        names = [TopicPartitionName(each.topic, each.partition) for each in partitions]
        known = self._committed(consumer, partitions) if partitions else []
        told = [(TopicPartitionName(at.topic, at.partition), at.offset) for at in known]
        committed = {each.name: offset for each, offset in told if offset >= 0}
        # What was taken here is in windows here, also if a commit of it never got through.
        ours = {each.name: self._taken[each.name] for each in names if each.name in self._taken}
        later = {name: max(at, ours.get(name, 0)) for name, at in (ours | committed).items()}
        lanes = self._place(names, later, self._is_first)
        self._tell_passed_over([lane for lane in lanes if lane.name not in ours])
        for lane in lanes:
            self._lanes[lane.place] = lane
            self._note_safe(lane, committed.get(lane.name, 0), ours.get(lane.name))
            self._mail.add(lane.name, is_found=True, historical=self._is_first)
            self._mail.stand(lane.name, lane.position)
        self._is_first = self._is_first and not lanes
        self._client.assign(lanes)
        new = [lane for lane in lanes if lane.name not in committed]
        self._commit([(lane, self._safe[lane.name]) for lane in new])

    def _tell_passed_over(self, lanes: Sequence[Lane]) -> None:
        """Say what is behind the state that this run goes on from, and others have read."""
        known = [(lane, self._safe.get(lane.name, lane.offset)) for lane in lanes]
        over = [f"{it.where}: {at}–{it.offset - 1}" for it, at in known if at < it.offset]
        if over:
            LOG.warning(
                "%s: the group has got further than the state that this run goes on from: messages"
                " in between count here no more; to count them again, take another group (%s)",
                self._client.place, ", ".join(over),
            )  # fmt: skip

    def _note_safe(self, lane: Lane, committed: int, ours: int | None) -> None:
        """Note what others have of a partition, or nobody needs; not what is here alone."""
        is_only_ours = ours is not None and lane.offset == ours
        with self._settling:
            known = self._safe.get(lane.name, 0)
            self._safe[lane.name] = max(known, committed if is_only_ours else lane.offset)

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        lanes = self._withdraw(partitions)
        if self._is_closing:
            self._let_go(lanes)
        else:
            self._hand_over(lanes)
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        """Somebody else may have them already: nothing is committed."""
        self._let_go(self._withdraw(partitions))
        consumer.incremental_unassign(partitions)

    def _withdraw(self, partitions: list[Any]) -> list[Lane]:
        """Read partitions no more, and let nobody take what was read of them."""
        places = [(each.topic, each.partition) for each in partitions]
        lanes = [self._lanes.pop(place) for place in places if place in self._lanes]
        for lane in lanes:
            self._taken[lane.name] = lane.offset = self._withdrawn(lane)
        return lanes

    def _withdrawn(self, lane: Lane) -> int:
        """Drop what was not taken; returns the offset behind what was."""
        at = self._mail.withdraw(lane.name)
        return lane.offset if at is None else int(at["offset"])

    def _let_go(self, lanes: Sequence[Lane], *, wants_cut: bool = False) -> None:
        for lane in lanes:  # behind the last one the loop has heard of all
            self._mail.leave(lane.name, wants_cut=wants_cut and lane is lanes[-1])

    def _hand_over(self, lanes: Sequence[Lane]) -> None:
        """Let partitions go, and commit how far who is next need not read them."""
        wants_cut = self._is_saved and not self._are_safe(lanes)
        self._let_go(lanes, wants_cut=wants_cut)
        if wants_cut:
            self._wait_for_cut(lanes)
        if self._is_saved:
            self._commit([*self._settled_lanes(), *((it, self._safe[it.name]) for it in lanes)])
        else:
            self._commit([(lane, lane.offset) for lane in lanes])

    def _are_safe(self, lanes: Sequence[Lane]) -> bool:
        return all(self._safe[lane.name] >= lane.offset for lane in lanes)

    def _wait_for_cut(self, lanes: Sequence[Lane]) -> None:
        """Wait until a checkpoint holds what was taken; nobody is asked meanwhile (S6)."""
        silent = [it.name for it in self._lanes.values() if self._mail.unpolled(it.name)]
        with self._settling:
            self._settling.wait_for(lambda: self._hurries or self._are_safe(lanes), self._cut_s)
        for name in silent:
            self._mail.quiet(name)
        left = [lane for lane in lanes if self._safe[lane.name] < lane.offset]
        if left and not self._hurries:
            told = ", ".join(f"{it.where}: {self._safe[it.name]}–{it.offset - 1}" for it in left)
            LOG.warning(
                "%s: no checkpoint within %g s of giving partitions away: who reads them now counts"
                " messages that count here, too (%s)",
                self._client.place, self._cut_s, told,
            )  # fmt: skip

    def _settled_lanes(self) -> list[tuple[Lane, int]]:
        """Return how far the partitions that are ours are safe, to commit it."""
        self._is_due = False
        with self._settling:
            return [(lane, self._safe[lane.name]) for lane in self._lanes.values()]

    def _commit(self, offsets: Sequence[tuple[Lane, int]]) -> None:
        """Commit; what the broker does not take, it will be told of again."""
        if offsets:
            try:
                self._client.commit(offsets)
            except Exception as error:  # noqa: BLE001 - of any kind
                LOG.info("%s: offsets were not committed: %s", self._client.place, error)

    def _committed(self, consumer: Any, partitions: list[Any]) -> Any:
        """Ask how far the group got; a coordinator that is about to move is asked again."""
        from confluent_kafka import KafkaException

        for tried in range(1, _TRIES + 1):
            try:
                return consumer.committed(partitions, timeout=WAIT_S)
            except KafkaException as error:
                if tried == _TRIES:
                    raise self._client.troubles.unreachable(error, SourceError, WAIT_S) from error
        raise AssertionError
