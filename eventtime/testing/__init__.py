"""For tests of your own: what can happen to a pipeline, and what a sink must pass."""

from eventtime.testing.checking.broken import BrokenRuleError
from eventtime.testing.checking.whole import (
    CHECKS,
    check,
    check_batches,
    check_early,
    check_empty,
    check_ledger,
    check_oracle,
    check_order,
    check_restores,
    check_shards,
    check_versions,
    check_watermark,
)
from eventtime.testing.example import as_test
from eventtime.testing.harness import Harness
from eventtime.testing.reference.expected import Expected, oracle
from eventtime.testing.sinks import SINK_CHECKS, SinkCase, check_sink
from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Row,
    Step,
    Streams,
)
from eventtime.testing.timeline import timeline

__all__ = (
    "CHECKS",
    "SINK_CHECKS",
    "AddPartition",
    "AdvanceClock",
    "BrokenRuleError",
    "Expected",
    "Finish",
    "Harness",
    "Heartbeat",
    "PollEmpty",
    "Push",
    "Restart",
    "Row",
    "SinkCase",
    "Step",
    "Streams",
    "as_test",
    "check",
    "check_batches",
    "check_early",
    "check_empty",
    "check_ledger",
    "check_oracle",
    "check_order",
    "check_restores",
    "check_shards",
    "check_sink",
    "check_versions",
    "check_watermark",
    "oracle",
    "timeline",
)
