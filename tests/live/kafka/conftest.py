"""A broker for the session, and topics of their own for each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kafka_server import KafkaServer, jars
from live.kafka.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def broker() -> Iterator[KafkaServer]:
    """A broker for the session; its absence is an error where the tests must all run."""
    found = jars()
    if isinstance(found, str):
        (pytest.fail if os.environ.get("CI") else pytest.skip)(found)
    server = KafkaServer(found)
    yield server
    server.remove()


@pytest.fixture
def topic(broker: KafkaServer) -> Callable[..., Topic]:
    """Makes topics."""
    return lambda partitions=1, **config: Topic(broker.servers, partitions, **config)
