"""Event-time windows over streams of Arrow record batches."""

import typing as _typing

import eventtime.starting as _starting  # noqa: F401 - first, for Ctrl-C while the others load

# isort: split

from eventtime.advise import Advice, BoundCost, advise
from eventtime.checkpoints import Checkpoints, checkpoints
from eventtime.clock import Clock, ManualClock, SystemClock
from eventtime.disorder import Disorder
from eventtime.errors import (
    AggregateOverflowError,
    AggregateTypeError,
    CheckpointError,
    ColumnError,
    DurationError,
    EventTimeError,
    FencedError,
    JournalError,
    LedgerError,
    MalformedRowError,
    OutputExistsError,
    PlanError,
    SchemaError,
    ScratchError,
    SinkError,
    SourceError,
    TimeColumnError,
    UserCodeError,
)
from eventtime.explaining.asking import explain_row, explain_window
from eventtime.ledger import Ledger, OperatorLedger, PartitionLedger
from eventtime.live import Live, live
from eventtime.live_readers import from_batches, generate, hybrid, read_kafka, read_sql
from eventtime.memory import MemoryLimit, memory_limit
from eventtime.metrics_otel import open_telemetry
from eventtime.plan import DROP
from eventtime.process.function import ProcessFunction
from eventtime.readers import from_arrow, read_csv, read_ipc, read_json_lines, read_parquet
from eventtime.report import ProgressReport, Resumed, WrittenCheckpoint
from eventtime.rerun import replay_journal
from eventtime.restarting import Restart, restart
from eventtime.run import Run
from eventtime.running_custom import BatchGenerator
from eventtime.sinks.by_time import by_day, by_hour, by_month
from eventtime.sinks.csv import to_csv
from eventtime.sinks.delta import to_delta
from eventtime.sinks.duckdb import to_duckdb
from eventtime.sinks.epochs import EpochSink, EpochWriter
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.kafka import to_kafka
from eventtime.sinks.parquet import to_parquet
from eventtime.sinks.postgres import to_postgres
from eventtime.sinks.redis import to_redis
from eventtime.sinks.sqlite import to_sqlite
from eventtime.sinks.stdout import to_stdout
from eventtime.sinks.webhook import to_webhook
from eventtime.sources.partitions import by_column
from eventtime.state.declared import (
    aggregating_state,
    broadcast_state,
    list_state,
    map_state,
    operator_state,
    reducing_state,
    value_state,
)
from eventtime.state_tools.savepoints import savepoint_of
from eventtime.status import Status
from eventtime.stream import KeyedStream, Stream, WindowedStream, union
from eventtime.watermark import (
    ascending,
    bounded_disorder,
    custom,
    percentile,
    punctuated,
)
from eventtime.windows.aggregate import (
    Aggregate,
    collect,
    count,
    count_distinct,
    first,
    last,
    mean,
    stddev,
    user,
    var,
)
from eventtime.windows.aggregate import all_ as all  # noqa: A004 - read as et.all
from eventtime.windows.aggregate import any_ as any  # noqa: A004 - read as et.any
from eventtime.windows.aggregate import max_ as max  # noqa: A004 - read as et.max
from eventtime.windows.aggregate import min_ as min  # noqa: A004 - read as et.min
from eventtime.windows.aggregate import sum_ as sum  # noqa: A004 - read as et.sum
from eventtime.windows.assigner import global_window, sliding, tumbling
from eventtime.windows.user_aggregate import UserAggregate
from eventtime.wire_readers import read_http, read_redis, read_socket, read_stdin

if _typing.TYPE_CHECKING:
    from eventtime.engine import Engine

__all__ = (
    "DROP",
    "Advice",
    "Aggregate",
    "AggregateOverflowError",
    "AggregateTypeError",
    "BatchGenerator",
    "BoundCost",
    "CheckpointError",
    "Checkpoints",
    "Clock",
    "ColumnError",
    "Disorder",
    "DurationError",
    "Engine",
    "EpochSink",
    "EpochWriter",
    "EventTimeError",
    "FencedError",
    "JournalError",
    "KeyedStream",
    "Ledger",
    "LedgerError",
    "Live",
    "MalformedRowError",
    "ManualClock",
    "MemoryLimit",
    "OperatorLedger",
    "OutputExistsError",
    "PartitionLedger",
    "PlanError",
    "ProcessFunction",
    "ProgressReport",
    "Restart",
    "Resumed",
    "Run",
    "SchemaError",
    "ScratchError",
    "SinkError",
    "SourceError",
    "Status",
    "Stream",
    "SystemClock",
    "TimeColumnError",
    "UserAggregate",
    "UserCodeError",
    "WindowedStream",
    "WrittenCheckpoint",
    "advise",
    "aggregating_state",
    "all",
    "any",
    "ascending",
    "bounded_disorder",
    "broadcast_state",
    "by_column",
    "by_day",
    "by_hour",
    "by_month",
    "checkpoints",
    "collect",
    "count",
    "count_distinct",
    "custom",
    "explain_row",
    "explain_window",
    "first",
    "from_arrow",
    "from_batches",
    "generate",
    "global_window",
    "hybrid",
    "last",
    "list_state",
    "live",
    "map_state",
    "max",
    "mean",
    "memory_limit",
    "min",
    "open_telemetry",
    "operator_state",
    "percentile",
    "punctuated",
    "read_csv",
    "read_http",
    "read_ipc",
    "read_json_lines",
    "read_kafka",
    "read_parquet",
    "read_redis",
    "read_socket",
    "read_sql",
    "read_stdin",
    "reducing_state",
    "replay_journal",
    "restart",
    "savepoint_of",
    "sliding",
    "stddev",
    "sum",
    "to_csv",
    "to_delta",
    "to_duckdb",
    "to_ipc",
    "to_json_lines",
    "to_kafka",
    "to_parquet",
    "to_postgres",
    "to_redis",
    "to_sqlite",
    "to_stdout",
    "to_webhook",
    "tumbling",
    "union",
    "user",
    "value_state",
    "var",
)


def __getattr__(name: str) -> object:
    """Load `Engine` when it is first asked for: its kernels, and with them numba, are heavy."""
    if name == "Engine":
        from eventtime.engine import Engine

        return Engine
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
