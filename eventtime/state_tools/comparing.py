"""How two checkpoints or savepoints differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.savepoint import origin_of
from eventtime.state_tools.opening import open_state, slice_bounds

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from pyarrow.fs import FileSystem

    from eventtime.state_tools.opening import SavedState, StoredBlock

__all__ = ("Difference", "compare_states")

_SLICES: Final = {"slice", "corrections"}


@dataclass(frozen=True)
class Difference:
    """One thing in which two states differ.

    Args:
        what: 'pipeline', 'progress', 'partition', 'broadcast', 'output' or 'part'.
        name: of the thing.
        left: what it is in the first; None: it is not there.
        right: what it is in the second; None: it is not there.
    """

    what: str
    name: str
    left: Any
    right: Any


def compare_states(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    *,
    left_at: int | None = None,
    right_at: int | None = None,
    filesystem: FileSystem | None = None,
) -> list[Difference]:
    """Tell how two states differ: pipeline, watermarks, positions, outputs, and which parts.

    Parts are compared by their checksums; rows are not read. Cost: two manifests, or savepoints.

    Args:
        left: folder of checkpoints, or a savepoint; right: the other one, maybe the same folder.
        left_at: number of the checkpoint; None: the newest. right_at: the same.
        filesystem: of pyarrow or fsspec, for both.

    Raises:
        CheckpointError: one of them is not there, or is damaged.
    """
    a = open_state(left, at=left_at, filesystem=filesystem)
    b = open_state(right, at=right_at, filesystem=filesystem)
    sides = [_things(a), _things(b)]
    names = {place: None for side in sides for place in side}
    pairs = ((place, [side.get(place) for side in sides]) for place in names)
    return [Difference(*place, *values) for place, values in pairs if values[0] != values[1]]


def _things(state: SavedState) -> Mapping[tuple[str, str], Any]:
    return dict(_listed(state))


def _listed(state: SavedState) -> Iterator[tuple[tuple[str, str], Any]]:
    head = state.head
    for name, words in head["pipeline"].items():
        yield ("pipeline", name), words
    if not state.is_begun:
        return
    yield ("progress", "origin"), origin_of(head)
    yield ("progress", "watermark_us"), head["combined_us"]
    yield ("progress", "results"), head.get("results", 0)
    yield ("progress", "is_finished"), bool(head.get("is_finished"))
    for partition in head["partitions"]:
        ledger = partition["intake"]["ledger"]
        known = {
            "rows": ledger["rows_in"] - ledger["waiting"],
            "watermark_us": partition["watermark_us"],
            "is_finished": partition["is_finished"],
            "is_idle": partition["is_idle"],
            "position": partition.get("position"),
        }
        for name, value in known.items():
            yield ("partition", f"{partition['name']}, {name}"), value
    for stream, positions in head.get("told", {}).items():
        for name, position in positions.items():
            yield ("broadcast", f"{stream}, {name}, position"), position
    for tag, known in head.get("outputs", {}).items():
        yield ("output", tag or "results"), f"{known['sink']}{', held' if known['held'] else ''}"
    for block in state.blocks:
        yield ("part", _about(state, block)), f"{block.rows} rows, crc32 {block.crc32:08x}"


def _about(state: SavedState, block: StoredBlock) -> str:
    """Say which part a block is: of a slice, the time at which it begins instead of its number."""
    about = dict(block.about)
    kind, operator = about.pop("kind"), about.pop("operator", None)
    said = [kind] if operator is None else [kind, f"window {operator + 1}"]
    if kind in _SLICES:
        start_us, _ = slice_bounds(state.head["operators"][operator]["window"], about.pop("at"))
        said.append("all time" if start_us is None else f"from {np.datetime64(start_us, 'us')}Z")
    return ", ".join([*said, *(f"{name} {value}" for name, value in sorted(about.items()))])
