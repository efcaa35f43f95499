"""Topics of Kafka as a source that goes on, or ends where it ended when it began."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import pyarrow as pa

from eventtime.checks import check_names, check_text, check_whole, is_one_of, shown
from eventtime.errors import PlanError, SourceError
from eventtime.kafka_client import check_options, check_servers
from eventtime.sources.kafka.client import Client
from eventtime.sources.kafka.feed import KafkaFeed
from eventtime.sources.kafka.lane import Lane
from eventtime.sources.kafka.membership import CUT_S, Membership
from eventtime.sources.kafka.messages import HEADERS, KEY, TIMESTAMP, Decoder
from eventtime.sources.schemas import check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position
    from eventtime.sources.kafka.client import Span
    from eventtime.sources.kafka.lane import TopicPartitionName
    from eventtime.sources.kafka.payloads import Payload
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("Beside", "KafkaSource", "Start")

Start = Literal["earliest", "latest"]

_TIME: Final = "timestamp"
_DISCOVER_US: Final = 10_000_000


class Beside(NamedTuple):
    """Names of columns: the time, and what comes from beside the value; as in `read_kafka`."""

    time: str | None
    time_unit: str | None
    key: str | None
    headers: str | None


@dataclass(frozen=True)
class KafkaSource:
    """Topics of Kafka; made with `KafkaSource.of`."""

    topics: tuple[str, ...]
    servers: str
    time: str
    time_unit: str | None
    payload: Payload
    timestamp: str | None
    key: str | None
    headers: str | None
    group: str | None
    partitions: tuple[int, ...] | None
    start: Start | int
    is_bounded: bool
    on_malformed: OnMalformed
    options: tuple[tuple[str, Any], ...] = field(repr=False)  # there may be a password

    @property
    def reports_malformed(self) -> bool:
        """Whether what does not parse arrives as rows to quarantine."""
        return self.on_malformed == "quarantine"

    def schema(self) -> pa.Schema:
        """Columns of the value, then those from beside it."""
        beside = [(self.timestamp, TIMESTAMP), (self.key, KEY), (self.headers, HEADERS)]
        return pa.schema([*self.payload.schema, *((name, kind) for name, kind in beside if name)])

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> KafkaFeed:
        """Connect, ask for the partitions, and find the place in each."""
        decoder = self._decoder(columns)
        client = Client(self.servers, self.group, self.options, self.describe())
        known = {name: int(at["offset"]) for name, at in (positions or {}).items()}
        try:
            partitions = self._chosen(client.partitions(self.topics))
            if self.group is not None:
                return self._member(client, decoder, known, clock)
            lanes = self._lanes(client, partitions, None if positions is None else known)
        except BaseException:
            client.close()
            raise
        discover_us = None if self.is_bounded or self.partitions is not None else _DISCOVER_US
        return KafkaFeed(client, decoder, lanes, self.topics, clock, discover_us=discover_us)

    def _chosen(self, there: list[TopicPartitionName]) -> list[TopicPartitionName]:
        """Leave those that were chosen; each topic must have them."""
        if self.partitions is None:
            return there
        for topic in self.topics:
            numbers = {each.number for each in there if each.topic == topic}
            for number in self.partitions:
                if number not in numbers:
                    msg = f"no partition {number} of {topic!r}: it has {len(numbers)}, from 0"
                    remedy = "choose others, or leave partitions= out to read all of them"
                    raise SourceError(msg, place=self.describe(), remedy=remedy)
        return [each for each in there if each.number in self.partitions]

    def _member(
        self, client: Client, decoder: Decoder, known: Mapping[str, int], clock: Clock
    ) -> KafkaFeed:
        """Join the group: which partitions there are is told later."""

        def place(
            partitions: Sequence[TopicPartitionName],
            reached: Mapping[str, int],
            is_first: bool,  # noqa: FBT001 - called by position
        ) -> list[Lane]:
            names = {each.name for each in partitions}
            later = {
                name: max(known.get(name, 0), reached.get(name, 0))
                for name in names & (known.keys() | reached.keys())
            }
            return self._lanes(client, partitions, later, is_new=is_first and not later)

        # While it waits it does not poll, for which the group allows only so long.
        most_s = float(dict(self.options).get("max.poll.interval.ms", math.inf)) / 2_000
        membership = Membership(client, self.topics, place, min(CUT_S, most_s))
        return KafkaFeed(
            client, decoder, [], self.topics, clock, discover_us=None, membership=membership
        )

    def alone(self) -> KafkaSource:
        """Return one that is no member of a group (see `Shared`)."""
        return replace(self, group=None)

    def describe(self) -> str:
        """One line for `explain()`, without options."""
        noun = "topic" if len(self.topics) == 1 else "topics"
        end = " to its end of now" if self.is_bounded else ""
        chosen = self.partitions
        only = "" if chosen is None else f", partitions {', '.join(map(str, chosen))},"
        return f"Kafka {noun} {', '.join(self.topics)}{only}{end}"

    def _decoder(self, columns: Sequence[str] | None) -> Decoder:
        """Read only the columns that are wanted; one at least, which tells how many rows."""
        schema = check_columns(self.schema(), columns)
        values = self.payload.schema
        wanted = [f for f in values if f.name in schema.names] or [values.field(0)]
        return Decoder(
            self.payload.only(pa.schema(wanted)),
            schema,
            self.timestamp,
            self.key,
            self.headers,
            self.on_malformed,
        )

    def _lanes(
        self,
        client: Client,
        partitions: Sequence[TopicPartitionName],
        offsets: Mapping[str, int] | None,
        *,
        is_new: bool = False,
    ) -> list[Lane]:
        """Find the place in each partition.

        Args:
            client: connected.
            partitions: to begin with.
            offsets: where to go on, by name; others begin at their beginning.
            is_new: whether all of them begin where `start` says, as they do without offsets.
        """
        spans = client.spans(partitions)
        lanes = [
            Lane(*each, offset=span.first, end=span.end if self.is_bounded else None)
            for each, span in spans.items()
        ]
        if offsets is None or is_new:
            self._begin(client, lanes, spans)
        else:
            for lane, span in zip(lanes, spans.values(), strict=True):
                if lane.name in offsets:
                    lane.offset = self._checked(offsets[lane.name], lane, span)
        return lanes

    def _begin(
        self, client: Client, lanes: list[Lane], spans: Mapping[TopicPartitionName, Span]
    ) -> None:
        """Set the offsets of a run that goes on nowhere."""
        if self.start == "earliest":
            return
        at: Mapping[TopicPartitionName, int | None] = {}
        if self.start != "latest":
            at = client.offsets_at(list(spans), -(-int(self.start) // 1_000))
        for lane, (each, span) in zip(lanes, spans.items(), strict=True):
            found = at.get(each)
            lane.offset = span.end if found is None else found

    def _checked(self, offset: int, lane: Lane, span: Span) -> int:
        """Refuse to pass over messages that are gone, or to wait for those that never come."""
        place = f"{self.describe()}, partition {lane.number} of {lane.topic!r}"
        if offset < span.first:
            msg = (
                f"the checkpoint goes on at offset {offset:,}, but the broker keeps only those "
                f"from {span.first:,} on: {span.first - offset:,} are gone"
            )
            remedy = "keep messages longer (retention.ms), or start over without the checkpoint"
            raise SourceError(msg, place=place, remedy=remedy)
        if offset > span.end:
            msg = (
                f"the checkpoint goes on at offset {offset:,}, but the topic ends at "
                f"{span.end:,}: it is another topic of that name"
            )
            raise SourceError(msg, place=place, remedy="start over without the checkpoint")
        return offset

    @classmethod
    def of(
        cls,
        topics: str | Sequence[str],
        servers: str | Sequence[str],
        values: Payload,
        beside: Beside,
        group: str | None,
        partitions: Sequence[int] | None,
        start: Start | datetime,
        end: Literal["now"] | None,
        on_malformed: OnMalformed,
        options: Mapping[str, Any] | None,
    ) -> KafkaSource:
        """Check everything that can be checked without a broker; see `read_kafka`.

        Raises:
            PlanError: shows the argument.
        """
        place = "read_kafka(…)"
        names: Any = [topics] if isinstance(topics, str) else topics
        check_names(names, place=f"{place}: topics", remedy="such as 'clicks'")
        if not is_one_of(on_malformed, ("error", "quarantine")):
            msg = f"on_malformed={shown(on_malformed)} is unknown"
            raise PlanError(msg, place=place, remedy="use 'error' or 'quarantine'")
        if end not in {None, "now"}:
            msg = f"end={shown(end)} is unknown"
            raise PlanError(msg, place=place, remedy="'now', or None to follow the topic")
        if group is not None:
            check_text(group, what="group", place=place, remedy="such as group='hourly'")
        if group is not None and end is not None:
            msg = f"group={shown(group)} beside end='now': members of a group go on"
            raise PlanError(msg, place=place, remedy="leave out one of them")
        if group is not None and partitions is not None:
            msg = f"group={shown(group)} beside partitions=…: a group gives each member its own"
            raise PlanError(msg, place=place, remedy="leave out one of them")
        source = cls(
            tuple(names),
            check_servers(servers, place=place),
            _TIME if beside.time is None else beside.time,
            beside.time_unit,
            values,
            _TIME if beside.time is None else None,
            beside.key,
            beside.headers,
            group,
            _numbers(partitions, place),
            _start(start, place),
            end == "now",
            on_malformed,
            check_options(options, place=place),
        )
        source._check_columns(place)
        return source

    def _check_columns(self, place: str) -> None:
        for name in filter(None, (self.time, self.timestamp, self.key, self.headers)):
            check_text(name, what="column name", place=place, remedy="such as 'key'")
        names = self.schema().names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            msg = f"two columns have the name {twice[0]!r}"
            remedy = "give key=, headers= another; with time= there is no column 'timestamp'"
            raise PlanError(msg, place=place, remedy=remedy)


def _numbers(partitions: object, place: str) -> tuple[int, ...] | None:
    """Return the numbers of partitions in order, each once."""
    if partitions is None:
        return None
    remedy = "a list of numbers such as [0, 3], or None for all"
    if not isinstance(partitions, list | tuple | range) or not partitions:
        msg = f"partitions={shown(partitions)} chooses none"
        raise PlanError(msg, place=place, remedy=remedy)
    for number in partitions:
        what = "a number of a partition"
        check_whole(number, least=0, what=what, place=f"{place}: partitions", remedy=remedy)
    return tuple(sorted(set(partitions)))


def _start(start: object, place: str) -> Start | int:
    """Return the word, or a time in microseconds."""
    if is_one_of(start, ("earliest", "latest")):
        return "latest" if start == "latest" else "earliest"
    if isinstance(start, datetime) and start.tzinfo is not None:
        return round(start.timestamp() * 1e6)
    msg = f"start={shown(start)} is no place to start"
    raise PlanError(msg, place=place, remedy="'earliest', 'latest', or a datetime with a zone")
