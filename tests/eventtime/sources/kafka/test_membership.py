"""A member of a group over a client that is none: where it goes on when partitions come and go."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from eventtime.errors import SourceError
from eventtime.kafka_client import Troubles
from eventtime.sources.feed import Arrived, Left, Silent, Stands, Unpolled
from eventtime.sources.kafka.lane import Lane, TopicPartitionName
from eventtime.sources.kafka.membership import Membership
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.sources.feed import News

LONG_S = 60
ROW = pa.record_batch({"x": [1]})


class Group:
    """Gives partitions of a topic, and keeps offsets unless it does not take them."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.takes = self.answers = True
        self.consumer = self
        self.hooks: dict[str, Any] = {}
        self.place, self.troubles = "here", Troubles("there", "here")
        self.unassigned: list[int] = []

    def subscribe(self, topics: Sequence[str], **hooks: Any) -> None:
        assert topics == ["t"]
        self.hooks = hooks

    def committed(self, partitions: Sequence[Any], timeout: float) -> list[TopicPartition]:
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        known = self.offsets
        return [TopicPartition("t", at.partition, known.get(at.partition, -1)) for at in partitions]

    def assign(self, lanes: Sequence[Lane]) -> None:
        """Read them."""

    def incremental_unassign(self, partitions: Sequence[Any]) -> None:
        self.unassigned += [at.partition for at in partitions]

    def commit(self, offsets: Sequence[tuple[Lane, int]]) -> None:
        if not self.takes:
            raise RuntimeError
        self.offsets |= {lane.number: offset for lane, offset in offsets}

    def tell(self, what: str, *numbers: int) -> None:
        self.hooks[f"on_{what}"](self, [TopicPartition("t", number) for number in numbers])


class Member:
    """One of the group, and the loop that takes from it.

    Args:
        saves: whether its run has checkpoints.
        known: where its last one stands.
        cut_s: how long it waits for the next.
    """

    def __init__(
        self, *, saves: bool, known: Mapping[str, int] | None = None, cut_s: float = LONG_S
    ) -> None:
        self.group, self.mail = Group(), Mailbox()
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.firsts: list[bool] = []
        self.positions = {name: {"offset": at} for name, at in (known or {}).items()}
        client: Any = self.group
        self.membership = Membership(client, ["t"], self._place, cut_s)
        if saves:
            self.membership.settled(self.positions)
        self.membership.begin(self.lanes, self.mail)

    def _place(
        self, names: Sequence[TopicPartitionName], reached: Mapping[str, int], is_first: Any
    ) -> list[Lane]:
        self.firsts.append(is_first)
        return [Lane(*each, offset=reached.get(each.name, 0)) for each in names]

    def poll(self, number: int, offset: int) -> None:
        """Put a row, behind which the partition stands."""
        self.lanes["t", number].offset = offset
        self.mail.put(f"t-{number}", ROW, {"offset": offset})

    def turn(self, *held: str) -> list[News]:
        """Take what has come, as the loop does."""
        news = self.mail.take(10_000, held)
        for each in news:
            if isinstance(each, Arrived | Stands):
                self.positions[each.partition] = each.position
        return news

    def cuts(self, *held: str) -> None:
        """Take what comes from now on at once, and make a checkpoint where one is wanted."""

        def turn() -> None:
            if any(isinstance(each, Left) and each.wants_cut for each in self.turn(*held)):
                written = dict(self.positions)
                threading.Timer(0.01, self.membership.settled, (written,)).start()

        self.mail.wake = turn


@pytest.mark.parametrize("what", ["lost", "revoke"])
def test_a_partition_that_was_lost_goes_on_behind_what_was_taken_here(what: str) -> None:
    """Its rows are in windows here already, though nobody could commit how far it was."""
    member = Member(saves=False)
    member.group.tell("assign", 0, 1)
    member.poll(0, 70)
    member.turn()
    member.group.takes = False
    member.group.tell(what, 0)
    member.group.takes = True
    assert member.group.offsets == {0: 0, 1: 0}
    member.group.tell("assign", 0)
    assert member.lanes["t", 0].offset == 70


def test_what_another_member_read_meanwhile_is_not_read_again() -> None:
    member = Member(saves=False)
    member.group.tell("assign", 0)
    member.poll(0, 70)
    member.turn()
    member.group.tell("revoke", 0)
    assert member.group.offsets == {0: 70}
    member.group.offsets[0] = 90
    member.group.tell("assign", 0)
    assert member.lanes["t", 0].offset == 90


@pytest.mark.parametrize("saves", [False, True])
def test_what_was_not_taken_is_left_to_who_is_next(*, saves: bool) -> None:
    """Rows that alignment holds back, too: nobody could wait until they are let go."""
    member = Member(saves=saves)
    member.group.tell("assign", 0)
    member.poll(0, 50)
    member.turn()
    member.poll(0, 70)
    member.cuts("t-0")
    member.group.tell("revoke", 0)
    assert member.group.offsets == {0: 50}
    assert member.group.unassigned == [0]
    assert not [each for each in member.turn() if isinstance(each, Arrived)]


