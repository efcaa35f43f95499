"""The kit that every sink with epochs must pass: ours do, and so should yours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import FencedError, SinkError
from eventtime.testing.epochs import JOB, SCHEMA, batch_of, numbers_of, rows_of
from eventtime.testing.kills import kill_points, killed
from eventtime.testing.values import VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eventtime.sinks.epochs import EpochSink, EpochWriter

__all__ = (
    "SINK_CHECKS",
    "SinkCase",
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


@dataclass(frozen=True)
class SinkCase:
    """A sink as the kit sees it.

    Args:
        make: describes the sink whose output is in or named after an empty folder. What it returns
            goes to other processes, so its class is defined at the top of a module.
        read: rows that any reader sees in that output now, in any order; [] if it is not there.
        whole_epochs: whether a reader never sees part of an epoch, at no moment; False if an epoch
            appears piece by piece, and a reopened sink completes it.
        several_jobs: whether two jobs may write to one output.
        kills: processes killed in each check that kills, at lines spread evenly.
        as_read: what `read` returns for the values of a column; as `to_pylist()` if not given.
    """

    make: Callable[[Path], EpochSink]
    read: Callable[[Path], list[dict[str, Any]]]
    whole_epochs: bool = True
    several_jobs: bool = True
    kills: int = 1_000
    as_read: Callable[[pa.Array], list[Any]] = pa.Array.to_pylist


class _Output:
    """One output of a case, in a folder of its own."""

    def __init__(self, case: SinkCase, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.case = case
        self.folder = folder
        self.sink = case.make(folder)

    def open(self, token: int, expected: int, job: str = JOB) -> EpochWriter:
        writer = self.sink.open_epochs(SCHEMA, job)
        last = writer.recover(token)
        _same(last, expected, f"recover({token}) of {job!r}")
        return writer

    def holds(self, *epochs: int, when: str) -> None:
        seen = sorted(int(row["n"]) for row in self.case.read(self.folder))
        wanted = sorted(n for epoch in epochs for n in numbers_of(epoch))
        _same(seen, wanted, f"rows that a reader sees {when}")


def check_sink(case: SinkCase, folder: Path) -> None:
    """Run every check; to see each by its name, parametrize a test with `SINK_CHECKS`.

    Args:
        case: the sink.
        folder: empty.

    Raises:
        AssertionError: says what was promised and what was found.
    """
    for check in SINK_CHECKS:
        check(case, folder / check.__name__)


def epochs_arrive(case: SinkCase, folder: Path) -> None:
    """Every row of every epoch is there once, however it was cut in batches."""
    output = _Output(case, folder)
    writer = output.open(1, expected=0)
    output.holds(when="before the first epoch")
    for epoch in (1, 2, 3):
        writer.commit(epoch, iter(rows_of(epoch)), 1)
        output.holds(*range(1, epoch + 1), when=f"after epoch {epoch}")
    writer.close()
    writer.close()
    output.holds(1, 2, 3, when="after close()")


def replayed_epochs_are_no_ops(case: SinkCase, folder: Path) -> None:
    """An epoch that is committed is not written again, by the same writer or the next."""
    output = _Output(case, folder)
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


def numbers_may_be_left_out(case: SinkCase, folder: Path) -> None:
    """Epochs ascend; a checkpoint that failed leaves a number out."""
    output = _Output(case, folder)
    writer = output.open(3, expected=0)
    writer.commit(2, rows_of(2), 3)
    writer.commit(9, rows_of(9), 3)
    writer.close()
    output.holds(2, 9, when="after epochs 2 and 9")
    output.open(4, expected=9).close()


def empty_epochs_count(case: SinkCase, folder: Path) -> None:
    """An epoch without rows is committed like any other."""
    output = _Output(case, folder)
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


def older_tokens_are_fenced(case: SinkCase, folder: Path) -> None:
    """Once a newer process has recovered, nothing of an older one is written."""
    output = _Output(case, folder)
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


def an_epoch_that_fails_leaves_nothing(case: SinkCase, folder: Path) -> None:
    """Rows that break off or are of another schema leave no part, and the epoch can be retried."""
    output = _Output(case, folder)
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


def jobs_do_not_share_epochs(case: SinkCase, folder: Path) -> None:
    """Two jobs that write to one output have epochs and tokens of their own."""
    if not case.several_jobs:
        return
    output = _Output(case, folder)
    one = output.open(5, expected=0, job="one")
    two = output.open(1, expected=0, job="two")
    one.commit(3, rows_of(3), 5)
    two.commit(1, rows_of(1), 1)
    one.close()
    two.close()
    output.holds(1, 3, when="after epoch 3 of one job and epoch 1 of another")


def kills_during_commit_leave_whole_epochs(case: SinkCase, folder: Path) -> None:
    """Killed between any two lines of `commit`, the epoch is there whole or not; then it is."""
    for where, output in _each_kill(case, folder, "commit"):
        if case.whole_epochs:
            _holds_whole(output, f"after a kill at {where}")
        _goes_on(output, token=2, where=where)


def kills_during_recover_leave_whole_epochs(case: SinkCase, folder: Path) -> None:
    """Killed between any two lines of `recover`, the next process finds what was there."""
    for where, output in _each_kill(case, folder, "recover"):
        if case.whole_epochs:
            _holds_whole(output, f"after a kill at {where}")
        _goes_on(output, token=3, where=where)


def values_of_every_type_come_back(case: SinkCase, folder: Path) -> None:
    """Each type is refused at the door, by the name of the column, or comes back as it was."""
    for name, values in VALUES.items():
        place = folder / name
        place.mkdir(parents=True)
        schema = pa.schema([("n", pa.int64()), ("the column", values.type), SCHEMA.field(2)])
        sink = case.make(place)
        try:
            writer = sink.open_epochs(schema, JOB)
        except SinkError as error:
            if "the column" not in str(error):
                msg = f"a column of {values.type} is refused without its name: {error}"
                raise AssertionError(msg) from error
            continue
        numbers = pa.array(range(len(values)), pa.int64())
        times = pa.repeat(pa.scalar(0, SCHEMA.field(2).type), len(values))
        writer.recover(1)
        writer.commit(1, [pa.record_batch([numbers, values, times], schema=schema)], 1)
        writer.close()
        found = sorted(case.read(place), key=lambda row: int(row["n"]))
        seen = [row["the column"] for row in found]
        _same(repr(seen), repr(case.as_read(values)), f"values of {values.type}")


SINK_CHECKS: Final[tuple[Callable[[SinkCase, Path], None], ...]] = (
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
"""Each takes a case and a folder that is not there yet; what it holds is its docstring."""


class _BrokenOffError(Exception):
    """What the rows of an epoch raise."""


def _breaking_off(epoch: int) -> Iterator[pa.RecordBatch]:
    yield from rows_of(epoch)
    raise _BrokenOffError


def _each_kill(case: SinkCase, folder: Path, method: str) -> Iterator[tuple[str, _Output]]:
    """Yield each line of a method at which a process was killed, and what it left.

    One that is killed in `recover` was left an epoch half-done by another, killed in `commit`.
    """
    points = kill_points(_Output(case, folder / "all").sink, method)
    points = [point for i, point in enumerate(points) if i * case.kills % len(points) < case.kills]
    halfway = kill_points(_Output(case, folder / "halfway").sink, "commit")
    torn = halfway[len(halfway) * 2 // 3]
    for number, point in enumerate(points):
        output = _Output(case, folder / f"{number}")
        if method == "recover":
            killed(output.sink, "commit", torn)
        killed(output.sink, method, point)
        yield f"line {point.line} of {point.file} (time {point.turn})", output


def _holds_whole(output: _Output, when: str) -> None:
    seen = sorted(int(row["n"]) for row in output.case.read(output.folder))
    wholes = [numbers_of(1), numbers_of(1) + numbers_of(2)]
    if seen not in wholes:
        msg = f"rows that a reader sees {when} are part of an epoch: {seen}"
        raise AssertionError(msg)


def _goes_on(output: _Output, token: int, where: str) -> None:
    writer = output.sink.open_epochs(SCHEMA, JOB)
    last = writer.recover(token)
    if last not in {1, 2}:
        msg = f"recover after a kill at {where} says {last}, neither 1 nor 2"
        raise AssertionError(msg)
    output.holds(*range(1, last + 1), when=f"after recovering from a kill at {where}")
    for epoch in range(last + 1, 4):
        writer.commit(epoch, rows_of(epoch), token)
    writer.close()
    output.holds(1, 2, 3, when=f"after going on from a kill at {where}")


def _same(seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        msg = f"{what}: {seen}, promised was {wanted}"
        raise AssertionError(msg)


def _raises(kind: type[Exception], act: Callable[[], object], what: str) -> None:
    try:
        act()
    except kind:
        return
    msg = f"{what} did not raise {kind.__name__}"
    raise AssertionError(msg)
