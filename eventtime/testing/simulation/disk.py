"""A disk in memory that knows what would survive a crash, and lets others into every system call.

What is not synced survives in part: of a file's new bytes none, half, all, garbage or zeros in
their place, or the first sectors and zeros in the place of the others; of the changes of a folder's
names any subset, in their order. A name that survived may lead to bytes that did not.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("WRITES", "Change", "File", "Folder", "SimulatedDisk", "nothing")

Paths = list[str]
ROOT: Final = 0
WRITES: Final = {"create", "write", "sync", "rename", "unlink", "mkdir", "rmdir", "sync_folder"}
"""Calls that change something."""
# Of so many changes at most every subset is tried; of more, those of the last ones.
_SUBSETS_OF: Final = 8
_SECTOR: Final = 512


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
        # Half of the sectors are written when the power goes, and the file has grown for all.
        begun = self.now[: (len(old) + len(torn)) // _SECTOR * _SECTOR]
        grown = max(old, begun, key=len).ljust(len(self.now), b"\0")
        garbage = old + b"\xa5" * len(new)
        return {old, self.now, old + torn, garbage, old + bytes(len(new)), grown}


@dataclass(frozen=True)
class Change:
    """Of the names in a folder: `gone` is not there after it, and `name` leads to `number`.

    A folder has one name, whatever is lost of its way there.
    """

    gone: str | None = None
    name: str | None = None
    number: int = ROOT
    is_folder: bool = False

    def apply(self, names: dict[str, int]) -> None:
        if self.gone is not None:
            names.pop(self.gone, None)
        if self.is_folder:
            for other in [name for name, number in names.items() if number == self.number]:
                del names[other]
        if self.name is not None:
            names[self.name] = self.number


@dataclass
class Folder:
    """Names that are durable, with the numbers of files and folders, and what changed since."""

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
        self.tree: dict[int, Folder] = {ROOT: Folder()}
        self._handles: dict[int, int] = {}
        self._locks: dict[int, int] = {}
        self._numbers = itertools.count(ROOT + 1)

    def copy(self) -> SimulatedDisk:
        """The same disk once more, without those who use it."""
        other = SimulatedDisk()
        other.files = dict(self.files)
        other.tree = {
            number: Folder(dict(folder.durable), list(folder.changes))
            for number, folder in self.tree.items()
        }
        other._numbers = itertools.count(max([*self.files, *self.tree]) + 1)
        return other

    def crashed(self) -> Iterator[SimulatedDisk]:
        """Every disk that may be found after a crash now."""
        numbers = self._possible()
        for names in itertools.product(*(self.tree[i].after_a_crash() for i in numbers)):
            folders = _reachable(dict(zip(numbers, names, strict=True)))
            held = sorted({i for there in folders.values() for i in there.values()} - {*folders})
            for contents in itertools.product(*(self.files[i].after_a_crash() for i in held)):
                disk = SimulatedDisk()
                disk.files = {
                    i: File(content, content) for i, content in zip(held, contents, strict=True)
                }
                disk.tree = {i: Folder(dict(there)) for i, there in folders.items()}
                disk._numbers = itertools.count(max([*held, *folders]) + 1)
                yield disk

    def after_crash(self, choose: Callable[[int], int]) -> SimulatedDisk:
        """One of the disks that may be found after a crash now.

        Args:
            choose: gives a number from 0 on, below the one it is given.
        """
        disk = self.copy()
        for number, folder in self.tree.items():
            names = dict(folder.durable)
            for change in folder.changes:
                if choose(2):
                    change.apply(names)
            disk.tree[number] = Folder(names)
        for number, file in self.files.items():
            found = sorted(file.after_a_crash())
            content = found[choose(len(found))]
            disk.files[number] = File(content, content)
        return disk

    def _possible(self) -> list[int]:
        """Folders to which a name may lead after a crash."""
        found = [ROOT]
        for number in found:
            folder = self.tree[number]
            names = [*folder.durable.values(), *(change.number for change in folder.changes)]
            found += [i for i in dict.fromkeys(names) if i in self.tree and i not in found]
        return found

    def contents(self) -> dict[str, bytes | None]:
        """Bytes by path; None for a folder."""
        return dict(self._below("", ROOT))

    def _below(self, path: str, number: int) -> Iterator[tuple[str, bytes | None]]:
        for name, i in self.tree[number].now().items():
            is_folder = i in self.tree
            yield f"{path}/{name}", None if is_folder else self.files[i].now
            if is_folder:
                yield from self._below(f"{path}/{name}", i)

    def create(self, path: str) -> int:
        with _Call(self, "create", path):
            file = self._named(path)
            self.files[file] = File()
            return self._opened(file)

    def append(self, path: str) -> int:
        with _Call(self, "append", path):
            return self._opened(self._named(path))

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
        if handle in self._locks:
            try:
                with _Call(self, "release", handle):
                    pass
            finally:  # also when its process is killed before
                del self._locks[handle]
            return
        with _Call(self, "close", handle):
            del self._handles[handle]

    def read(self, path: str, offset: int, length: int) -> bytes:
        with _Call(self, "read", path):
            return self.files[self._number(path)].now[offset : offset + length]

    def rename(self, old: str, new: str) -> None:
        with _Call(self, "rename", old, new):
            folder, name = self._at(old)
            target, new_name = self._at(new)
            assert folder is target, "renaming across folders is not atomic everywhere"
            number, there = self._number(old), folder.now().get(new_name)
            if there in self.tree and self.tree[there].now():
                raise OSError(errno.ENOTEMPTY, "Directory not empty", new)
            folder.changes.append(Change(name, new_name, number, number in self.tree))

    def unlink(self, path: str) -> None:
        with _Call(self, "unlink", path):
            folder, name = self._at(path)
            assert self._number(path) in self.files
            folder.changes.append(Change(gone=name))

    def mkdir(self, path: str) -> None:
        with _Call(self, "mkdir", path):
            folder, name = self._at(path)
            if name in folder.now():
                raise FileExistsError(errno.EEXIST, "File exists", path)
            number = next(self._numbers)
            folder.changes.append(Change(name=name, number=number))
            self.tree[number] = Folder()

    def rmtree(self, path: str) -> None:
        for name, number in self._folder(path).now().items():
            (self.rmtree if number in self.tree else self.unlink)(f"{path}/{name}")
        with _Call(self, "rmdir", path):
            folder, name = self._at(path)
            folder.changes.append(Change(gone=name))

    def sync_folder(self, path: str) -> None:
        with _Call(self, "sync_folder", path):
            folder = self._folder(path)
            folder.durable, folder.changes = folder.now(), []

    def list(self, path: str) -> dict[str, int]:
        with _Call(self, "list", path):
            names = self._folder(path).now().items()
            return {name: len(self.files[i].now) for name, i in names if i in self.files}

    def stream(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(_Stream(self, self.create(path)), mode="w")

    def sync_file(self, path: str) -> None:
        handle = next(self._numbers)
        self._handles[handle] = self._number(path)
        self.sync(handle)
        self.close(handle)

    def mode(self, path: str) -> int:
        return stat.S_IFDIR if self._number(path) in self.tree else stat.S_IFREG

    def walk(self, path: str) -> Paths:
        names = [f"{folder}/{name}" for folder in self.folders(path) for name in self.list(folder)]
        return [name[len(path) + 1 :] for name in names]

    def folders(self, path: str) -> Paths:
        try:
            below = self._below(path, self._number(path))
        except FileNotFoundError:
            return []
        return [path, *sorted(name for name, data in below if data is None)]

    def hold(self, path: str, flags: int) -> int:
        with _Call(self, "hold", path):
            folder, name = self._at(path)
            if name not in folder.now() and not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            number = self._named(path)
            if number in self._locks.values():
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable", path)
            handle = next(self._numbers)
            self._locks[handle] = number
            return handle

    def _named(self, path: str) -> int:
        """Return the number of a file, which is made if it is not there."""
        folder, name = self._at(path)
        file = folder.now().get(name)
        if file is None:
            file = next(self._numbers)
            folder.changes.append(Change(name=name, number=file))
            self.files[file] = File()
        return file

    def _opened(self, file: int) -> int:
        handle = next(self._numbers)
        self._handles[handle] = file
        return handle

    def _number(self, path: str) -> int:
        number = ROOT
        for name in path.replace("\\", "/").rstrip("/").split("/")[1:]:
            there = self.tree[number].now() if number in self.tree else {}
            if name not in there:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
            number = there[name]
        return number

    def _folder(self, path: str) -> Folder:
        number = self._number(path)
        if number not in self.tree:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", path)
        return self.tree[number]

    def _at(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.replace("\\", "/").rpartition("/")
        return self._folder(folder), name

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


def _reachable(folders: dict[int, dict[str, int]]) -> dict[int, dict[str, int]]:
    """Leave out folders to which no name leads."""
    found = {ROOT: folders[ROOT]}
    to_see = [ROOT]
    for number in to_see:
        below = [i for i in found[number].values() if i in folders and i not in found]
        found |= {i: folders[i] for i in below}
        to_see += below
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
