"""What a run says of itself while it works, and the function that it says it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from eventtime.errors import EventTimeError, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("ProgressReport", "Resumed", "WrittenCheckpoint", "told")

T = TypeVar("T")


@dataclass(frozen=True)
class Resumed:
    """From where a run goes on.

    Args:
        number: of the checkpoint; None: it was a savepoint without one.
        created_at_us: when it was begun, int64 microseconds UTC; None: not known.
        rows: processed up to there.
        was_finished: whether nothing was left to read.
        was_published: whether the outputs were complete too, so that nothing was left to do.
    """

    number: int | None
    created_at_us: int | None
    rows: int
    was_finished: bool = False
    was_published: bool = False


@dataclass(frozen=True)
class WrittenCheckpoint:
    """The last checkpoint that a run has made durable.

    Args:
        number: of it.
        age_us: time since then, int64 microseconds.
        duration_us: it took to be written, and its outputs to be committed.
        new_bytes: written for it; what did not change was written before.
    """

    number: int
    age_us: int
    duration_us: int
    new_bytes: int


@dataclass(frozen=True)
class ProgressReport:
    """Where a run is.

    Args:
        rows: read so far; total_rows: in all, where known.
        waiting: of the rows read, those whose turn has not come (S10).
        watermark_us: the combined watermark, int64 microseconds.
        latest_us: the latest own watermark of a partition, int64 microseconds.
        held_by: partition that holds the watermark back.
        open_windows: slices of time that hold rows.
        late: rows that missed a window; quarantined: rows set aside; results: rows that came out.
        resumed: from where the run went on; None: it began at the beginning.
        checkpoint: the last one of this run; None: there is none yet.
        restarts: how often the run was started again after sources or sinks had failed.
        blocked: why state above the memory limit is in memory all the same, such as a full disk;
            empty: it is not.
    """

    rows: int
    waiting: int
    total_rows: int | None
    watermark_us: int
    latest_us: int
    held_by: str | None
    open_windows: int
    late: int
    quarantined: int
    results: int
    resumed: Resumed | None = None
    checkpoint: WrittenCheckpoint | None = None
    restarts: int = 0
    blocked: str = ""


def told(progress: Callable[[T], None], *, place: str) -> Callable[[T], None]:
    """Wrap a function of the user's, so that what it raises says where it comes from.

    Args:
        progress: as given.
        place: the argument.
    """
    name = getattr(progress, "__name__", repr(progress))

    def tell(news: T) -> None:
        try:
            progress(news)
        except EventTimeError:
            raise
        except Exception as error:
            msg = f"the function {name} raised {type(error).__name__}: {error}"
            raise UserCodeError(msg, place=place, remedy="see the cause above") from error

    return tell
