"""All checks of a pipeline, and each by itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.testing.checking.case import Case
from eventtime.testing.checking.equal import equals_oracle, overflows
from eventtime.testing.checking.invariance import (
    batches_do_not_show,
    restarts_do_not_show,
    shards_do_not_show,
)
from eventtime.testing.checking.order import order_does_not_show
from eventtime.testing.checking.standing import (
    ledger_balances,
    nothing_is_early,
    nothing_is_left,
    watermark_is_monotone,
)
from eventtime.testing.checking.steady import hold
from eventtime.testing.checking.versions import versions_fold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.stream import Stream
    from eventtime.testing.steps import Streams

__all__ = (
    "CHECKS",
    "check",
    "check_batches",
    "check_early",
    "check_empty",
    "check_ledger",
    "check_oracle",
    "check_order",
    "check_restores",
    "check_shards",
    "check_versions",
    "check_watermark",
)

CHECKS: Final[dict[str, Callable[[Case], None]]] = {
    "oracle": equals_oracle,
    "ledger": ledger_balances,
    "watermark": watermark_is_monotone,
    "early": nothing_is_early,
    "versions": versions_fold,
    "empty": nothing_is_left,
    "restores": restarts_do_not_show,
    "batches": batches_do_not_show,
    "shards": shards_do_not_show,
    "order": order_does_not_show,
}
"""By what they are called in `check(without=…)`, in the order in which it goes through them."""
_OF_ORACLE: Final = frozenset({"oracle", "versions", "order"})


def check(pipeline: Stream, streams: Streams, *, without: Sequence[str] = ()) -> None:
    """Check that a pipeline computes what the rules say, whatever happens to it.

    Everything in `CHECKS`: that it gives what the oracle says; that batches, shards, restarts and
    the order of rows within the bound do not show; that the ledger balances, the watermark never
    goes back, nothing is early, versions come to the final answer, and nothing is left at the end.
    Partitions that have not ended are finished behind the last step. Cost: seven runs and a restart
    for each push: about 0.045 s for six rows in 16 steps.

    Args:
        pipeline: declares what to compute; its sources give the schema only and are not read.
        streams: what happens to it.
        without: names of checks to leave out. Without 'oracle', 'versions' and 'order' are left
            out too, for they ask it: so pipelines are checked that the oracle does not know.

    Raises:
        AssertionError: a rule does not hold; says which, what differs, and what happened.
        PlanError: the pipeline cannot run, or the oracle does not know it; there is no check of
            that name, or none is left.

    >>> import pyarrow as pa, eventtime as et
    >>> from eventtime.testing import Push, Streams
    >>> schema = pa.schema({"t": pa.timestamp("s"), "x": pa.int64()})
    >>> stream = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    >>> stream = stream.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> rows = [{"t": 0, "x": 1}, {"t": 70, "x": 2}, {"t": 10, "x": 3}]
    >>> check(stream, Streams(("a",), (Push("a", rows),)))
    """
    unknown = [name for name in without if name not in CHECKS]
    if unknown or isinstance(without, str):
        msg = f"{shown(without if isinstance(without, str) else unknown[0])} is no check"
        remedy = f"a list of some of {', '.join(CHECKS)}"
        raise PlanError(msg, place="check(without=…)", remedy=remedy)
    left_out = {*without, *(_OF_ORACLE if "oracle" in without else ())}
    if left_out >= CHECKS.keys():
        msg = "all checks are left out, so nothing could fail"
        raise PlanError(msg, place="check(without=…)", remedy="leave one of them in")
    case = Case(pipeline, streams)
    if "oracle" not in left_out and overflows(case):
        return
    hold(case, *(holds for name, holds in CHECKS.items() if name not in left_out))


def check_oracle(pipeline: Stream, streams: Streams) -> None:
    """Check that results, side outputs and ledger are those of `oracle`, step by step.

    Where a sum leaves its type, that there is an error.

    Args:
        pipeline, streams: as for `check`; so are the errors.

    >>> import pyarrow as pa, eventtime as et
    >>> from eventtime.testing import Push, Streams
    >>> nothing = pa.schema({"t": pa.timestamp("s")}).empty_table()
    >>> marked = et.from_arrow(nothing, time="t").watermark(et.ascending())
    >>> pipeline = marked.window(et.tumbling("1m")).aggregate(n=et.count())
    >>> check_oracle(pipeline, Streams(("a",), (Push("a", [{"t": 0}, {"t": 70}]),)))
    """
    hold(Case(pipeline, streams), equals_oracle)


def check_batches(pipeline: Stream, streams: Streams) -> None:
    """Check that cuts into batches do not show, to the byte (S4).

    Rows are pushed one by one, and pushes that follow one another as one. A watermark generator
    that answers once for a batch does not hold this.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), batches_do_not_show)


def check_shards(pipeline: Stream, streams: Streams) -> None:
    """Check that three shards give the bytes of one (S24), also where they are restored as fewer.

    A restart or crash of the steps goes on with two shards, the next with one, then with three.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), shards_do_not_show)


def check_restores(pipeline: Stream, streams: Streams, *, by_row: bool = True) -> None:
    """Check that a pipeline can be restored anywhere (S27, S28).

    After each step it is saved, destroyed and restored; then, with checkpoints as a run writes them
    but in memory, every fourth one is lost in a crash, and its input comes again, as do the
    clock's readings; and so where the steps say it. All give the bytes of the run that nobody
    disturbed. It is down for a day each time, unless something goes by the clock itself.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
        by_row: after each row and each step; `check` is content with each push, for this takes most
            of the time.
    """
    hold(Case(pipeline, streams), partial(restarts_do_not_show, by_row=by_row))


def check_order(pipeline: Stream, streams: Streams) -> None:
    """Check that the order of rows does not show, as far as the declared bound allows (S2).

    The rows of each partition come in order of time, and as far out of it as they may: nothing is
    late, and the results are the same, and those of `streams` if nothing is late there either. Sums
    of floats, and what depends on the order by its nature, are not compared. Of other generators
    than bounded disorder, of `map_batches`, a future guard and steps behind the last window it says
    nothing.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), order_does_not_show)


def check_ledger(pipeline: Stream, streams: Streams) -> None:
    """Check that the ledger balances after each push, and agrees with the side outputs (S26).

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), ledger_balances)


def check_watermark(pipeline: Stream, streams: Streams) -> None:
    """Check that the watermark never goes back, row by row, and ends at plus infinity (S5, S9).

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), watermark_is_monotone)


def check_early(pipeline: Stream, streams: Streams) -> None:
    """Check that nothing comes before the watermark has passed the end of its window (S18).

    And that nothing is final before its window has expired. Says nothing where the columns
    `window_end`, `timing` and `is_final` are left out.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), nothing_is_early)


def check_versions(pipeline: Stream, streams: Streams) -> None:
    """Check that all that was emitted of a window comes to the final answer (S21).

    Versions count up from one, and only the last is final. Accumulating, it is the answer;
    retracting, it is what is left by `diff`; discarding, the parts add up (count, sum, min, max,
    any, all, collect). Says nothing where there are steps behind the last window.

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), versions_fold)


def check_empty(pipeline: Stream, streams: Streams) -> None:
    """Check that no state is left when all partitions have ended (S9, S30).

    Args:
        pipeline, streams: as for `check`; so are the errors. See `check_oracle` for an example.
    """
    hold(Case(pipeline, streams), nothing_is_left)
