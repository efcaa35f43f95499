"""What is in saved state: progress, windows, sizes, outputs, the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.errors import CheckpointError
from eventtime.ledger import Ledger, OperatorLedger, PartitionLedger
from eventtime.savepoint import origin_of
from eventtime.sources.reached import position_in_words, share_read
from eventtime.state.saved import verify
from eventtime.state_tools.opening import found_at, is_folder, open_state, slice_bounds, state_of

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from pyarrow.fs import FileSystem

    from eventtime.savepoint import Origin
    from eventtime.state.saved import Found
    from eventtime.state_tools.opening import SavedState, StoredBlock

__all__ = (
    "BlocksOfKind",
    "Listed",
    "OpenSlice",
    "PartitionState",
    "StateDescription",
    "Verified",
    "describe_state",
    "list_states",
    "verify_state",
)


@dataclass(frozen=True)
class Listed:
    """A checkpoint in a folder.

    Args:
        number: of it.
        created_at_us: when it was begun, int64 microseconds UTC; None: its manifest is damaged.
        rows: processed up to there.
        watermark_us: the combined one, int64 microseconds UTC; None: nothing has begun.
        size: of its blocks in bytes; new_size: of those that were written for it.
        is_finished: whether it is the end of all input.
        damage: what is wrong with it; None: its manifest is whole and no pack is missing.
    """

    number: int
    created_at_us: int | None
    rows: int
    watermark_us: int | None
    size: int
    new_size: int
    is_finished: bool
    damage: str | None


@dataclass(frozen=True)
class PartitionState:
    """How far one partition is.

    Args:
        name: of it.
        watermark_us: its own, int64 microseconds UTC.
        is_finished: whether it has ended.
        is_idle: whether it is silent or somebody else's, and holds the combined one not back.
        position: of its reader; None: an engine has none, or nothing came from it.
        place: the same in words.
        share: of its input that was read, from 0 to 1; None: not known.
    """

    name: str
    watermark_us: int
    is_finished: bool
    is_idle: bool
    position: dict[str, Any] | None
    place: str
    share: float | None


@dataclass(frozen=True)
class OpenSlice:
    """A slice of time that an operator holds; windows are made of one or several.

    Args:
        operator: its number, from 0.
        start_us: int64 microseconds UTC; None: the slice of all time.
        end_us: the same.
        keys: that have rows in it.
    """

    operator: int
    start_us: int | None
    end_us: int | None
    keys: int


@dataclass(frozen=True)
class BlocksOfKind:
    """Blocks of one kind.

    Args:
        kind: as in docs/state-format.md; operator: its number, None: of none.
        blocks: how many; rows: in them.
        size: in bytes; new_size: of those that were written for this checkpoint.
    """

    kind: str
    operator: int | None
    blocks: int
    rows: int
    size: int
    new_size: int


@dataclass(frozen=True)
class StateDescription:
    """What is in a checkpoint or savepoint; see `describe_state`.

    Args:
        kind: 'checkpoint' or 'savepoint'.
        origin: of a 'replay', a 'live' run or an 'engine'.
        number: of the checkpoint; None: not known.
        created_at_us: when it was begun, int64 microseconds UTC; None: not known.
        writer: who wrote it, in words.
        rows: processed up to there; results: that came out.
        watermark_us: the combined one, int64 microseconds UTC.
        is_finished: whether it is the end of all input.
        pipeline: what it computes, in words.
        partitions: in their order.
        told: positions of live broadcast streams, by stream and partition.
        notes: that the caller of an engine gave.
        slices: that are open, by operator and time.
        blocks: by kind.
        outputs: what took each, and how far it is, by tag.
        ledger: as of there; `open` of operators is 0, for state is not counted again.
    """

    kind: str
    origin: Origin
    number: int | None
    created_at_us: int | None
    writer: str
    rows: int
    results: int
    watermark_us: int
    is_finished: bool
    pipeline: dict[str, str]
    partitions: list[PartitionState]
    told: dict[str, dict[str, Any]]
    notes: Any
    slices: list[OpenSlice]
    blocks: list[BlocksOfKind]
    outputs: dict[str, str]
    ledger: Ledger


@dataclass(frozen=True)
class Verified:
    """One checkpoint or savepoint of which every byte was read.

    Args:
        number: of the checkpoint; None: a savepoint.
        blocks: how many it has; size: of them in bytes.
        damage: what is wrong, each with place and remedy.
    """

    number: int | None
    blocks: int
    size: int
    damage: list[CheckpointError]


def list_states(
    path: str | os.PathLike[str], *, filesystem: FileSystem | None = None
) -> list[Listed]:
    """List the checkpoints in a folder, the newest first, damaged ones too. Blocks are not read.

    Raises:
        CheckpointError: there is no such folder, or it holds none.
    """
    if not is_folder(path, filesystem):
        msg = f"{str(path)!r} is a file, not a folder of checkpoints"
        remedy = "look at a savepoint with show"
        raise CheckpointError(msg, place=str(path), remedy=remedy)
    return [_listed(found, str(path)) for found in found_at(path, filesystem)]


def describe_state(
    path: str | os.PathLike[str], *, at: int | None = None, filesystem: FileSystem | None = None
) -> StateDescription:
    """Tell what is in a checkpoint or savepoint. A folder is only read; of it only the manifest.

    Args:
        path: of a folder of checkpoints, or of a savepoint; or a URI.
        at: number of the checkpoint; None: the newest.
        filesystem: of pyarrow or fsspec.

    Raises:
        CheckpointError: nothing is there, it is damaged, or of a job that has not begun.

    >>> import tempfile, pyarrow as pa, eventtime as et
    >>> rows = pa.table({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
    >>> stream = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> minutes = stream.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = minutes.run(checkpoint=folder)
    ...     state = describe_state(folder)
    >>> state.rows, state.results, state.is_finished, state.slices
    (2, 2, True, [])
    """
    state = open_state(path, at=at, filesystem=filesystem)
    if not state.is_begun:
        msg = f"checkpoint {state.number} in {state.place!r} is of a job that has not begun"
        raise CheckpointError(msg, place=state.place, remedy="wait for its next one")
    head = state.head
    ledger = _ledger(head)
    return StateDescription(
        kind=state.kind,
        origin=origin_of(head),
        number=state.number,
        created_at_us=state.created_at_us,
        writer=state.writer,
        rows=_rows(ledger),
        results=head.get("results", 0),
        watermark_us=head["combined_us"],
        is_finished=bool(head.get("is_finished")),
        pipeline=head["pipeline"],
        partitions=[_partition(p) for p in head["partitions"]],
        told=head.get("told", {}),
        notes=head.get("notes"),
        slices=_slices(state),
        blocks=_kinds(state.blocks),
        outputs=_outputs(head),
        ledger=ledger,
    )


def verify_state(
    path: str | os.PathLike[str], *, at: int | None = None, filesystem: FileSystem | None = None
) -> list[Verified]:
    """Read every byte of a savepoint, or of all checkpoints in a folder, the newest first.

    Args:
        path: of a folder of checkpoints, or of a savepoint; or a URI.
        at: number of the only checkpoint to be read; None: all.
        filesystem: of pyarrow or fsspec.

    Raises:
        CheckpointError: nothing is there.
    """
    if not is_folder(path, filesystem):
        try:
            state = open_state(path, at=at, filesystem=filesystem)
        except CheckpointError as error:
            return [Verified(None, 0, 0, [error])]
        return [Verified(None, len(state.blocks), sum(b.length for b in state.blocks), [])]
    found = found_at(path, filesystem)
    if at is not None:
        found = [it for it in found if it.name.seq == at]
        if not found:
            open_state(path, at=at, filesystem=filesystem)  # which says what is there
    return [_verified(it) for it in found]


def _verified(found: Found) -> Verified:
    if found.checkpoint is None:
        damage = [] if found.damage is None else [found.damage]
        return Verified(found.name.seq, 0, 0, damage)
    entries = found.checkpoint.entries
    size = sum(entry.length for entry in entries)
    return Verified(found.name.seq, len(entries), size, verify(found.checkpoint))


def _listed(found: Found, place: str) -> Listed:
    if found.checkpoint is None:
        what = "" if found.damage is None else found.damage.what
        return Listed(found.name.seq, None, 0, None, 0, 0, is_finished=False, damage=what)
    state = state_of(found.checkpoint, place)
    assert state.number is not None
    is_begun = state.is_begun
    return Listed(
        state.number,
        state.created_at_us,
        _rows(_ledger(state.head)) if is_begun else 0,
        state.head["combined_us"] if is_begun else None,
        sum(block.length for block in state.blocks),
        sum(block.length for block in state.blocks if block.is_new),
        bool(state.head.get("is_finished")),
        None,
    )


def _partition(saved: dict[str, Any]) -> PartitionState:
    position = saved.get("position")
    place, share = "", None
    if position is not None:
        place, share = position_in_words(position), share_read(position)
    return PartitionState(
        saved["name"],
        saved["watermark_us"],
        saved["is_finished"],
        saved["is_idle"],
        position,
        place,
        share,
    )


def _rows(ledger: Ledger) -> int:
    return ledger.total.rows_in - ledger.total.waiting


def _ledger(head: dict[str, Any]) -> Ledger:
    partitions = {p["name"]: PartitionLedger(**p["intake"]["ledger"]) for p in head["partitions"]}
    operators = [
        OperatorLedger(assigned=o["assigned"], emitted=o["emitted"], missed=o["missed"])
        if "window" in o
        else OperatorLedger(assigned=o["rows"], emitted=o["rows"])  # of a process function
        for o in head["operators"]
    ]
    return Ledger(partitions, operators)


def _slices(state: SavedState) -> list[OpenSlice]:
    keys: dict[tuple[int, int], int] = {}
    for block in state.about(kind="slice"):
        place = block.about["operator"], block.about["at"]
        keys[place] = keys.get(place, 0) + block.rows
    found = []
    for (operator, at), n in sorted(keys.items()):
        start_us, end_us = slice_bounds(state.head["operators"][operator]["window"], at)
        found.append(OpenSlice(operator, start_us, end_us, n))
    return found


def _kinds(blocks: Iterable[StoredBlock]) -> list[BlocksOfKind]:
    kinds: dict[tuple[int, str], list[StoredBlock]] = {}
    for block in blocks:
        place = block.about.get("operator", -1), block.about["kind"]
        kinds.setdefault(place, []).append(block)
    return [
        BlocksOfKind(
            kind,
            None if operator < 0 else operator,
            len(found),
            sum(block.rows for block in found),
            sum(block.length for block in found),
            sum(block.length for block in found if block.is_new),
        )
        for (operator, kind), found in sorted(kinds.items())
    ]


def _outputs(head: dict[str, Any]) -> dict[str, str]:
    told = {}
    for tag, known in head.get("outputs", {}).items():
        until = f"committed epoch by epoch, {head['epoch']} so far"
        if known["held"]:
            until = "published" if head.get("is_published") else "held until the end"
        told[tag or "results"] = f"{known['sink']}: {until}"
    return told
