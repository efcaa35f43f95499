"""For tests of your own: what can happen to a pipeline, and what a sink must pass."""

import typing as _typing

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
from eventtime.testing.outputs import SinkCase
from eventtime.testing.reference.expected import Expected, oracle
from eventtime.testing.sinks import SINK_CHECKS, check_sink
from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Checkpoint,
    Crash,
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

if _typing.TYPE_CHECKING:
    from eventtime.testing.contracts.aggregate import check_aggregate
    from eventtime.testing.contracts.assigner import check_assigner
    from eventtime.testing.contracts.function import check_function
    from eventtime.testing.contracts.generator import check_generator
    from eventtime.testing.contracts.laws import BrokenLawError

__all__ = (
    "CHECKS",
    "SINK_CHECKS",
    "AddPartition",
    "AdvanceClock",
    "BrokenLawError",
    "BrokenRuleError",
    "Checkpoint",
    "Crash",
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
    "check_aggregate",
    "check_assigner",
    "check_batches",
    "check_early",
    "check_empty",
    "check_function",
    "check_generator",
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


def __getattr__(name: str) -> object:
    """Load what stands on Hypothesis when it is first asked for."""
    home = {
        "BrokenLawError": "laws",
        "check_aggregate": "aggregate",
        "check_assigner": "assigner",
        "check_function": "function",
        "check_generator": "generator",
    }.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    import eventtime.testing.strategies.needed  # noqa: F401 - says what to install

    return getattr(importlib.import_module(f"eventtime.testing.contracts.{home}"), name)