def test_a_partition_goes_behind_a_checkpoint_that_holds_its_rows() -> None:
    """S28: its member may be killed then; also what else the checkpoint holds is committed."""
    member = Member(saves=True)
    member.group.tell("assign", 0, 1, 2)
    for number, offset in ((0, 70), (1, 30), (2, 5)):
        member.poll(number, offset)
    member.turn()
    assert member.group.offsets == {0: 0, 1: 0, 2: 0}
    member.cuts()
    member.group.tell("revoke", 0, 2)
    assert member.group.offsets == {0: 70, 1: 30, 2: 5}


def test_nobody_waits_for_a_checkpoint_that_there_is() -> None:
    member = Member(saves=True, known={"t-0": 40})
    member.group.offsets = {0: 30, 1: 20}
    member.group.tell("assign", 0, 1)
    member.poll(0, 70)
    member.turn()
    member.membership.settled({"t-0": {"offset": 70}})
    member.group.tell("revoke", 0, 1)
    assert not [each for each in member.turn() if isinstance(each, Left) and each.wants_cut]
    assert member.group.offsets == {0: 70, 1: 20}


def test_without_a_checkpoint_in_time_rows_count_twice_rather_than_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """S28: what is committed is what the last one holds; who gives it away is told."""
    member = Member(saves=True, cut_s=0)
    member.group.tell("assign", 0, 1)
    for offset in (40, 70):
        member.poll(0, offset)
        member.turn()
        if offset == 40:
            member.membership.settled(dict(member.positions))
    with caplog.at_level(logging.WARNING, "eventtime.kafka"):
        member.group.tell("revoke", 0)
    assert member.group.offsets == {0: 40, 1: 0}
    assert "topic 't', partition 0: 40–69" in caplog.text
    member.group.tell("assign", 0)
    assert member.lanes["t", 0].offset == 70  # here they count already


def test_who_closes_waits_for_no_checkpoint() -> None:
    member = Member(saves=True)
    member.group.tell("assign", 0)
    member.poll(0, 70)
    member.turn()
    threading.Timer(0.01, member.membership.hurry).start()
    member.group.tell("revoke", 0)
    assert member.group.offsets == {0: 0}


def test_what_was_lost_without_a_checkpoint_is_not_committed_later() -> None:
    """S28: not when it comes back, nor when it goes again."""
    member = Member(saves=True, cut_s=0)
    member.group.offsets = {0: 10}
    member.group.tell("assign", 0)
    member.poll(0, 70)
    member.turn()
    member.group.tell("lost", 0)
    member.group.tell("assign", 0)
    assert member.lanes["t", 0].offset == 70
    member.group.tell("revoke", 0)
    assert member.group.offsets == {0: 10}


def test_a_checkpoint_from_before_does_not_set_the_group_back() -> None:
    """It stands where the partition left; another member went on from there."""
    member = Member(saves=True, known={"t-0": 40})
    member.group.offsets = {0: 90}
    member.group.tell("assign", 0)
    member.membership.settled({"t-0": {"offset": 40}})
    member.membership.commit_settled()
    assert member.group.offsets == {0: 90}


def test_what_the_group_has_read_behind_the_state_of_a_run_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is passed over without a word; in what is told is what one must know."""
    member = Member(saves=True, known={"t-0": 40, "t-1": 7})
    member.group.offsets = {0: 90, 1: 7, 2: 3}
    with caplog.at_level(logging.WARNING):
        member.group.tell("assign", 0, 1, 2)
    (told,) = caplog.records
    assert told.args == ("here", "topic 't', partition 0: 40–89")
    assert "take another group" in told.getMessage()
    member.poll(0, 95)
    member.turn()
    caplog.clear()
    for what in ("lost", "assign"):
        member.group.tell(what, 0)
    assert not caplog.records


def test_a_run_that_fails_before_its_first_checkpoint_commits_nothing() -> None:
    """S28: nobody has its rows."""
    for saves, wanted in ((True, 0), (False, 70)):
        member = Member(saves=saves)
        member.group.tell("assign", 0)
        member.poll(0, 70)
        member.turn()
        member.membership.leave()
        member.group.tell("revoke", 0)
        assert member.group.offsets == {0: wanted}


def test_while_a_partition_goes_others_are_not_silent() -> None:
    """S6: nobody asks them."""
    member = Member(saves=True, cut_s=0)
    member.group.tell("assign", 0, 1)
    member.poll(0, 70)
    member.mail.quiet("t-1")
    assert Silent(["t-1"]) in member.turn()
    told: list[News] = []
    member.mail.wake = lambda: told.extend(member.turn())
    member.group.tell("revoke", 0)
    told += member.turn()
    names = [type(each) for each in told if not isinstance(each, Left | Stands)]
    assert names == [Unpolled, Silent]


def test_only_the_first_partitions_begin_where_the_run_was_told_to() -> None:
    """S8: those that come later are new, or another member has committed where it was."""
    member = Member(saves=False)
    member.group.tell("assign")
    member.group.tell("assign", 0)
    member.group.tell("assign", 1)
    assert member.firsts == [True, True, False]


def test_a_group_that_does_not_answer_is_an_error() -> None:
    member = Member(saves=False)
    member.group.answers = False
    with pytest.raises(SourceError, match="no broker answers at there within 10 s"):
        member.group.tell("assign", 0)
