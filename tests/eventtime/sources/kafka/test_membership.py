"""A member of a group over a client that is none: where it goes on when partitions come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from eventtime.sources.kafka.lane import Lane, TopicPartitionName
from eventtime.sources.kafka.membership import Membership
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Group:
    """Gives partitions of a topic, and keeps offsets unless it does not take them."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self.takes = True
        self.consumer = self
        self.hooks: dict[str, Any] = {}

    def subscribe(self, topics: Sequence[str], **hooks: Any) -> None:
        assert topics == ["t"]
        self.hooks = hooks

    def committed(self, partitions: Sequence[Any], timeout: float) -> list[TopicPartition]:
        known = self.offsets
        return [TopicPartition("t", at.partition, known.get(at.partition, -1)) for at in partitions]

    def assign(self, lanes: Sequence[Lane]) -> None:
        """Read them."""

    def incremental_unassign(self, partitions: Sequence[Any]) -> None:
        """Read them no more."""

    def commit(self, offsets: Sequence[tuple[Lane, int]]) -> None:
        if not self.takes:
            raise RuntimeError
        self.offsets |= {lane.number: offset for lane, offset in offsets}

    def tell(self, what: str, *numbers: int) -> None:
        self.hooks[f"on_{what}"](self, [TopicPartition("t", number) for number in numbers])


def begun() -> tuple[Group, dict[tuple[str, int], Lane], list[bool]]:
    group, firsts = Group(), []
    client: Any = group

    def place(
        names: Sequence[TopicPartitionName], reached: Mapping[str, int], is_first: Any
    ) -> list[Lane]:
        firsts.append(is_first)
        return [Lane(*each, offset=reached.get(each.name, 0)) for each in names]

    lanes: dict[tuple[str, int], Lane] = {}
    Membership(client, ["t"], place).begin(lanes, Mailbox())
    return group, lanes, firsts


def test_a_partition_that_was_lost_goes_on_behind_what_was_polled_here() -> None:
    """Its rows are in windows here already, though nobody could commit how far it was."""
    for what in ("lost", "revoke"):
        group, lanes, _ = begun()
        group.tell("assign", 0, 1)
        lanes["t", 0].offset = 70
        group.takes = False
        group.tell(what, 0)
        group.takes = True
        assert group.offsets == {0: 0, 1: 0}
        group.tell("assign", 0)
        assert lanes["t", 0].offset == 70


def test_what_another_member_read_meanwhile_is_not_read_again() -> None:
    group, lanes, _ = begun()
    group.tell("assign", 0)
    lanes["t", 0].offset = 70
    group.tell("revoke", 0)
    assert group.offsets == {0: 70}
    group.offsets[0] = 90
    group.tell("assign", 0)
    assert lanes["t", 0].offset == 90


def test_only_the_first_partitions_begin_where_the_run_was_told_to() -> None:
    """S8: those that come later are new, or another member has committed where it was."""
    group, _, firsts = begun()
    group.tell("assign")
    group.tell("assign", 0)
    group.tell("assign", 1)
    assert firsts == [True, True, False]
