"""A checkpoint as it is read: blocks by what they are, each verified before it is decoded."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import CheckpointError
from eventtime.state.manifest import MANIFESTS, PACKS, Entry, Manifest, Name, read_manifest
from eventtime.state.pack import decode
from eventtime.state.storage import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from eventtime.state.storage import Storage

__all__ = (
    "Checkpoint",
    "Found",
    "SavedBlock",
    "list_checkpoints",
    "newest_checkpoint",
    "read_checkpoint",
    "verify",
    "way_out",
)

# Neighbours up to so many bytes are fetched by one request; so many of these stay at hand.
_FETCHED: Final = 4 << 20
_GAP: Final = 64 << 10
_AT_HAND: Final = 8


class _Blocks:
    """Reads the blocks of a checkpoint, neighbours in one go. May be used by several threads."""

    def __init__(self, storage: Storage, manifest: Manifest, check: Callable[[], None]) -> None:
        self.storage = storage
        self.manifest = manifest
        self._check = check
        self._recent: OrderedDict[tuple[str, int, int], pa.Buffer] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def _stretches(self) -> dict[tuple[str, int], tuple[str, int, int]]:
        """Pack, begin and end of what is fetched together with the block at a place."""
        stretches: list[tuple[str, int, int]] = []
        found: dict[tuple[str, int], int] = {}
        for entry in sorted(self.manifest.entries, key=lambda entry: (entry.pack, entry.offset)):
            end = entry.offset + entry.length
            pack, start, last = stretches[-1] if stretches else ("", 0, 0)
            if pack == entry.pack and entry.offset <= last + _GAP and end - start <= _FETCHED:
                stretches[-1] = pack, start, max(end, last)
            else:
                stretches.append((entry.pack, entry.offset, end))
            found[entry.pack, entry.offset] = len(stretches) - 1
        return {place: stretches[i] for place, i in found.items()}

    def read(self, entry: Entry) -> pa.Buffer:
        """Return the bytes of a block, verified."""
        place = f"{self.storage.place}, {PACKS}/{entry.pack}"
        name = self.manifest.name
        try:
            data = self._fetch(entry)
        except FileNotFoundError as error:
            msg = f"the pack {entry.pack!r} of the checkpoint {name} is missing"
            raise self._damaged(msg, place) from error
        except OSError as error:
            doing = f"read the checkpoint {name}"
            raise storage_error(doing, place, error) from error
        if data.size != entry.length or zlib.crc32(data) != entry.crc32:
            end = entry.offset + entry.length
            msg = (
                f"a block of the checkpoint {name} ({entry.rows} rows, {entry.about}) does not have"
                " its checksum"
            )
            raise self._damaged(msg, f"{place}, bytes {entry.offset} to {end}")
        return data

    def _fetch(self, entry: Entry) -> pa.Buffer:
        stretch = self._stretches[entry.pack, entry.offset]
        pack, start, end = stretch
        with self._lock:
            data = self._recent.pop(stretch, None)
            if data is None:
                data = self.storage.read(f"{PACKS}/{pack}", start, end - start)
            self._recent[stretch] = data
            while len(self._recent) > _AT_HAND:
                self._recent.popitem(last=False)
        begin = min(entry.offset - start, data.size)
        return data.slice(begin, min(entry.length, data.size - begin))

    def _damaged(self, msg: str, place: str) -> CheckpointError:
        with contextlib.suppress(OSError):
            self._check()
        return way_out(CheckpointError(msg, place=place), self.storage, self.manifest.name)


@dataclass(frozen=True)
class SavedBlock:
    """One block of a checkpoint; read when it is asked for.

    Args:
        entry: of the manifest.
    """

    entry: Entry
    _blocks: _Blocks

    @property
    def about(self) -> dict[str, Any]:
        """What it is, and how many `rows` it has."""
        return {**self.entry.about, "rows": self.entry.rows}

    @property
    def data(self) -> pa.Buffer:
        """Its bytes.

        Raises:
            CheckpointError: they are missing, or not what was written.
        """
        return self._blocks.read(self.entry)

    def batch(self) -> pa.RecordBatch:
        """Decode the rows.

        Raises:
            CheckpointError: the bytes are missing, or not what was written.
        """
        return decode(self.data)


class Checkpoint:
    """A checkpoint that is there; its manifest was verified, its blocks are when they are read.

    Args:
        storage: that holds it.
        manifest: what it is made of.
        check: called when a block is missing or damaged; raises if there is a better reason.
    """

    def __init__(
        self, storage: Storage, manifest: Manifest, check: Callable[[], None] = lambda: None
    ) -> None:
        self.manifest = manifest
        self._blocks = _Blocks(storage, manifest, check)

    @property
    def name(self) -> Name:
        """Token and number."""
        return self.manifest.name

    @property
    def token(self) -> int:
        """Of the process that wrote it."""
        return self.manifest.name.token

    @property
    def seq(self) -> int:
        """Its number."""
        return self.manifest.name.seq

    @property
    def head(self) -> dict[str, Any]:
        """What was said beside the blocks."""
        return self.manifest.head

    @property
    def entries(self) -> list[Entry]:
        """What is known of each block."""
        return self.manifest.entries

    @property
    def blocks(self) -> list[SavedBlock]:
        """All blocks, in the order in which they were given."""
        return [SavedBlock(entry, self._blocks) for entry in self.entries]

    @property
    def new_bytes(self) -> int:
        """Of the pack that was written for it; what else it holds lay there before."""
        return sum(pack.length for pack in self.manifest.packs if pack.name == str(self.name))

    def read(self, entry: Entry) -> pa.Buffer:
        """Return the bytes of a block.

        Raises:
            CheckpointError: they are missing, or not what was written.
        """
        return self._blocks.read(entry)

    def about(self, **wanted: str | int) -> list[SavedBlock]:
        """Return the blocks that are about this."""
        return [
            SavedBlock(entry, self._blocks)
            for entry in self.entries
            if wanted.items() <= entry.about.items()
        ]


@dataclass(frozen=True)
class Found:
    """A checkpoint that is there, maybe damaged.

    Args:
        name: token and number.
        checkpoint: None if its manifest is damaged or a pack is missing.
        damage: what is wrong with it.
    """

    name: Name
    checkpoint: Checkpoint | None
    damage: CheckpointError | None


def list_checkpoints(storage: Storage) -> list[Found]:
    """Return all checkpoints, the newest first. Blocks are not read.

    Raises:
        CheckpointError: the storage cannot be read.
    """
    found = []
    for name in _names(storage):
        try:
            found.append(Found(name, read_checkpoint(storage, name), None))
        except CheckpointError as damage:
            if name in _names(storage):  # not swept meanwhile
                found.append(Found(name, None, damage))
    return found


def newest_checkpoint(storage: Storage, at: int | None = None) -> Checkpoint | None:
    """Return the newest checkpoint, or that of a number. Blocks and other manifests are not read.

    Returns:
        None if there is none, or it is damaged.

    Raises:
        CheckpointError: the storage cannot be read.
    """
    while names := [name for name in _names(storage) if at in {None, name.seq}]:
        try:
            return read_checkpoint(storage, names[0])
        except CheckpointError:
            if names[0] in _names(storage):  # not swept meanwhile
                return None
    return None


def read_checkpoint(
    storage: Storage, name: Name, check: Callable[[], None] = lambda: None
) -> Checkpoint:
    """Verify a manifest, and that all packs which it names have their lengths.

    Args:
        storage: that holds it.
        name: of it.
        check: see `Checkpoint`.

    Raises:
        CheckpointError: there is none of this name, it is damaged, or of a newer format.
    """
    place = f"{storage.place}, {MANIFESTS}/{name}"
    try:
        size = storage.list(MANIFESTS).get(str(name))
        if size is None:
            there = ", ".join(map(str, _names(storage))) or "none"
            msg = f"{storage.place!r} holds no checkpoint {name}; there are: {there}"
            raise CheckpointError(msg, place=place, remedy="name one that is there")
        data = storage.read(f"{MANIFESTS}/{name}", 0, size).to_pybytes()
        manifest = read_manifest(data, name, place)
        lengths = storage.list(PACKS)
    except OSError as error:
        doing = f"read the checkpoint {name}"
        raise storage_error(doing, storage.place, error) from error
    for pack in manifest.packs:
        length = lengths.get(pack.name)
        if length is None:
            msg = f"the pack {pack.name!r} of the checkpoint {name} is missing"
        elif length != pack.length:
            msg = (
                f"the pack {pack.name!r} of the checkpoint {name} has {length} bytes, not"
                f" {pack.length}"
            )
        else:
            continue
        raise CheckpointError(msg, place=f"{storage.place}, {PACKS}/{pack.name}")
    return Checkpoint(storage, manifest, check)


def verify(checkpoint: Checkpoint) -> list[CheckpointError]:
    """Read all blocks, and return what is wrong. Cost: one pass over the blocks."""
    wrong = []
    in_place = sorted(checkpoint.blocks, key=lambda block: (block.entry.pack, block.entry.offset))
    for block in in_place:
        try:
            _ = block.data
        except CheckpointError as error:
            wrong.append(error)
    return wrong


def way_out(error: CheckpointError, storage: Storage, damaged: Name) -> CheckpointError:
    """Return the error of a damaged checkpoint with the older ones that are whole as a remedy."""
    older = [name for name in _names(storage) if name < damaged and _is_whole(storage, name)]
    choice = " or ".join(f"at={name.seq}" for name in older)
    remedy = "put a copy back; no older checkpoint is whole"
    if older:
        remedy = f"put a copy back, or start from an older checkpoint that is whole: {choice}"
    return CheckpointError(error.what, place=error.place, remedy=error.remedy or remedy)


def _is_whole(storage: Storage, name: Name) -> bool:
    try:
        checkpoint = read_checkpoint(storage, name)
        return all(
            zlib.crc32(checkpoint._blocks._fetch(entry)) == entry.crc32
            for entry in checkpoint.entries
        )
    except (CheckpointError, OSError):
        return False


def _names(storage: Storage) -> list[Name]:
    try:
        found = (Name.parse(name) for name in storage.list(MANIFESTS))
    except OSError as error:
        doing = "list the checkpoints"
        raise storage_error(doing, storage.place, error) from error
    return sorted((name for name in found if name), reverse=True)
