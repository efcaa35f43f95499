"""Writing checkpoints: blocks into a pack, then the manifest that names them, then the sweep.

    claims/<token>.<nonce>      who writes; the greatest token, all others are fenced off
    packs/<token>-<seq>         blocks; never changed, named by one checkpoint or several
    manifests/<token>-<seq>     the checkpoint; it is one from the moment this file is there

A process claims first and lists checkpoints then; it publishes a manifest first and looks for newer
claims then. So either the older process sees the claim of the newer, and reports its checkpoint as
fenced, or the newer one sees the checkpoint of the older, and goes on from it. `tests/crash` goes
through every crash and every interleaving of that.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from eventtime.checks import check_whole
from eventtime.clock import SystemClock
from eventtime.errors import CheckpointError
from eventtime.state.claims import Claim
from eventtime.state.manifest import MANIFESTS, PACKS, Entry, Manifest, Name, PackFile
from eventtime.state.pack import PackWriter, encode
from eventtime.state.saved import Checkpoint, read_checkpoint, way_out
from eventtime.state.storage import UnclearError, storage_error
from eventtime.state.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.state.storage import Output, Storage

__all__ = ("CheckpointStore", "CheckpointWriter", "KeptBlock", "NewBlock")

# A pack of which less than this share is still named is emptied, bit by bit.
_SPARSE: Final = 0.5
_LEAST_MOVED: Final = 1 << 20


class NewBlock(NamedTuple):
    """A block to be written.

    Args:
        about: what it is.
        rows: one batch, or what gives it when it is written.
        version: of what it is; None if it is never kept.
    """

    about: dict[str, str | int]
    rows: pa.RecordBatch | Callable[[], pa.RecordBatch]
    version: int | None = None


class KeptBlock(NamedTuple):
    """A block of the last checkpoint, to be named again.

    Args:
        entry: of that checkpoint.
    """

    entry: Entry


class CheckpointWriter:
    """Takes the parts of a cut (a `PartWriter`), for `CheckpointStore.write`.

    Args:
        last: checkpoint whose blocks may be kept.
    """

    is_alone: ClassVar[bool] = False

    def __init__(self, last: Checkpoint | None) -> None:
        entries = [] if last is None else last.entries
        self._last = {frozenset(entry.about.items()): entry for entry in entries}
        self.blocks: list[NewBlock | KeptBlock] = []

    def keep(self, version: int, **about: str | int) -> bool:
        entry = self._last.get(frozenset(about.items()))
        if entry is None or entry.version != version:
            return False
        self.blocks.append(KeptBlock(entry))
        return True

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        self.blocks.append(NewBlock(about, rows, version))


class CheckpointStore:
    """The checkpoints of one job, for the one process that writes them.

    One thread at a time. Use `open`.
    """

    def __init__(
        self,
        storage: Storage,
        claim: Claim,
        last: Checkpoint | None,
        *,
        seq: int,
        is_newest: bool,
        keep: int,
        clock: Clock,
        writer: str,
    ) -> None:
        self._storage = storage
        self._claim = claim
        self._last = last
        self._seq = seq
        # What older ones hold may be swept by whoever wrote the newer ones, if he is still alive.
        self._base = last if is_newest else None
        self._clock = clock
        self._writer = writer
        self._sweeper = Sweeper(storage, keep, claim.token)

    @classmethod
    def open(
        cls,
        storage: Storage,
        *,
        keep: int = 3,
        at: int | None = None,
        above: int = 0,
        clock: Clock | None = None,
        writer: str = "",
        nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> CheckpointStore:
        """Claim the checkpoints, which fences off every process that did so before.

        Args:
            storage: that holds them, or will.
            keep: so many stay, the newest.
            at: number of the checkpoint to start from; None: the newest.
            above: a token of another storage, which sinks may know: ours is greater.
            clock: says when a checkpoint was written.
            writer: who we are, in words: version, machine, process.
            nonce: gives hexadecimal digits that nobody else has.

        Raises:
            CheckpointError: the storage cannot be read and written; the checkpoint to start from
                is damaged, of a newer format or not there. It is never passed over in silence.
            FencedError: a newer process has claimed them meanwhile.
        """
        what, remedy = "a whole number of checkpoints", "such as 3"
        check_whole(keep, least=1, what=what, place="keep", remedy=remedy)
        clock = clock or SystemClock()
        try:
            says = {"writer": writer, "created_at_us": clock.now_us()}
            claim = Claim.take(storage, says, nonce, above=above)
            names = _listed(storage)
            storage.settle(MANIFESTS)
        except OSError as error:
            doing = "claim the checkpoints"
            raise storage_error(doing, storage.place, error) from error
        chosen = _chosen(names, at, storage)
        try:
            last = None if chosen is None else read_checkpoint(storage, chosen, claim.check)
        except CheckpointError as error:
            with contextlib.suppress(OSError):
                claim.check()  # whoever claimed after us may have swept it
            assert chosen is not None
            raise way_out(error, storage, chosen) from error
        return cls(
            storage,
            claim,
            last,
            seq=max((name.seq for name in names), default=0),
            is_newest=not names or chosen == names[-1],
            keep=keep,
            clock=clock,
            writer=writer,
        )

    @property
    def token(self) -> int:
        """Greater than that of every process that wrote before."""
        return self._claim.token

    @property
    def unswept(self) -> OSError | None:
        """Why the last sweep failed; None if it did not. The next one takes what it left."""
        return self._sweeper.failure

    def newest(self) -> Checkpoint | None:
        """Return the last checkpoint written, or the one started from; None if there is none."""
        return self._last

    def parts(self) -> CheckpointWriter:
        """Take the parts of the next checkpoint; those of the last one can be kept."""
        return CheckpointWriter(self._base)

    def write(self, head: dict[str, Any], blocks: Iterable[NewBlock | KeptBlock]) -> Checkpoint:
        """Write a checkpoint, and sweep all but the newest; durable on return.

        If it fails, those that are there stay as they are, and it can be tried again.

        Args:
            head: what is said beside the blocks, for JSON.
            blocks: of it; new ones are asked for their rows one at a time.

        Raises:
            FencedError: a newer process has claimed the checkpoints. This one may be there all the
                same, and nobody may act on it but that process.
            CheckpointError: the storage failed.
            ValueError: a kept block is not one of the last checkpoint.

        Cost: what is new, and as much again of packs that are mostly dead; two listings.
        """
        self._seq += 1
        name = Name(self.token, self._seq)
        try:
            self._claim.check()
            manifest = self._publish(name, head, blocks)
            self._claim.check()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._claim.check()  # whoever claimed after us may have swept our files
            doing = f"write the checkpoint {name}"
            raise storage_error(doing, self._storage.place, error) from error
        self._last = self._base = Checkpoint(self._storage, manifest, self._claim.check)
        self._sweeper.sweep(manifest)
        return self._last

    def check(self) -> None:
        """Make sure that this process may still act on its checkpoints.

        Raises:
            FencedError: a newer process has claimed them.
            CheckpointError: the storage failed.

        Cost: a listing.
        """
        try:
            self._claim.check()
        except OSError as error:
            doing = "look for newer processes"
            raise storage_error(doing, self._storage.place, error) from error

    def sweep(self) -> None:
        """Delete what older processes left, when there is nothing to write; see `unswept`."""
        if self._last is not None:
            self._sweeper.sweep(self._last.manifest)

    def _publish(
        self, name: Name, head: dict[str, Any], blocks: Iterable[NewBlock | KeptBlock]
    ) -> Manifest:
        created_at_us = self._clock.now_us()
        pack = _NewPack(self._storage, name)
        try:
            entries = self._entries(blocks, pack)
            packs = pack.finish()
            named = {entry.pack for entry in entries}
            if self._base is not None:
                packs += [old for old in self._base.manifest.packs if old.name in named]
            manifest = Manifest(
                name=name,
                parent=None if self._last is None else self._last.name,
                created_at_us=created_at_us,
                writer=self._writer,
                head=head,
                packs=packs,
                entries=entries,
            )
            data = manifest.encode()
        except BaseException:
            pack.discard()
            raise
        try:
            self._storage.put(f"{MANIFESTS}/{name}", data)
        except UnclearError:
            raise
        except OSError:
            pack.discard()
            raise
        return manifest

    def _entries(self, blocks: Iterable[NewBlock | KeptBlock], pack: _NewPack) -> list[Entry]:
        """Write what is new."""
        old = {} if self._base is None else {it.name: it for it in self._base.manifest.packs}
        entries = []
        for block in blocks:
            if isinstance(block, NewBlock):
                entries.append(pack.add(block))
            elif block.entry.pack in old:
                entries.append(block.entry)
            else:
                msg = f"the kept block {block.entry} is not one of the last checkpoint"
                raise ValueError(msg)
        self._move(entries, old, pack)
        return entries

    def _move(self, entries: list[Entry], old: dict[str, PackFile], pack: _NewPack) -> None:
        """Write kept blocks of sparse packs again, about as many bytes as are new."""
        live: Counter[str] = Counter()
        for entry in entries:
            live[entry.pack] += entry.length
        share = {name: live[name] / old[name].content for name in live if name in old}
        kept = [i for i, entry in enumerate(entries) if share.get(entry.pack, 1) < _SPARSE]
        left = max(pack.content, _LEAST_MOVED)
        for i in sorted(kept, key=lambda i: (share[entries[i].pack], entries[i].pack)):
            if left <= 0:
                break
            left -= entries[i].length
            entries[i] = pack.move(entries[i], self._base)


class _NewPack:
    """The pack of a checkpoint; there is none if nothing is new."""

    def __init__(self, storage: Storage, name: Name) -> None:
        self._storage = storage
        self._name = str(name)
        self._output: Output | None = None
        self._writer: PackWriter | None = None
        self.content = 0

    def add(self, block: NewBlock) -> Entry:
        """Write a block."""
        batch: Any = block.rows() if callable(block.rows) else block.rows
        return self._append(encode(batch), batch.num_rows, block.about, block.version)

    def move(self, entry: Entry, base: Checkpoint | None) -> Entry:
        """Write a block of the last checkpoint again."""
        assert base is not None
        return self._append(base.read(entry), entry.rows, entry.about, entry.version)

    def finish(self) -> list[PackFile]:
        """Make it durable."""
        if self._writer is None or self._output is None:
            return []
        length = self._writer.finish({"checkpoint": self._name})
        self._output.finish()
        return [PackFile(self._name, length, self.content)]

    def discard(self) -> None:
        """Remove it, as far as that can be done."""
        if self._output is not None:
            self._output.discard()

    def _append(
        self, data: pa.Buffer, rows: int, about: dict[str, str | int], version: int | None
    ) -> Entry:
        if self._writer is None:
            self._output = self._storage.write(f"{PACKS}/{self._name}")
            self._writer = PackWriter(self._output)
        offset, crc32 = self._writer.append(data, rows, about)
        self.content += data.size
        return Entry(about, version, rows, self._name, offset, data.size, crc32)


def _listed(storage: Storage) -> list[Name]:
    """Names of all checkpoints, the newest last."""
    found = (Name.parse(name) for name in storage.list(MANIFESTS))
    return sorted(name for name in found if name)


def _chosen(names: list[Name], at: int | None, storage: Storage) -> Name | None:
    """Return the checkpoint to start from."""
    if at is None:
        return names[-1] if names else None
    found = [name for name in names if name.seq == at]
    if found:
        return found[-1]
    there = ", ".join(str(name.seq) for name in names) or "none"
    msg = f"{storage.place!r} holds no checkpoint at={at}; there are: {there}"
    raise CheckpointError(msg, place=storage.place, remedy="name one that is there")
