"""An output as the checks of sinks see it, and how they say what it does not keep."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checks import check_flag, check_whole, shown
from eventtime.errors import PlanError
from eventtime.sinks.epochs import takes_epochs
from eventtime.sinks.files import path_of
from eventtime.testing.epochs import JOB, SCHEMA, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventtime.sinks.epochs import EpochSink, EpochWriter

__all__ = (
    "BrokenPromiseError",
    "Output",
    "SinkCase",
    "as_folder",
    "check_case",
    "noted",
    "same",
    "sink_check",
)


class BrokenPromiseError(AssertionError):
    """Raised by a check of a sink: what was found, and what was promised."""


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
        kills: processes killed in each check that kills, at lines spread evenly; at least one.
        as_read: what `read` returns for the values of a column; as `to_pylist()` if not given.

    Raises:
        PlanError: an argument is not of this kind.

    >>> import eventtime as et
    >>> case = SinkCase(
    ...     make=lambda folder: et.to_parquet(folder / "out", parts=True),
    ...     read=lambda folder: [],
    ...     several_jobs=False,
    ... )
    >>> case.kills
    1000
    """

    make: Callable[[Path], EpochSink]
    read: Callable[[Path], list[dict[str, Any]]]
    whole_epochs: bool = True
    several_jobs: bool = True
    kills: int = 1_000
    as_read: Callable[[pa.Array], list[Any]] = pa.Array.to_pylist

    def __post_init__(self) -> None:
        for name in ("make", "read", "as_read"):
            value: object = getattr(self, name)
            if not callable(value):
                takes = "the values of a column" if name == "as_read" else "a folder"
                msg, place = f"{shown(value)} is not a function", f"SinkCase({name}=…)"
                raise PlanError(msg, place=place, remedy=f"give a function that takes {takes}")
        check_flag(self.whole_epochs, place="SinkCase(whole_epochs=…)")
        check_flag(self.several_jobs, place="SinkCase(several_jobs=…)")
        what, place = "a whole number from 1 on", "SinkCase(kills=…)"
        check_whole(self.kills, least=1, what=what, place=place, remedy="such as 100")


class Output:
    """One output of a case, in a folder of its own."""

    def __init__(self, case: SinkCase, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.case = case
        self.folder = folder
        with noted("in make"):
            self.sink = case.make(folder)
        if not takes_epochs(self.sink):
            msg = f"make returned {shown(self.sink)}, promised was a sink that takes epochs"
            raise BrokenPromiseError(msg)

    def open(self, token: int, expected: int, job: str = JOB) -> EpochWriter:
        """Open it anew, where the last epoch committed should be this one."""
        with noted(f"in open_epochs and recover({token}) of {job!r}"):
            writer = self.sink.open_epochs(SCHEMA, job)
            last = writer.recover(token)
        same(last, expected, f"recover({token}) of {job!r}")
        return writer

    def numbers(self) -> list[int]:
        """Column n of the rows that a reader sees now."""
        with noted("in read"):
            return sorted(int(row["n"]) for row in self.case.read(self.folder))

    def holds(self, *epochs: int, when: str) -> None:
        """Ask for the rows of these epochs, and no more."""
        wanted = sorted(n for epoch in epochs for n in numbers_of(epoch))
        same(self.numbers(), wanted, f"rows that a reader sees {when}")


def same(seen: object, wanted: object, what: str) -> None:
    """Ask for what was promised.

    Raises:
        BrokenPromiseError: shows both.
    """
    if seen != wanted:
        msg = f"{what}: {seen}, promised was {wanted}"
        raise BrokenPromiseError(msg)


@contextmanager
def noted(when: str) -> Iterator[None]:
    """Let an error that comes out say when it was; `sink_check` puts that in its message."""
    try:
        yield
    except BrokenPromiseError:
        raise
    except Exception as error:
        error.add_note(when)
        raise


def sink_check(run: Callable[[SinkCase, Path], None]) -> Callable[[SinkCase, Path | str], None]:
    """Make a function a check: its docstring is the promise, and what a sink raises breaks it."""

    @wraps(run)
    def check(case: SinkCase, folder: Path | str) -> None:
        check_case(case, place=f"{run.__name__}(case)")
        empty = as_folder(folder, place=f"{run.__name__}(folder)")
        _check_empty(empty, place=f"{run.__name__}(folder)")
        try:
            run(case, empty)
        except BrokenPromiseError:
            raise
        except Exception as error:
            when = ", ".join(getattr(error, "__notes__", ()))
            raised = f"{type(error).__name__} {when}".rstrip()
            msg = f"{run.__name__}: {raised}: {error}\npromised was: {run.__doc__}"
            raise BrokenPromiseError(msg) from error

    return check


def as_folder(given: object, *, place: str) -> Path:
    """Take a folder as a path or as text.

    Raises:
        PlanError: it is neither.
    """
    remedy = "name an empty folder, such as tmp_path of pytest"
    return Path(path_of(given, place=place, remedy=remedy))


def check_case(given: object, *, place: str) -> None:
    """Refuse what is no case, such as the sink itself.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(given, SinkCase):
        msg = f"{shown(given)} is no SinkCase"
        remedy = "give SinkCase(make, read): how your sink is made in a folder, and how it is read"
        raise PlanError(msg, place=place, remedy=remedy)


def _check_empty(folder: Path, *, place: str) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        msg = f"{str(folder)!r} is there and is no empty folder"
        raise PlanError(msg, place=place, remedy="give a new one for each run")
