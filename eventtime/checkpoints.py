"""Where and how often a run writes checkpoints: a description that `run(checkpoint=…)` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.checks import check_callable, check_whole, shown
from eventtime.duration import format_us, parse_us
from eventtime.errors import PlanError
from eventtime.wording import counted, without_secrets

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Executor

    from pyarrow.fs import FileSystem

    from eventtime.duration import DurationLike
    from eventtime.state.storage import Storage

__all__ = ("Checkpoints", "Surroundings", "as_checkpoints", "checkpoints")


@dataclass(frozen=True)
class Surroundings:
    """What checkpoints stand on, for who simulates it.

    Args:
        storage: in place of the one at the path.
        executor: makes what writes them while the work goes on.
        nonce: gives hexadecimal digits that nobody else has.
    """

    storage: Storage
    executor: Callable[[], Executor]
    nonce: Callable[[], str]


@dataclass(frozen=True)
class Checkpoints:
    """Where checkpoints are, and when the next one is due; made by `checkpoints`."""

    path: str
    every_us: int | None = 10_000_000
    every_rows: int | None = None
    keep: int = 3
    filesystem: FileSystem | None = None
    at: int | None = None
    when: Callable[[], bool] | None = None
    within: Surroundings | None = None

    def describe(self) -> str:
        """Say it in one line.

        >>> checkpoints("state", every="1m").describe()
        'checkpoints in state every 1m'
        """
        often = [] if self.every_us is None else [format_us(self.every_us)]
        often += [] if self.every_rows is None else [counted(self.every_rows, "row")]
        due = f"every {' or '.join(often)}" if often else "on demand"
        return f"checkpoints in {without_secrets(self.path)} {due}"


def checkpoints(
    path: str | os.PathLike[str],
    *,
    every: DurationLike | None = "10s",
    every_rows: int | None = None,
    keep: int = 3,
    filesystem: FileSystem | None = None,
    at: int | None = None,
    when: Callable[[], bool] | None = None,
) -> Checkpoints:
    """Describe a folder of checkpoints, from which a run that is started again goes on (S27, S28).

    Args:
        path: of the folder, or a URI that pyarrow.fs opens; made if it is not there. One for each
            pipeline.
        every: of the machine's time, from one to the next; None: only by rows.
        every_rows: rows processed from one to the next. What is written between two of them, and so
            the part files of a folder, depend on the rows alone then.
        keep: so many stay, the newest; at least 1.
        filesystem: of pyarrow or fsspec, for what a URI cannot say.
        at: number of the checkpoint to start from; None: the newest.
        when: asked after each step, for checkpoints on demand: True asks for one now.

    Raises:
        PlanError: an argument is of the wrong kind; neither `every` nor `every_rows` is given.

    >>> checkpoints("state", every=None, every_rows=1_000_000).describe()
    'checkpoints in state every 1,000,000 rows'
    """
    from eventtime.sinks.files import path_of

    us = None if every is None else parse_us(every, name="every", zero=False)
    whole = "a whole number above zero"
    for name, value in (("every_rows", every_rows), ("keep", keep), ("at", at)):
        if value is not None or name == "keep":
            place, remedy = f"checkpoints({name}=…)", "such as 3, or leave it out"
            check_whole(value, least=1, what=whole, place=place, remedy=remedy)
    remedy = "give a function without arguments that returns True or False"
    check_callable(when, place="checkpoints(when=…)", remedy=remedy)
    if us is None and every_rows is None and when is None:
        msg = "none of every=, every_rows= and when= says when a checkpoint is due"
        raise PlanError(msg, place="checkpoints(...)", remedy="such as every='10s'")
    return Checkpoints(path_of(path), us, every_rows, keep, filesystem, at, when)


def as_checkpoints(value: object, *, place: str) -> Checkpoints | None:
    """Take an argument: a description, or a path for the usual one.

    Raises:
        PlanError: it is neither.
    """
    import os

    if value is None or isinstance(value, Checkpoints):
        return value
    if isinstance(value, str | os.PathLike):
        return checkpoints(value)
    msg = f"{shown(value)} says of no folder for checkpoints"
    remedy = "give a path, or et.checkpoints(path, every='1m')"
    raise PlanError(msg, place=place, remedy=remedy)
