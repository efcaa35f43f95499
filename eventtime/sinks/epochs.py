"""Epoch commit: how a sink takes the rows between two checkpoints exactly once.

    checkpoint 7 durable, with the rows of epoch 7 in it
         │
         ▼
    commit(7, rows, token)     one atomic step of the store: rows, "epoch 7", token
         │
         ▼
    crash anywhere, restart from checkpoint 7:  recover(token) → 6 or 7;  6: commit(7) again

A store needs no two-phase commit for this, only one atomic step that holds the rows and the marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeGuard

from eventtime.checks import check_text, is_one_of, shown
from eventtime.errors import FencedError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = (
    "Delivery",
    "EpochSink",
    "EpochWriter",
    "Guarantee",
    "check_delivery",
    "check_job",
    "check_token",
    "fenced",
    "takes_epochs",
)

Delivery = Literal["exactly_once", "at_least_once", "at_most_once"]
"""When the rows of an epoch are committed, relative to the checkpoint that ends it.

- exactly_once: the checkpoint holds the rows; `commit` once it is durable, and again after a
  restart from it unless `recover` says that it was done.
- at_least_once: `commit` first, at any time; then the checkpoint, without the rows. After a crash
  in between they are computed and written again, perhaps cut otherwise, so the sink writes whatever
  it is given and `recover` returns 0.
- at_most_once: the checkpoint first, without the rows, then `commit`. A crash in between loses
  them; nothing is written twice.
"""

Guarantee = Literal["exactly_once", "idempotent", "at_least_once", "at_most_once"]
"""What a reader of the sink may rely on.

Idempotent: rows may be written more than once, each time over those of the same key, so that the
last contents are those of exactly once.
"""

_DELIVERIES: Final = ("exactly_once", "at_least_once", "at_most_once")


class EpochWriter(Protocol):
    """An output that takes whole epochs. One thread at a time uses it.

    What it promises: after any sequence of calls, errors and kills, the rows in the store are those
    of the epochs committed, each once, in the order of the epochs, and never part of an epoch.
    """

    def recover(self, token: int) -> int:
        """Claim the output and tell the last epoch committed; 0 if none.

        Called once, first, and durable on return: from then on older tokens are refused. Whatever a
        killed process left half-done is completed or removed.

        Args:
            token: of this process, greater than that of every earlier one.

        Raises:
            FencedError: a newer process has claimed the output.
            SinkError: the store cannot be reached or read.
        """
        ...

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Apply rows, epoch and token in one atomic step, durable on return.

        An epoch that is committed already is a no-op: `batches` need not be read. After an error
        the step may have happened or not; calling again with the same arguments is safe. Epochs
        ascend and may leave numbers out; one without rows is an epoch too.

        Args:
            epoch: its number, from 1 on.
            batches: rows of the schema given to `open_epochs`; what they raise is passed on, and
                nothing is committed then.
            token: as given to `recover`.

        Raises:
            FencedError: a newer process has claimed the output; nothing was written.
            SinkError: the store refused or cannot be reached.
        """
        ...

    def close(self) -> None:
        """Let go of the store. Never raises; a second time does nothing."""
        ...


class EpochSink(Protocol):
    """A sink that can take part in checkpoints: a frozen description, comparable.

    One with a true attribute `makes_files` writes a file for each commit: a live run without
    checkpoints commits to it once a second, to others as rows come (`live(commit_every=…)`).
    """

    @property
    def delivery(self) -> Delivery:
        """When the run is to call `commit`, relative to its checkpoints."""
        ...

    @property
    def guarantee(self) -> Guarantee:
        """What a reader of the sink may rely on, given that delivery."""
        ...

    def open_epochs(self, schema: pa.Schema, job: str) -> EpochWriter:
        """Check everything that can be checked before a row is computed, and connect.

        Args:
            schema: of all rows.
            job: names this output of this pipeline for good: the store keeps its marker under this
                name. Two outputs that are alive at once have different names.

        Raises:
            SinkError: the place cannot be written or cannot hold the schema.
        """
        ...

    def describe(self) -> str:
        """One line for `explain()`."""
        ...


def takes_epochs(sink: object) -> TypeGuard[EpochSink]:
    """Tell whether a sink can take part in checkpoints; one that is a single file cannot."""
    return callable(getattr(sink, "open_epochs", None))


def check_delivery(delivery: object) -> None:
    """Refuse an unknown `delivery` argument.

    Raises:
        PlanError: shows the value.
    """
    if not is_one_of(delivery, _DELIVERIES):
        msg = f"delivery={shown(delivery)} is unknown"
        raise PlanError(msg, place="delivery=…", remedy=f"one of {', '.join(_DELIVERIES)}")


def check_job(job: object) -> None:
    """Refuse a job that is no text, or cannot be stored as one.

    Raises:
        PlanError: shows the value.
    """
    remedy = "give the id that the checkpoint holds"
    check_text(job, what="job id", place="open_epochs(job=…)", remedy=remedy)
    if "\0" in str(job):
        msg = f"{shown(job)} holds a zero byte, which databases do not store"
        raise PlanError(msg, place="open_epochs(job=…)", remedy=remedy)


def check_token(held: int, token: int, place: str) -> None:
    """Refuse a token that is older than the one that the store holds.

    Raises:
        FencedError: shows both.
    """
    if token < held:
        raise fenced(held, token, place)


def fenced(held: int, token: int, place: str) -> FencedError:
    """Build the error for a process that is older than another one."""
    msg = f"a newer process (token {held}) has taken over {place}; this one has token {token}"
    return FencedError(msg, place=place, remedy="let this process end; the newer one goes on")
