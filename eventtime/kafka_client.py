"""What source and sink share of Kafka's client: options, and its troubles in our words."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from eventtime.checks import check_names, shown
from eventtime.errors import EventTimeError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import KafkaError
    from confluent_kafka.admin import TopicMetadata  # type: ignore[attr-defined]

__all__ = (
    "CLIENT_LOG",
    "LOG",
    "WAIT_S",
    "Troubles",
    "check_options",
    "check_servers",
    "missing",
    "settings",
)

WAIT_S: Final = 10.0
"""How long a broker may take to answer what is asked before the first row."""

LOG: Final = logging.getLogger("eventtime.kafka")
LOG.addHandler(logging.NullHandler())  # silent, unless somebody listens
CLIENT_LOG: Final = LOG.getChild("librdkafka")
"""What the client itself says, in its own words, as often as it likes."""

_OWN: Final = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "error_cb",
        "group.id",
        "logger",
        "on_delivery",
        "partition.assignment.strategy",
        "transactional.id",
    }
)
_CLOSED_TO_US: Final = ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL")

_Error = TypeVar("_Error", bound=EventTimeError)


def check_servers(servers: object, *, place: str) -> str:
    """Return brokers as the client takes them.

    Raises:
        PlanError: it is neither a text nor a list of them.
    """
    hosts: Any = [servers] if isinstance(servers, str) else servers
    if hosts == [""] or not isinstance(hosts, list | tuple):
        msg = f"{shown(servers)} names no broker"
        raise PlanError(msg, place=f"{place}: servers=…", remedy="such as 'localhost:9092'")
    check_names(hosts, place=f"{place}: servers=…", remedy="such as 'localhost:9092'")
    return ",".join(hosts)


def check_options(options: Mapping[str, Any] | None, *, place: str) -> tuple[tuple[str, Any], ...]:
    """Refuse options of librdkafka that are ours to set.

    Raises:
        PlanError: shows the option.
    """
    known = dict(options or {})
    for name in sorted(known):
        if name in _OWN:
            msg = f"the option {name!r} is ours to set"
            remedy = "leave it out; the other arguments say what can be chosen"
            raise PlanError(msg, place=f"{place}: options={{…}}", remedy=remedy)
    return tuple(sorted(known.items()))


def settings(servers: str, options: Iterable[tuple[str, Any]], **own: Any) -> dict[str, Any]:
    """Return the configuration of a client; underscores in ``own`` are dots."""
    ours = {name.replace("_", "."): value for name, value in own.items()}
    return {"bootstrap.servers": servers, **dict(options), **ours, "logger": CLIENT_LOG}


def missing(error: ImportError, kind: type[_Error], place: str) -> _Error:
    """Build the error for a client library that is not installed."""
    msg = f"the client of Kafka is not installed: {error}"
    return kind(msg, place=place, remedy="pip install 'eventtime[kafka]'")


class Troubles:
    """What a client says in passing; it goes on trying by itself.

    Args:
        servers: where the brokers are.
        place: for messages.
    """

    def __init__(self, servers: str, place: str) -> None:
        self._servers, self._place = servers, place
        self._told: KafkaError | None = None
        self.is_cut_off = False

    def hear(self, error: KafkaError) -> None:
        """Keep it: the callback of a client for errors."""
        LOG.info("%s: %s", self._place, error.str())
        if error.name() == "_ALL_BROKERS_DOWN":
            self.is_cut_off = True
        if self._told is None or error.name() != "_ALL_BROKERS_DOWN":
            self._told = error

    def topic(
        self, client: Any, name: str, kind: type[_Error], wait_s: float = WAIT_S
    ) -> TopicMetadata:
        """Ask for a topic, until a broker answers or refuses us.

        Raises:
            _Error: no broker answers in time, or there is no such topic for us.
        """
        from confluent_kafka import KafkaException

        for waited_s in range(1, math.ceil(wait_s) + 1):
            try:
                asked = client.list_topics(name, timeout=min(wait_s, 1.0))
                known: TopicMetadata = asked.topics[name]
            except KafkaException as error:
                client.poll(0)  # lets it say why
                if waited_s >= wait_s or self._is_refused:
                    raise self.unreachable(error, kind, wait_s) from error
                continue
            if known.error is None:
                return known
            msg = f"the topic {name!r} is closed to us: {known.error.str()}"
            remedy = "create it, name one that is there, or ask for the right to use it"
            raise kind(msg, place=self._place, remedy=remedy)
        raise AssertionError

    def unreachable(self, error: Exception, kind: type[_Error], wait_s: float = WAIT_S) -> _Error:
        """Build the error for brokers that do not answer, or refuse us."""
        why = str(error) if self._told is None else self._told.str()
        if self._is_refused:
            msg = f"the broker refuses the login: {why}"
            return kind(msg, place=self._place, remedy="options={'sasl.username': …, …}")
        msg = f"no broker answers at {self._servers} within {wait_s:g} s: {why}"
        remedy = "check servers= and that the broker runs; options={'security.protocol': …}"
        return kind(msg, place=self._place, remedy=remedy)

    @property
    def _is_refused(self) -> bool:
        return self._told is not None and self._told.name() in _CLOSED_TO_US
