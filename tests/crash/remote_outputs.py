"""Processes on one folder of part files on an object store, and what must hold of it (S27, S28)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import fs

import eventtime as et
from crash.explorer import Wrong
from crash.interleaving import Actor, Killed, Turns
from crash.simulated_store import SimulatedStore
from eventtime.errors import EventTimeError, FencedError
from eventtime.sinks.part_files import PartsWriter
from eventtime.sinks.remote_folders import RemoteFolderEpochs
from eventtime.sinks.writers import Undivided

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ("Writer", "take_turns", "used_store")

SCHEMA: Final = pa.schema({"epoch": pa.int64(), "token": pa.int64()})
CSV: Final = et.to_csv("file").format
EPOCHS_EACH: Final = 2


def epochs_of(store: SimulatedStore) -> RemoteFolderEpochs:
    """The folder, as a process opens it."""
    parts = PartsWriter(CSV, SCHEMA, Undivided())
    filesystem = fs.PyFileSystem(store)
    return RemoteFolderEpochs(filesystem, "bucket/out", parts, job="job", overwrite=False)


def rows(epoch: int, token: int) -> pa.RecordBatch:
    """No two processes have the same."""
    return pa.record_batch([[epoch], [token]], schema=SCHEMA)


def part(epoch: int, token: int) -> tuple[str, bytes]:
    """What a reader sees of an epoch."""
    return f"bucket/out/part-{epoch:08d}-0.csv", b"epoch,token\n%d,%d\n" % (epoch, token)


@dataclass
class Writer(Actor):
    """A process that recovers and commits some epochs; what became of it."""

    token: int
    adopted: int = 0
    acknowledged: list[int] = field(default_factory=list)
    error: EventTimeError | None = None

    def run(self, disk: Any) -> None:
        try:
            writer = epochs_of(disk)
            self.adopted = writer.recover(self.token)
            for epoch in range(self.adopted + 1, self.adopted + 1 + EPOCHS_EACH):
                writer.commit(epoch, [rows(epoch, self.token)], self.token)
                self.acknowledged.append(epoch)
        except EventTimeError as error:
            self.error = error
        except Killed:
            pass


def used_store() -> SimulatedStore:
    """A store with the epochs of a process that has ended."""
    store = SimulatedStore()
    store.changed = _never_taken_back
    Writer(1).run(store)
    return store


def take_turns(
    before: SimulatedStore, turns: Sequence[tuple[int, int]], to_kill: Collection[int] = ()
) -> None:
    """Let two processes take turns, and look at what they leave.

    Raises:
        Wrong: what was acknowledged is not there, an epoch is there twice or in part, a reader saw
            something that is gone, or a process that was not fenced off failed.
    """
    store = before.copy()
    older, newer = writers = [Writer(2), Writer(3)]
    Turns(store, writers, turns, to_kill).go()
    for writer in writers:
        if writer.error is not None and not isinstance(writer.error, FencedError):
            raise Wrong(str(writer.error)) from writer.error
    _check(holds=newer.error is None, says=f"the newer process was fenced off: {newer.error}")
    said = {epoch: w.token for w in writers for epoch in w.acknowledged}
    both = set(older.acknowledged) & set(newer.acknowledged)
    _check(holds=not both, says=f"both have acknowledged {both}")
    last = epochs_of(store)
    epochs = last.recover(4)
    seen = {path: data for path, data in store.files.items() if "/_eventtime/" not in path}
    _check(holds=len(seen) == epochs, says=f"of {epochs} epochs there are {sorted(seen)}")
    for epoch in range(1, epochs + 1):
        path, _ = part(epoch, 0)
        known = dict.fromkeys(range(1, EPOCHS_EACH + 1), 1) | said
        wanted = {part(epoch, known[epoch])[1]} if epoch in known else _by_any(epoch)
        _check(
            holds=seen.get(path) in wanted, says=f"epoch {epoch} is {seen.get(path)!r}, of {said}"
        )
    _check(
        holds=max(said, default=0) <= epochs, says=f"{said} were acknowledged, {epochs} are there"
    )
    ours = sorted(path.split("/")[3] for path in store.files if "/_eventtime/" in path)
    _check(holds=ours == ["claims", "epochs"], says=f"left over: {ours}")


def _by_any(epoch: int) -> set[bytes]:
    """An epoch that was not acknowledged may be there all the same."""
    return {part(epoch, token)[1] for token in (2, 3)}


def _never_taken_back(path: str, old: bytes | None, new: bytes | None) -> None:
    """What readers see stays as it is."""
    is_seen = "/part-" in path
    _check(
        holds=not is_seen or old in {None, new},
        says=f"a reader saw {path} change: {old!r}, {new!r}",
    )


def _check(*, holds: bool, says: str) -> None:
    if not holds:
        raise Wrong(says)
