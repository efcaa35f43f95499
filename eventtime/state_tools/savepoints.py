"""A checkpoint as a savepoint: one file that stands by itself and is never swept."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from eventtime.checks import check_flag
from eventtime.errors import CheckpointError
from eventtime.held import OUTPUT
from eventtime.savepoint import write_savepoint
from eventtime.state_tools.opening import found_at, open_state

if TYPE_CHECKING:
    import os

    from pyarrow.fs import FileSystem

    from eventtime.state.pack import PackWriter
    from eventtime.state_tools.opening import SavedState

__all__ = ("Promised", "head_of", "promised_by", "savepoint_of")


class Promised(NamedTuple):
    """Rows of the last epoch of a checkpoint, which the output that it knows was to take then.

    Args:
        epoch: its number.
        tag: of the output; the results under ''.
        sink: the output, in words.
        rows: how many.
    """

    epoch: int
    tag: str
    sink: str
    rows: int


def savepoint_of(
    checkpoint: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    at: int | None = None,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
) -> int:
    """Write a checkpoint as a savepoint, which `run(start_from=…)` goes on from.

    The folder of checkpoints is only read, also while a run writes there. A savepoint stays until
    its owner deletes it. Of a run that was killed, the rows of the last epoch may not be in its
    output yet, and another one does not get them either: let it go on and suspend it first.

    Args:
        checkpoint: folder of checkpoints, or a URI.
        path: of the savepoint, or a URI.
        at: number of the checkpoint; None: the newest.
        overwrite: replace a file that is there; it stays whole until the new one is.
        filesystem: of pyarrow or fsspec, for both.

    Returns:
        The number of the checkpoint.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        OutputExistsError: the file is there.
        SinkError: the file cannot be written.

    Cost: all blocks are read, verified and written as they are.

    >>> import tempfile, pyarrow as pa, eventtime as et
    >>> rows = pa.table({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
    >>> stream = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> minutes = stream.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = minutes.run(checkpoint=f"{folder}/state")
    ...     number = savepoint_of(f"{folder}/state", f"{folder}/end.savepoint")
    >>> number == run.checkpoint
    True
    """
    check_flag(overwrite, place="overwrite=…")
    state = open_state(checkpoint, at=at, filesystem=filesystem)
    if state.kind != "checkpoint" or not state.is_begun:
        what = "a savepoint already" if state.is_begun else "of a job that has not begun"
        msg = f"{state.place!r} is {what}"
        remedy = "name a folder of checkpoints" if state.is_begun else "wait for its next one"
        raise CheckpointError(msg, place=state.place, remedy=remedy)

    def fill(pack: PackWriter) -> dict[str, Any]:
        for block in state.blocks:
            pack.append(block.data, block.rows, block.about)
        return head_of(state)

    write_savepoint(path, filesystem, fill, overwrite=overwrite)
    assert state.number is not None
    return state.number


def promised_by(
    checkpoint: str | os.PathLike[str],
    *,
    at: int | None = None,
    filesystem: FileSystem | None = None,
) -> list[Promised]:
    """List the rows that outputs may lack, if the run was killed behind a checkpoint.

    An output takes the rows of an epoch when its checkpoint is durable, and before the next one is.
    So of all but the newest nothing is missing, nor of a run that was suspended: that cannot be
    told from here.

    Args:
        checkpoint: folder of checkpoints, or a URI.
        at: number of the checkpoint; None: the newest.
        filesystem: of pyarrow or fsspec.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """
    state = open_state(checkpoint, at=at, filesystem=filesystem)
    newest = found_at(checkpoint, filesystem)[0].name.seq
    if state.number != newest or state.head.get("is_published"):
        return []
    outputs, epoch = state.head.get("outputs", {}), state.head.get("epoch", 0)
    rows: Counter[str] = Counter()
    for block in state.about(kind=OUTPUT, epoch=epoch):
        rows[block.about["tag"]] += block.rows
    return [
        Promised(epoch, tag, outputs[tag]["sink"], count)
        for tag, count in sorted(rows.items())
        if not outputs[tag]["held"]
    ]


def head_of(state: SavedState) -> dict[str, Any]:
    """Return the footer of a savepoint that is made of some state."""
    whence = {
        "checkpoint": state.number,
        "created_at_us": state.created_at_us,
        "writer": state.writer,
    }
    return {**state.head, **whence}
