"""The kit that every sink with epochs must pass: ours do, and so should yours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.errors import FencedError, SinkError
from eventtime.testing.epochs import JOB, SCHEMA, batch_of, numbers_of, rows_of
from eventtime.testing.kills import kill_points, killed
from eventtime.testing.outputs import (
    BrokenPromiseError,
    Output,
    SinkCase,
    as_folder,
    check_case,
    noted,
    same,
    sink_check,
)
from eventtime.testing.values import VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventtime.testing.kills import KillPoint

__all__ = (
    "SINK_CHECKS",
    "an_epoch_that_fails_leaves_nothing",
    "check_sink",
    "empty_epochs_count",
    "epochs_arrive",
    "jobs_do_not_share_epochs",
    "kills_during_commit_leave_whole_epochs",
    "kills_during_recover_leave_whole_epochs",
    "numbers_may_be_left_out",
    "older_tokens_are_fenced",
    "replayed_epochs_are_no_ops",
    "values_of_every_type_come_back",
)


def check_sink(case: SinkCase, folder: Path | str) -> None:
    """Run every check; to see each by its name, parametrize a test with `SINK_CHECKS`.

    Args:
        case: the sink.
        folder: empty.

    Raises:
        AssertionError: says what was promised and what was found.
        PlanError: the case is none, or the folder holds what an earlier run left.

    >>> check_sink("out.db", "folder")
    Traceback (most recent call last):
    eventtime.errors.PlanError: 'out.db' is no SinkCase
      at:  check_sink(case)
      fix: give SinkCase(make, read): how your sink is made in a folder, and how it is read
    """
    check_case(case, place="check_sink(case)")
    place = as_folder(folder, place="check_sink(folder)")
    for check in SINK_CHECKS:
        check(case, place / check.__name__)


@sink_check
def epochs_arrive(case: SinkCase, folder: Path) -> None:
    """Every row of every epoch is there once, however it was cut in batches."""
    output = Output(case, folder)
    writer = output.open(1, expected=0)
    output.holds(when="before the first epoch")
    for epoch in (1, 2, 3):
        writer.commit(epoch, iter(rows_of(epoch)), 1)
        output.holds(*range(1, epoch + 1), when=f"after epoch {epoch}")
    writer.close()
    writer.close()
    output.holds(1, 2, 3, when="after close()")


@sink_check
def replayed_epochs_are_no_ops(case: SinkCase, folder: Path) -> None:
    """An epoch that is committed is not written again, by the same writer or the next."""
    output = Output(case, folder)
    writer = output.open(1, expected=0)
    for epoch in (1, 2, 2, 1):
        writer.commit(epoch, rows_of(epoch), 1)
    output.holds(1, 2, when="after epochs 1, 2, 2, 1")
    writer.close()
    writer = output.open(2, expected=2)
    for epoch in (1, 2, 3):
        writer.commit(epoch, rows_of(epoch), 2)
    writer.close()
    output.holds(1, 2, 3, when="after epochs 1, 2, 3 by the next writer")
    output.open(2, expected=3).close()


@sink_check
def numbers_may_be_left_out(case: SinkCase, folder: Path) -> None:
    """Epochs ascend; a checkpoint that failed leaves a number out."""
    output = Output(case, folder)
    writer = output.open(3, expected=0)
    writer.commit(2, rows_of(2), 3)
    writer.commit(9, rows_of(9), 3)
    writer.close()
    output.holds(2, 9, when="after epochs 2 and 9")
    output.open(4, expected=9).close()


@sink_check
def empty_epochs_count(case: SinkCase, folder: Path) -> None:
    """An epoch without rows is committed like any other."""
    output = Output(case, folder)
    writer = output.open(1, expected=0)
    writer.commit(1, [], 1)
    writer.close()
    writer = output.open(2, expected=1)
    writer.commit(2, iter([]), 2)
    writer.commit(3, [batch_of([])], 2)
    writer.commit(4, rows_of(4), 2)
    writer.commit(5, [], 2)
    writer.close()
    output.open(3, expected=5).close()
    output.holds(4, when="after one epoch with rows among four without")


@sink_check
def older_tokens_are_fenced(case: SinkCase, folder: Path) -> None:
    """Once a newer process has recovered, nothing of an older one is written."""
    output = Output(case, folder)
    old = output.open(1, expected=0)
    old.commit(1, rows_of(1), 1)
    new = output.open(2, expected=1)
    for act, what in (
        (lambda: old.commit(2, rows_of(2), 1), "commit of a new epoch"),
        (lambda: old.commit(1, rows_of(1), 1), "commit of an old epoch"),
        (lambda: old.recover(1), "recover"),
    ):
        _raises(FencedError, act, f"{what} with a token that is older than another's")
    output.holds(1, when="after an older process tried")
    new.commit(2, rows_of(2), 2)
    _raises(FencedError, lambda: old.commit(3, rows_of(3), 1), "commit, after the newer one's")
    new.close()
    old.close()
    output.holds(1, 2, when="after the newer process went on")
    again = output.sink.open_epochs(SCHEMA, JOB)
    _raises(FencedError, lambda: again.recover(1), "recover with an old token after re-opening")
    again.close()


@sink_check
def an_epoch_that_fails_leaves_nothing(case: SinkCase, folder: Path) -> None:
    """Rows that break off or are of another schema leave no part, and the epoch can be retried."""
    output = Output(case, folder)
    writer = output.open(1, expected=0)
    writer.commit(1, rows_of(1), 1)
    _raises(_BrokenOffError, lambda: writer.commit(2, _breaking_off(2), 1), "commit of such rows")
    output.holds(1, when="after an epoch whose rows broke off")
    other = pa.record_batch({"n": pa.array([1.5])})
    _raises(SinkError, lambda: writer.commit(2, [*rows_of(2), other], 1), "commit of other columns")
    output.holds(1, when="after an epoch with rows of another schema")
    writer.commit(2, rows_of(2), 1)
    writer.close()
    output.holds(1, 2, when="after the epoch was tried again")


@sink_check
def jobs_do_not_share_epochs(case: SinkCase, folder: Path) -> None:
    """Two jobs that write to one output have epochs and tokens of their own."""
    if not case.several_jobs:
        return
    output = Output(case, folder)
    one = output.open(5, expected=0, job="one")
    two = output.open(1, expected=0, job="two")
    one.commit(3, rows_of(3), 5)
    two.commit(1, rows_of(1), 1)
    one.close()
    two.close()
    output.holds(1, 3, when="after epoch 3 of one job and epoch 1 of another")


@sink_check
def kills_during_commit_leave_whole_epochs(case: SinkCase, folder: Path) -> None:
    """Killed between any two lines of `commit`, the epoch is there whole or not; then it is."""
    _outlives_kills(case, folder, "commit", token=2)


@sink_check
def kills_during_recover_leave_whole_epochs(case: SinkCase, folder: Path) -> None:
    """Killed between any two lines of `recover`, the next process finds what was there."""
    _outlives_kills(case, folder, "recover", token=3)


@sink_check
def values_of_every_type_come_back(case: SinkCase, folder: Path) -> None:
    """Each type is refused at the door, by the name of the column, or comes back as it was."""
    for name, values in VALUES.items():
        with noted(f"with values of {values.type}"):
            _comes_back(case, folder / name, values)


SINK_CHECKS: Final[tuple[Callable[[SinkCase, Path | str], None], ...]] = (
    epochs_arrive,
    replayed_epochs_are_no_ops,
    numbers_may_be_left_out,
    empty_epochs_count,
    older_tokens_are_fenced,
    an_epoch_that_fails_leaves_nothing,
    jobs_do_not_share_epochs,
    kills_during_commit_leave_whole_epochs,
    kills_during_recover_leave_whole_epochs,
    values_of_every_type_come_back,
)
"""Each takes a case and an empty folder; what it holds is its docstring."""


class _BrokenOffError(Exception):
    """What the rows of an epoch raise."""


def _breaking_off(epoch: int) -> Iterator[pa.RecordBatch]:
    yield from rows_of(epoch)
    raise _BrokenOffError


def _outlives_kills(case: SinkCase, folder: Path, method: str, token: int) -> None:
    """Kill a process at lines of a method, and go on from what each left."""
    with noted(f"before any kill in {method}"):
        points = kill_points(Output(case, folder / "all").sink, method)
        torn = _torn(case, folder / "halfway") if method == "recover" else None
    points = [point for i, point in enumerate(points) if i * case.kills % len(points) < case.kills]
    for number, point in enumerate(points):
        where = f"line {point.line} of {point.file} (time {point.turn})"
        with noted(f"after a kill at {where}"):
            output = Output(case, folder / f"{number}")
            if torn is not None:
                killed(output.sink, "commit", torn)
            killed(output.sink, method, point)
            if case.whole_epochs:
                _holds_whole(output, f"after a kill at {where}")
            _goes_on(output, token, where)


def _torn(case: SinkCase, folder: Path) -> KillPoint:
    """Where a process leaves an epoch half-done to the one that is killed in `recover`."""
    points = kill_points(Output(case, folder).sink, "commit")
    return points[len(points) * 2 // 3]


def _holds_whole(output: Output, when: str) -> None:
    seen = output.numbers()
    wholes = [numbers_of(1), numbers_of(1) + numbers_of(2)]
    if seen not in wholes:
        msg = f"rows that a reader sees {when} are part of an epoch: {seen}"
        raise BrokenPromiseError(msg)


def _goes_on(output: Output, token: int, where: str) -> None:
    with noted(f"in recover({token})"):
        writer = output.sink.open_epochs(SCHEMA, JOB)
        last = writer.recover(token)
    if last not in {1, 2}:
        msg = f"recover after a kill at {where} says {last}, neither 1 nor 2"
        raise BrokenPromiseError(msg)
    output.holds(*range(1, last + 1), when=f"after recovering from a kill at {where}")
    for epoch in range(last + 1, 4):
        with noted(f"in commit of epoch {epoch}"):
            writer.commit(epoch, rows_of(epoch), token)
    writer.close()
    output.holds(1, 2, 3, when=f"after going on from a kill at {where}")


def _comes_back(case: SinkCase, folder: Path, values: pa.Array) -> None:
    output = Output(case, folder)
    schema = pa.schema([("n", pa.int64()), ("the column", values.type), SCHEMA.field(2)])
    try:
        writer = output.sink.open_epochs(schema, JOB)
    except SinkError as error:
        if "the column" not in str(error):
            msg = f"a column of {values.type} is refused without its name: {error}"
            raise BrokenPromiseError(msg) from error
        return
    numbers = pa.array(range(len(values)), pa.int64())
    times = pa.repeat(pa.scalar(0, SCHEMA.field(2).type), len(values))
    writer.recover(1)
    writer.commit(1, [pa.record_batch([numbers, values, times], schema=schema)], 1)
    writer.close()
    found = sorted(case.read(folder), key=lambda row: int(row["n"]))
    seen = [row["the column"] for row in found]
    same(repr(seen), repr(case.as_read(values)), f"values of {values.type}")


def _raises(kind: type[Exception], act: Callable[[], object], what: str) -> None:
    try:
        with noted(f"in {what}"):
            act()
    except kind:
        return
    msg = f"{what} did not raise {kind.__name__}"
    raise BrokenPromiseError(msg)
