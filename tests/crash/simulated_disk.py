"""A disk in memory that knows what would survive a crash, and lets others into every system call.

What is not synced survives in part: of a file's new bytes none, half, all, or garbage in their
place; of the changes of a folder's names any subset, in their order. A name that survived may lead
to bytes that did not.
"""

from __future__ import annotations

import errno
import io
import itertools
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("WRITES", "SimulatedDisk", "nothing")

Paths = list[str]
FOLDER: Final = -1
ROOT: Final = ""
WRITES: Final = {"create", "write", "sync", "rename", "unlink", "mkdir", "sync_folder"}
"""Calls that change something."""
# Of so many changes at most every subset is tried; of more, those of the last ones.
_SUBSETS_OF: Final = 8


@dataclass(frozen=True)
class File:
    """The bytes of a file, those that are synced and all.

    Args:
        is_lost: a sync failed, after which the system takes unwritten bytes for written.
    """

    synced: bytes = b""
    now: bytes = b""
    is_lost: bool = False

    def after_a_crash(self) -> set[bytes]:
        """What may be found."""
        old, new = self.synced, self.now[len(self.synced) :]
        torn = new[: len(new) // 2]
        return {old, self.now, old + torn, old + b"\xa5" * len(new), old + bytes(len(new))}


@dataclass(frozen=True)
class Change:
    """Of the names in a folder: `gone` is not there after it, and `name` leads to `file`."""

    gone: str | None = None
    name: str | None = None
    file: int = FOLDER

    def apply(self, names: dict[str, int]) -> None:
        if self.gone is not None:
            names.pop(self.gone, None)
        if self.name is not None:
            names[self.name] = self.file


@dataclass
class Folder:
    """Names that are durable, and what changed since."""

    durable: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def now(self) -> dict[str, int]:
        return self._with(self.changes)

    def _with(self, changes: list[Change]) -> dict[str, int]:
        names = dict(self.durable)
        for change in changes:
            change.apply(names)
        return names

    def after_a_crash(self) -> Iterator[dict[str, int]]:
        certain, open_ones = self.changes[:-_SUBSETS_OF], self.changes[-_SUBSETS_OF:]
        for picks in itertools.product((False, True), repeat=len(open_ones)):
            yield self._with([*certain, *itertools.compress(open_ones, picks)])


def nothing(call: str, *arguments: object) -> None:
    """Let a call pass."""


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.replace("\\", "/").rpartition("/")
    return folder, name


class SimulatedDisk:
    """A `Disk`, and an `OutputDisk`; folders are '/a/b', the root is there.

    Args:
        before: called before each system call with its name and arguments; may raise, or let others
            run.
        after: the same once it was done.
    """

    def __init__(self) -> None:
        self.before: Callable[..., None] = nothing
        self.after: Callable[..., None] = nothing
        self.files: dict[int, File] = {}
        self.tree: dict[str, Folder] = {ROOT: Folder()}
        self._handles: dict[int, int] = {}
        self._numbers = itertools.count()

    def copy(self) -> SimulatedDisk:
        """The same disk once more, without those who use it."""
        other = SimulatedDisk()
        other.files = dict(self.files)
        other.tree = {
            path: Folder(dict(folder.durable), list(folder.changes))
            for path, folder in self.tree.items()
        }
        other._numbers = itertools.count(max(self.files, default=0) + 1)
        return other

    def crashed(self) -> Iterator[SimulatedDisk]:
        """Every disk that may be found after a crash now."""
        paths = list(self.tree)
        for names in itertools.product(*(self.tree[path].after_a_crash() for path in paths)):
            folders = _reachable(dict(zip(paths, names, strict=True)))
            held = sorted({file for there in folders.values() for file in there.values()} - {-1})
            for contents in itertools.product(*(self.files[i].after_a_crash() for i in held)):
                disk = SimulatedDisk()
                disk.files = {
                    i: File(content, content) for i, content in zip(held, contents, strict=True)
                }
                disk.tree = {path: Folder(dict(there)) for path, there in folders.items()}
                disk._numbers = itertools.count(max(held, default=0) + 1)
                yield disk

    def contents(self) -> dict[str, bytes | None]:
        """Bytes by path; None for a folder."""
        return {
            f"{path}/{name}": None if file == FOLDER else self.files[file].now
            for path, folder in self.tree.items()
            for name, file in folder.now().items()
        }

    def create(self, path: str) -> int:
        with _Call(self, "create", path):
            folder, name = self._at(path)
            file = folder.now().get(name)
            if file is None:
                file = next(self._numbers)
                folder.changes.append(Change(name=name, file=file))
            self.files[file] = File()
            handle = next(self._numbers)
            self._handles[handle] = file
            return handle

    def write(self, handle: int, data: memoryview) -> int:
        with _Call(self, "write", handle, data):
            self._append(handle, bytes(data))
            return len(data)

    def tear(self, handle: int, data: memoryview) -> None:
        """Write half of it, which is then not told."""
        self._append(handle, bytes(data[: len(data) // 2]))

    def sync(self, handle: int) -> None:
        with _Call(self, "sync", handle):
            file = self.files[self._handles[handle]]
            if not file.is_lost:
                self.files[self._handles[handle]] = replace(file, synced=file.now)

    def lose(self, handle: int) -> None:
        """Fail to sync: what was written so far is never synced any more."""
        i = self._handles[handle]
        self.files[i] = replace(self.files[i], is_lost=True)

    def close(self, handle: int) -> None:
        with _Call(self, "close", handle):
            del self._handles[handle]

    def read(self, path: str, offset: int, length: int) -> bytes:
        with _Call(self, "read", path):
            folder, name = self._at(path)
            return self.files[_there(folder, name, path)].now[offset : offset + length]

    def rename(self, old: str, new: str) -> None:
        with _Call(self, "rename", old, new):
            folder, name = self._at(old)
            target, new_name = self._at(new)
            assert folder is target, "renaming across folders is not atomic everywhere"
            folder.changes.append(Change(gone=name, name=new_name, file=_there(folder, name, old)))

    def unlink(self, path: str) -> None:
        with _Call(self, "unlink", path):
            folder, name = self._at(path)
            _there(folder, name, path)
            folder.changes.append(Change(gone=name))

    def mkdir(self, path: str) -> None:
        with _Call(self, "mkdir", path):
            folder, name = self._at(path)
            if name in folder.now():
                raise FileExistsError(errno.EEXIST, "File exists", path)
            folder.changes.append(Change(name=name))
            self.tree[path] = Folder()

    def sync_folder(self, path: str) -> None:
        with _Call(self, "sync_folder", path):
            path = path.rstrip("/")
            if path not in self.tree:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            folder = self.tree[path]
            folder.durable, folder.changes = folder.now(), []

    def list(self, path: str) -> dict[str, int]:
        with _Call(self, "list", path):
            if path not in self.tree:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            names = self.tree[path].now().items()
            return {name: len(self.files[file].now) for name, file in names if file != FOLDER}

    def stream(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_Stream(self, self.create(path)), mode="w")

    def sync_file(self, path: str) -> None:
        folder, name = self._at(path)
        handle = next(self._numbers)
        self._handles[handle] = _there(folder, name, path)
        self.sync(handle)
        self.close(handle)

    def mode(self, path: str) -> int:
        if path in self.tree:
            return stat.S_IFDIR
        folder, name = self._at(path)
        _there(folder, name, path)
        return stat.S_IFREG

    def walk(self, path: str) -> Paths:
        names = [f"{folder}/{name}" for folder in self.folders(path) for name in self.list(folder)]
        return [name[len(path) + 1 :] for name in names]

    def folders(self, path: str) -> Paths:
        return [p for p in sorted(self.tree) if p == path or p.startswith(f"{path}/")]

    def hold(self, path: str, flags: int) -> None:
        """Lock nothing: locks end with their process, and here one at a time is alive."""

    def _at(self, path: str) -> tuple[Folder, str]:
        folder, name = _split(path)
        if folder not in self.tree:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return self.tree[folder], name

    def _append(self, handle: int, data: bytes) -> None:
        i = self._handles[handle]
        self.files[i] = replace(self.files[i], now=self.files[i].now + data)


class _Stream(io.RawIOBase):
    """A file as an encoder writes it."""

    def __init__(self, disk: SimulatedDisk, handle: int) -> None:
        self._disk = disk
        self._handle = handle
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any, /) -> int:
        written = self._disk.write(self._handle, memoryview(data))
        self._size += written
        return written

    def close(self) -> None:
        if not self.closed:
            self._disk.close(self._handle)
        super().close()


def _there(folder: Folder, name: str, path: str) -> int:
    file = folder.now().get(name)
    if file is None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
    return file


def _reachable(folders: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Leave out folders whose own names did not survive."""
    found = {ROOT: folders[ROOT]}
    for path in sorted(folders):
        above, name = _split(path)
        if path != ROOT and name in found.get(above, {}):
            found[path] = folders[path]
    return found


class _Call:
    """Lets others in before and after a system call that succeeds."""

    def __init__(self, disk: SimulatedDisk, name: str, *arguments: object) -> None:
        self._disk = disk
        self._call = name, *arguments

    def __enter__(self) -> None:
        self._disk.before(*self._call)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._disk.after(*self._call)
