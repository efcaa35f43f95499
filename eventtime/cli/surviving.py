"""The options by which a run outlives its process: checkpoints, savepoints, restarts, signals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from eventtime.checkpoints import Checkpoints, checkpoints
from eventtime.cli.needless import refuse
from eventtime.duration import parse_us
from eventtime.errors import OutputExistsError, PlanError
from eventtime.restarting import Restart, restart
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventtime.cli.termination import Suspension
    from eventtime.report import Resumed

__all__ = ("CHECKPOINT_OPTIONS", "Survival", "bytes_in_words", "instant", "resumed_in_words")

_DEFAULT_EVERY: Final = "10s"
_DEFAULT_KEEP: Final = 3
_WITHOUT: Final = "without checkpoints"
_ADD: Final = "add --checkpoint DIR, or leave it out"
CHECKPOINT_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "--checkpoint", metavar="DIR",
        help="Write checkpoints to this folder or URI. The same command goes on from the last one; "
        "Ctrl-C and SIGTERM suspend the run, a second one stops it at once.",
    ),
    click.option(
        "--checkpoint-every", metavar="SPAN",
        help=f"From one checkpoint to the next.  [default: {_DEFAULT_EVERY}]",
    ),
    click.option(
        "--keep", type=click.IntRange(min=1), metavar="N",
        help=f"So many checkpoints stay, the newest.  [default: {_DEFAULT_KEEP}]",
    ),
    click.option(
        "--from", "start_from", metavar="SAVEPOINT",
        help="Begin with this savepoint, if there is no checkpoint yet.",
    ),
    click.option(
        "--restart", "restarts", type=click.IntRange(min=1), metavar="N",
        help="When a source or sink fails, go on from the last checkpoint, up to N times in a row.",
    ),
    click.option(
        "--stop-with-savepoint", "savepoint", metavar="PATH",
        help="When the run is suspended, write all its state to this file too.",
    ),
    click.option(
        "--drain", is_flag=True,
        help="On Ctrl-C or SIGTERM take all input as ended there: every window fires, and outputs "
        "are complete.",
    ),
    click.option(
        "--journal", metavar="FILE",
        help="Write down what came when, without the rows, so that the run can be done again.",
    ),
    click.option(
        "--from-journal", metavar="FILE",
        help="Run as the journal tells it: the same rows at the same time, the same bytes.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Survival:
    """What `CHECKPOINT_OPTIONS` say.

    Args:
        checkpoints: where, and how often; None: there are none.
        start_from: a savepoint.
        restarts: so many, after failures in a row.
        savepoint: where to write one when the run is suspended.
        drain: whether a signal ends the input.
        journal: file to write one to.
        from_journal: file of one to be played.
    """

    checkpoints: Checkpoints | None = None
    start_from: str | None = None
    restarts: int | None = None
    savepoint: str | None = None
    drain: bool = False
    journal: str | None = None
    from_journal: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Survival:
        """Read the values of the options.

        Raises:
            PlanError: one is given that has no meaning without --checkpoint, or cannot be read.
            OutputExistsError: the savepoint is there already.
        """
        folder, savepoint = given["checkpoint"], given["savepoint"]
        if given["from_journal"] is not None:
            _check_alone(given)
            return cls(from_journal=given["from_journal"])
        if folder is None:
            _check_needless(given)
            start_from, drain = given["start_from"], given["drain"]
            return cls(start_from=start_from, drain=drain, journal=given["journal"])
        every = given["checkpoint_every"] or _DEFAULT_EVERY
        parse_us(every, name="--checkpoint-every", zero=False)
        if not folder:
            msg = "'' names no folder"
            raise PlanError(
                msg, place="--checkpoint", remedy="name one, such as --checkpoint state"
            )
        if savepoint is not None and not given["overwrite"]:
            _check_free(savepoint)
        described = checkpoints(folder, every=every, keep=given["keep"] or _DEFAULT_KEEP)
        how = given["start_from"], given["restarts"], savepoint, given["drain"], given["journal"]
        return cls(described, *how)

    def check_drain(self, *, is_live: bool) -> None:
        """Refuse to drain a replay without checkpoints: it would only stop half-way."""
        if self.drain and self.checkpoints is None and not is_live:
            refuse("--drain", _WITHOUT, remedy=_ADD)

    def policy(self, suspension: Suspension, say: Callable[[str], None]) -> Restart | None:
        """Return what is done when sources and sinks fail."""
        if self.restarts is None:
            return None
        return restart(
            self.restarts,
            sleep=lambda seconds: suspension.sleep(seconds, time.sleep),
            told=lambda text: say(f"warning: {text}"),
        )


def instant(time_us: int) -> str:
    """Show an instant of the clock, to the minute, UTC.

    >>> instant(1_763_716_440_000_000)
    '2025-11-21 09:14Z'
    """
    return str(np.datetime64(time_us // 60_000_000, "m")).replace("T", " ") + "Z"


def resumed_in_words(resumed: Resumed) -> str:
    """Say from where a run goes on.

    >>> from eventtime.report import Resumed
    >>> resumed_in_words(Resumed(7, 1_763_716_440_000_000, 12_345_678))
    'checkpoint 7 of 2025-11-21 09:14Z, 12,345,678 rows done'
    """
    which = "a savepoint" if resumed.number is None else f"checkpoint {resumed.number}"
    when = "" if resumed.created_at_us is None else f" of {instant(resumed.created_at_us)}"
    return f"{which}{when}, {counted(resumed.rows, 'row')} done"


def bytes_in_words(size: int) -> str:
    """Show a number of bytes in three digits.

    >>> [bytes_in_words(n) for n in (0, 999, 1_500, 23_400_000, 5_120_000_000)]
    ['0 B', '999 B', '1.5 kB', '23.4 MB', '5.12 GB']
    """
    number, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while number >= 999.5 and unit != "TB":
        number, unit = number / 1_000, next(units)
    return f"{number:.3g} {unit}"


def _check_alone(given: Mapping[str, Any]) -> None:
    for name in ("checkpoint", "start_from", "journal", "drain"):
        if given[name]:
            flag = "--from" if name == "start_from" else f"--{name}"
            where, remedy = "where a journal says what happens", "leave out one of them"
            refuse(flag, where, place="--from-journal", remedy=remedy)
    _check_needless(given)


def _check_needless(given: Mapping[str, Any]) -> None:
    flags = {
        "checkpoint_every": "--checkpoint-every",
        "keep": "--keep",
        "restarts": "--restart",
        "savepoint": "--stop-with-savepoint",
    }
    for name, flag in flags.items():
        if given[name]:
            refuse(flag, _WITHOUT, remedy=_ADD)


def _check_free(path: str) -> None:
    import os

    if "://" not in path and os.path.lexists(path):
        msg = f"the savepoint {path!r} is there already"
        remedy = "name another file, or add --overwrite"
        raise OutputExistsError(msg, place="--stop-with-savepoint", remedy=remedy)
