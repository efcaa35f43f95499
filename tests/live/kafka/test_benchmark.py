"""The benchmark runs small: all contenders count every row. Nothing here looks at time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.kafka import CONTENDERS, fill

if TYPE_CHECKING:
    from kafka_server import KafkaServer


@pytest.mark.parametrize("contender", CONTENDERS)
def test_a_contender_counts_every_row(contender: str, broker: KafkaServer) -> None:
    value, read = CONTENDERS[contender]
    topic = f"bench-{contender.replace(', ', '-')}"
    fill(broker.servers, topic, value, 20_000)
    assert read(broker.servers, topic, value) == 20_000
