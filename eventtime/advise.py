"""What each bound on disorder would cost, found in one pass over the event times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from eventtime.checks import check_callable, is_share, shown
from eventtime.disorder import Disorder, DisorderTally
from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import PlanError, TimeColumnError
from eventtime.expressions import check_columns
from eventtime.plan import Read, Stepped, United, Watermarked, check_source
from eventtime.report import told
from eventtime.sources.base import MalformedRows, Poll
from eventtime.sources.feed import is_live
from eventtime.sources.timecolumn import check_time_column
from eventtime.timestamp import to_us
from eventtime.transform import Transform
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.plan import Node
    from eventtime.sources.base import PartitionReader, Source
    from eventtime.stream import Stream
    from eventtime.transform import Step

__all__ = ("Advice", "BoundCost", "advise")

_DAY_US: Final = 86_400_000_000
_BATCH_ROWS: Final = 65_536
_DISTINCT_ALL: Final = 1 << 20
_DISTINCT_MIN: Final = 1 << 15
_ROUND_BOUNDS: Final = (
    "0", "1ms", "10ms", "100ms", "1s", "5s", "15s", "30s", "1m", "5m", "15m", "30m",
    "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "2d", "3d", "1w", "2w", "4w", "13w", "52w",
)  # fmt: skip
_QUANTILES: Final = (0.5, 0.9, 0.99, 0.999, 1.0)


@dataclass(frozen=True)
class BoundCost:
    """What a bound costs.

    Args:
        bound_us: the bound; every result comes later by as much.
        late: rows that arrive behind the watermark. Fewer miss a window, for it may still be open.
        share: of the rows with an event time.
    """

    bound_us: int
    late: int
    share: float


@dataclass(frozen=True, eq=False)
class Advice:
    """How disordered a stream is, by partition; `print` it for tables.

    Looking: `partitions`, `total`. Choosing: `bound_us`, `flag`, `costs`. For scripts: `to_dict`.

    Args:
        partitions: by name.
        on_time: share of each partition's rows that the recommended bound keeps on time.
    """

    partitions: dict[str, Disorder]
    on_time: float = 0.99

    @property
    def total(self) -> Disorder:
        """All partitions together; each row is compared with its own partition only."""
        return Disorder.total(list(self.partitions.values()))

    @property
    def bound_us(self) -> int:
        """The least round bound that keeps `on_time` of the rows of every partition on time."""
        delays = [part.quantile_us(self.on_time) for part in self.partitions.values()]
        return _round_up(max(delays, default=0))

    @property
    def flag(self) -> str:
        """What to add to the command line.

        >>> Advice({}).flag
        '--ascending'
        """
        return f"--max-disorder {format_us(self.bound_us)}" if self.bound_us else "--ascending"

    def costs(self, bounds: Sequence[DurationLike] | None = None) -> list[BoundCost]:
        """Return what bounds cost over all partitions, ascending.

        Args:
            bounds: durations; None: round ones that make a difference, and quantiles.
        """
        total = self.total
        if bounds is None:
            chosen = self._telling(total)
        else:
            chosen = sorted({parse_us(b, name="bounds") for b in _listed(bounds)})
        late = [total.late(bound) for bound in chosen]
        return [BoundCost(b, n, n / max(total.timed, 1)) for b, n in zip(chosen, late, strict=True)]

    def _telling(self, total: Disorder) -> list[int]:
        bounds = {0, self.bound_us, *(total.quantile_us(share) for share in _QUANTILES)}
        before = total.late(0)
        for text in _ROUND_BOUNDS:
            bound = parse_us(text, name="bound")
            late = total.late(bound)
            # A bound that changes less than one row in a hundred says nothing new.
            if bound < total.max_us and before - late > total.timed / 100:
                bounds.add(bound)
                before = late
        return sorted(bounds)

    @property
    def note(self) -> str:
        """What is odd about the times; empty if nothing is."""
        longest, step = self.total.max_us, self.total.largest_step_us
        if longest > _DAY_US and step > _DAY_US and 2 * step > longest:
            days = counted(step // _DAY_US, "day")
            return (
                f"a row is {days} ahead of all before it in its partition, which makes those "
                "after it late; if its time is wrong, --max-future sets such rows aside"
            )
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON; durations in microseconds."""
        return {
            "partitions": {name: part.to_dict() for name, part in self.partitions.items()},
            "total": self.total.to_dict(),
            "costs": [asdict(cost) for cost in self.costs()],
            "recommended": {"on_time": self.on_time, "bound_us": self.bound_us, "flag": self.flag},
            "note": self.note,
        }

    def __str__(self) -> str:
        lines = [
            f"{p.partition}: {counted(p.rows, 'row')}, {p.null_times:,} without a time, "
            f"{p.out_of_order:,} out of order; disorder median {format_us(p.quantile_us(0.5))}, "
            f"99 % {format_us(p.quantile_us(0.99))}, at most {format_us(p.max_us)}"
            for p in self.partitions.values()
        ]
        lines += [
            f"bound {format_us(c.bound_us)}: {counted(c.late, 'row')} late ({c.share:.2%})"
            for c in self.costs()
        ]
        return "\n".join([*lines, f"recommended: {self.flag}"])


