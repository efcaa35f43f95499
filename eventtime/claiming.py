"""A folder of checkpoints taken over by this process, and the state that it goes on from."""

from __future__ import annotations

import uuid
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple

from eventtime.errors import CheckpointError
from eventtime.fingerprint import check_fingerprint
from eventtime.places import storage_at
from eventtime.savepoint import check_origin, read_savepoint
from eventtime.state.checkpoints import CheckpointStore
from eventtime.state.saved import newest_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from eventtime.checkpoints import Checkpoints
    from eventtime.compiled import CompiledPlan
    from eventtime.savepoint import Origin
    from eventtime.state.parts import Saved
    from eventtime.state.storage import Storage

__all__ = ("Claimed", "claim", "in_words", "misplaced", "saved_head")


class Claimed(NamedTuple):
    """Checkpoints that this process may write.

    Args:
        store: writes them.
        saved: what to go on from; None: from the beginning.
        job: names the work for good, from its first process to its last.
    """

    store: CheckpointStore
    saved: Saved | None
    job: str


def claim(
    checkpoints: Checkpoints,
    plan: CompiledPlan,
    origin: Origin,
    *,
    start_from: str | os.PathLike[str] | None = None,
) -> Claimed:
    """Claim a folder, which fences off every process that did so before, and read the newest.

    Args:
        checkpoints: which folder.
        plan: compiled.
        origin: whose checkpoints these are.
        start_from: path of a savepoint, for when there is no checkpoint yet.

    Raises:
        CheckpointError: what is there cannot be read, or is of another pipeline.
    """
    storage, within = _storage(checkpoints), checkpoints.within
    nonce = _nonce if within is None else within.nonce
    how: Any = {"keep": checkpoints.keep, "at": checkpoints.at, "writer": _writer()}
    how["nonce"] = nonce
    store = CheckpointStore.open(storage, **how)
    newest = store.newest()
    found: Saved | None = newest
    number = None if newest is None else newest.seq
    what = f"checkpoint {number} in {storage.place!r}"
    place = "Engine(checkpoint=…)" if origin == "engine" else "run(checkpoint=…)"
    if (found is None or not found.head["is_begun"]) and start_from is not None:
        found = read_savepoint(start_from, None)
        what, place = f"the savepoint {str(start_from)!r}", "run(start_from=…)"
        # The outputs know the token that its process had in another folder.
        store = CheckpointStore.open(storage, **how, above=found.head.get("token", 0))
    if found is None:
        return Claimed(store, None, nonce())
    check_origin(found, origin, what, place)
    _check_sources(found.head, plan, what, place)
    check_fingerprint(found.head["pipeline"], plan, what, place)
    # A savepoint that an engine wrote by itself has begun and belongs to no folder.
    is_begun = found.head.get("is_begun", True)
    return Claimed(store, found if is_begun else None, found.head["job"])


def saved_head(
    checkpoints: Checkpoints | None, start_from: str | os.PathLike[str] | None
) -> dict[str, Any] | None:
    """Return what is said beside the state that a run would go on from; nothing is claimed.

    Args:
        checkpoints: which folder; None: there is none.
        start_from: path of a savepoint, for when there is no checkpoint yet.

    Returns:
        None if there is no state, or it is damaged: who claims it says how.

    Raises:
        CheckpointError: the folder cannot be listed, or the savepoint cannot be read.
    """
    newest = None
    if checkpoints is not None:
        newest = newest_checkpoint(_storage(checkpoints), checkpoints.at)
    head = None if newest is None else newest.head
    if start_from is not None and (head is None or not head["is_begun"]):
        return read_savepoint(start_from, None).head
    return head


def in_words(plan: CompiledPlan) -> list[str]:
    """Name the sources of a plan, in order."""
    return [branch.source.describe() for branch in plan.branches]


def misplaced(head: dict[str, Any], now: Sequence[str]) -> str | None:
    """Say what became of sources that were moved or taken away; others may have come behind.

    What is saved of a source, its positions and columns, is known by its number in the union.

    Args:
        head: of what was saved.
        now: the sources, in words and in order.
    """
    before = head.get("sources", [])
    numbers = [known.get("branch", 0) for known in head.get("partitions", [])]
    many = max([len(before), *(number + 1 for number in numbers)])
    if many > len(now):
        return f"{many} sources then, {len(now)} now"
    return _moved(before, now)


def _check_sources(head: dict[str, Any], plan: CompiledPlan, what: str, place: str) -> None:
    if (problem := misplaced(head, in_words(plan))) is not None:
        msg = f"{what} is of other sources: {problem}"
        remedy = "leave them in their order, new ones behind them; or begin anew"
        raise CheckpointError(msg, place=place, remedy=remedy)


def _moved(before: Sequence[str], now: Sequence[str]) -> str | None:
    """Say which source has another number; one in other words is the same elsewhere."""
    for was, (name, is_now) in enumerate(zip(before, now, strict=False), 1):
        if name != is_now and name in now:
            return f"source {was} of the union, {name}, is source {now.index(name) + 1} now"
    return None


def _storage(checkpoints: Checkpoints) -> Storage:
    if checkpoints.within is not None:
        return checkpoints.within.storage
    return storage_at(checkpoints.path, checkpoints.filesystem)


def _nonce() -> str:
    return uuid.uuid4().hex


@cache
def _writer() -> str:
    """Say who writes, for people who look into a checkpoint."""
    try:
        return f"eventtime {version('eventtime')}"
    except PackageNotFoundError:
        return "eventtime, not installed"