def advise(
    stream: Stream | Source, *, on_time: float = 0.99, progress: Callable[[int], None] | None = None
) -> Advice:
    """Measure how disordered rows are, in one pass that reads the event times only.

    A row's disorder is the latest event time up to it in its partition less its own (S3).

    Args:
        stream: before its windows; steps such as `filter` are applied. Or a source.
        on_time: the share of rows that the recommended bound is to keep on time.
        progress: called with the rows read so far, after each batch.

    Returns:
        Exact figures, or delays rounded up by at most 0.1 % where very many different ones occur.

    Raises:
        PlanError: a stream with windows, or a share outside (0, 1].
        TimeColumnError: the time column is missing, of a wrong type, or null in every row.
        SourceError: the input cannot be found or read.

    Cost: O(rows), no numba; memory O(different delays), bounded.
    """
    if not is_share(on_time):
        msg = f"share {shown(on_time)} is not in (0, 1]"
        raise PlanError(msg, place="advise(on_time=…)", remedy="0.99 keeps 99 of 100 rows on time")
    remedy = "give a function that takes the number of rows"
    check_callable(progress, place="advise(progress=…)", remedy=remedy)
    tell = None if progress is None else told(progress, place="advise(progress=…)")
    branches = _branches(_node(stream), ())
    opened: list[tuple[str, PartitionReader, _Reading]] = []
    try:
        for source, steps in branches:
            reading = _Reading(source, steps)
            opened += [(reader.name, reader, reading) for reader in reading.open()]
        partitions = _measured(opened, tell)
    finally:
        for _, reader, _ in opened:
            reader.close()
    total = Disorder.total(list(partitions.values()))
    if total.rows and total.null_times == total.rows:
        column = branches[0][0].time
        msg = f"time column {column!r} is null in all {counted(total.rows, 'row')}"
        places = "; ".join(source.describe() for source, _ in branches)
        raise TimeColumnError(msg, place=places, remedy="name the column that holds the event time")
    return Advice(partitions, on_time)


class _Reading:
    """How the times of one source's rows are got at."""

    def __init__(self, source: Source, steps: tuple[Step, ...]) -> None:
        self._source, self._steps = source, steps
        self._schema = source.schema()
        schema = Transform(steps, self._schema).schema
        check_columns(schema, [source.time], place="time=…")
        check_time_column(source, schema)

    def open(self) -> list[PartitionReader]:
        return self._source.open(None if self._steps else [self._source.time], _BATCH_ROWS)

    def transform(self, partition: str) -> Transform:
        schema = self._schema if self._steps else pa.schema([self._schema.field(self._source.time)])
        return Transform(self._steps, schema, f"partition {partition!r}")

    def add(self, batch: pa.RecordBatch, tally: DisorderTally) -> None:
        times = batch.column(self._source.time)
        time_us, admitted = to_us(times, self._source.time_unit)
        tally.add(time_us, admitted, null_times=times.null_count)


def _measured(
    opened: list[tuple[str, PartitionReader, _Reading]], progress: Callable[[int], None] | None
) -> dict[str, Disorder]:
    distinct = max(_DISTINCT_MIN, _DISTINCT_ALL // max(len(opened), 1))
    is_unique = len({name for name, _, _ in opened}) == len(opened)
    measured: dict[str, Disorder] = {}
    rows = 0
    for i, (name, reader, reading) in enumerate(opened):
        partition = name if is_unique else f"{i}/{name}"
        tally, transform = DisorderTally(partition, distinct=distinct), reading.transform(partition)
        while (read := reader.read()) is not Poll.END:
            if isinstance(read, MalformedRows):
                tally.add_malformed(read.rows.num_rows)
                rows += read.rows.num_rows
            elif not isinstance(read, Poll):
                reading.add(transform.apply(read)[0], tally)
                rows += read.num_rows
            if progress is not None:
                progress(rows)
        reader.close()
        measured[partition] = tally.result()
    return dict(sorted(measured.items()))


def _node(stream: Stream | Source) -> Node:
    node: Node | None = getattr(stream, "node", None)
    if node is not None:
        return node
    check_source(stream, place="advise(stream)")
    return Read(stream)  # type: ignore[arg-type]


def _branches(node: Node, after: tuple[Step, ...]) -> list[tuple[Source, tuple[Step, ...]]]:
    if isinstance(node, Read):
        if is_live(node.source):
            msg = f"{node.source.describe()} goes on: its disorder is known when it has ended"
            remedy = "advise on rows that were kept, such as files of the same events"
            raise PlanError(msg, place="advise(stream)", remedy=remedy)
        return [(cast("Source", node.source), after)]
    if isinstance(node, Stepped):
        return _branches(node.input, (node.step, *after))
    if isinstance(node, United):
        return [pair for below in node.inputs for pair in _branches(below, after)]
    if isinstance(node, Watermarked):
        return _branches(node.input, after)
    msg = f"{node.describe()} is behind the watermark, where disorder is dealt with already"
    raise PlanError(msg, place="advise(stream)", remedy="give the stream before key_by and window")


def _listed(bounds: Sequence[DurationLike]) -> Sequence[DurationLike]:
    if isinstance(bounds, list | tuple):
        return bounds
    msg = f"{shown(bounds)} is no list of durations"
    raise PlanError(msg, place="costs(bounds)", remedy="such as ['1h', '4h']")


def _round_up(delay_us: int) -> int:
    """Round up to what reads well: to minutes from an hour on, to seconds from a minute on."""
    for limit, step in ((3_600_000_000, 60_000_000), (60_000_000, 1_000_000), (1_000_000, 1_000)):
        if delay_us >= limit:
            return -(-delay_us // step) * step
    return delay_us
