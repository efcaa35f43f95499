"""Where an unfinished output lives until it is published: hidden beside its final name.

    out/.hourly.parquet.partial         ── rename ──►  out/hourly.parquet
    out/.hourly.partial/window_day=…/…  ── rename ──►  out/hourly/window_day=…/…   (the folder)

The hidden name is fixed, so whatever a killed process left is found and reused by the next run to
the same target. A lock on it, which dies with its process, keeps two runs from writing one target.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from eventtime.errors import OutputExistsError, SinkError
from eventtime.sinks.local_disk import LOCAL

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.sinks.local_disk import OutputDisk

__all__ = (
    "LocalFile",
    "LocalFolder",
    "Staging",
    "check_folder",
    "exists_error",
    "place_error",
    "refuse_strangers",
)

_PART: Final = re.compile(r"([^/=]+=[^/]+/)?\.?part-\d+(-\d+)?\.[a-z0-9.]+|_eventtime/.*")


class Staging(Protocol):
    """A hidden place for the files of one output; `publish` gives them their final names."""

    @property
    def target(self) -> str:
        """The final path, for messages."""
        ...

    def stream(self, name: str) -> pa.NativeFile:
        """Start the file `name`, relative to the target ('' if the target is the file itself)."""
        ...

    def settle(self, name: str) -> None:
        """Make a closed file durable."""
        ...

    def publish(self) -> None:
        """Move everything to its final name."""
        ...

    def discard(self) -> None:
        """Remove everything; never raises."""
        ...


def exists_error(path: str) -> OutputExistsError:
    """Build the error for an output that is there already."""
    msg = f"the output {path!r} exists already"
    return OutputExistsError(
        msg, place=path, remedy="remove it, write elsewhere, or say overwrite=True (--overwrite)"
    )


def place_error(path: str, error: OSError) -> SinkError:
    """Build the error for a place where nothing can be written."""
    folder = os.path.dirname(path) or "."
    if not os.path.lexists(folder):
        msg, remedy = (
            f"the folder {folder!r} of the output {path!r} does not exist",
            f"create it: mkdir -p {folder}",
        )
    elif not os.path.isdir(folder):
        msg, remedy = (
            f"{folder!r}, meant to hold the output {path!r}, is not a folder",
            "write elsewhere",
        )
    elif isinstance(error, PermissionError):
        msg, remedy = (
            f"no permission to write {path!r}",
            f"allow writing in {folder!r} or write elsewhere",
        )
    else:
        msg, remedy = f"cannot write {path!r}: {error.strerror or error}", "write elsewhere"
    return SinkError(msg, place=path, remedy=remedy)


def check_folder(path: str) -> None:
    """Refuse a file that has no folder to be in.

    Raises:
        SinkError: says what to make.
    """
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise place_error(path, NotADirectoryError())


class _Local(abc.ABC):
    """What a staged file and a staged folder on the local file system share: names and lock."""

    def __init__(self, path: str, *, overwrite: bool, disk: OutputDisk) -> None:
        # A link keeps pointing: what it points to is replaced, not the link.
        self._final = Path(os.path.realpath(path))
        self._overwrite = overwrite
        self._disk = disk
        self._partial = self._final.with_name(f".{self._final.name}.partial")
        self._lock: int | None = None
        self._is_renamed = False
        self.target = path

    def _hold(self, flags: int) -> None:
        """Open the hidden name and lock it until released.

        Raises:
            SinkError: another run holds it.
        """
        try:
            self._lock = self._disk.hold(str(self._partial), flags)
        except BlockingIOError:
            msg = f"another run is writing {self.target!r}"
            remedy = "wait for it, or give each output its own path"
            raise SinkError(msg, place=str(self._partial), remedy=remedy) from None

    def _release(self) -> None:
        # Not the other way round: what is closed twice may be another's by then.
        lock, self._lock = self._lock, None
        if lock is not None:
            self._disk.close(lock)

    def _let_go(self) -> None:
        """Leave nothing after Ctrl-C while it begins; what another run holds is not its own."""
        if self._lock is not None:
            self.discard()

    @abc.abstractmethod
    def discard(self) -> None:
        """Remove everything; never raises."""

    def _kind(self, path: Path) -> int | None:
        """What is there, as of `st_mode`; None: nothing."""
        try:
            return stat.S_IFMT(self._disk.mode(str(path)))
        except FileNotFoundError:
            return None


class LocalFile(_Local):
    """One file on the local file system; published by one atomic rename.

    Not guaranteed: that a file which another process creates between the last check and the rename,
    microseconds apart, survives.

    Args:
        path: of the file.
        overwrite: replace a file that is there.
        disk: makes the system calls.

    Raises:
        OutputExistsError: the file exists and is not to be overwritten.
        SinkError: the folder is missing or not writable, or the path is no regular file.
    """

    def __init__(self, path: str, *, overwrite: bool, disk: OutputDisk = LOCAL) -> None:
        super().__init__(path, overwrite=overwrite, disk=disk)
        self._check()
        try:
            if self._kind(self._partial) == stat.S_IFDIR:  # of a killed run that wrote a folder
                self._hold(os.O_RDONLY)
                disk.rmtree(str(self._partial))
                self._release()
            self._hold(os.O_CREAT | os.O_RDWR)
            disk.close(disk.create(str(self._partial)))
        except OSError as error:
            self._release()
            raise place_error(path, error) from error
        except BaseException:
            self._let_go()
            raise

    def _check(self) -> None:
        try:
            mode = self._disk.mode(str(self._final))
        except FileNotFoundError:
            return
        except OSError as error:
            raise place_error(self.target, error) from error
        if stat.S_ISDIR(mode):
            msg = f"the output {self.target!r} is a folder"
            raise SinkError(
                msg,
                place=self.target,
                remedy="name a file in it, or say partition_by='day' for a folder for each day",
            )
        if not stat.S_ISREG(mode):
            # Renaming over /dev/null would replace the device itself.
            msg = f"the output {self.target!r} is a device or pipe, not a regular file"
            raise SinkError(msg, place=self.target, remedy="write a file and copy it")
        if not self._overwrite:
            raise exists_error(self.target)

    def stream(self, name: str) -> pa.NativeFile:
        """Start a file under its hidden name."""
        return self._disk.stream(str(self._partial))

    def settle(self, name: str) -> None:
        """Make a closed file durable."""
        self._disk.sync_file(str(self._partial))

    def publish(self) -> None:
        """Rename to the final name and make the rename durable."""
        self._check()
        self._disk.rename(str(self._partial), str(self._final))
        self._is_renamed = True
        self._disk.sync_folder(str(self._final.parent))
        self._release()

    def discard(self) -> None:
        """Remove everything; never raises."""
        if not self._is_renamed:  # or the hidden name is that of the next run
            with contextlib.suppress(OSError):
                self._disk.unlink(str(self._partial))
        self._release()


class LocalFolder(_Local):
    """A folder of files on the local file system, staged whole and published by one rename.

    With overwrite the old folder steps aside to `.name.replaced` between two renames; a process
    killed between them leaves it there, and the next run to the same target puts it back first.

    Raises:
        OutputExistsError: the folder exists, is not empty and is not to be overwritten.
        SinkError: the folder above is missing or not writable, the path is a file, or the folder to
            overwrite holds anything but the parts of a dataset.
    """

    def __init__(self, path: str, *, overwrite: bool, disk: OutputDisk = LOCAL) -> None:
        super().__init__(path, overwrite=overwrite, disk=disk)
        self._replaced = self._final.with_name(f".{self._final.name}.replaced")
        try:
            self._check()
            self._make()
            self._put_back()
        except OSError as error:
            self._release()
            raise place_error(str(self._final), error) from error
        except SinkError:
            self._release()
            raise
        except BaseException:
            self._let_go()
            raise

    def _make(self) -> None:
        """Make the hidden folder, or empty that of a run that was killed."""
        if self._kind(self._partial) == stat.S_IFREG:  # of one that wrote a file
            self._hold(os.O_RDONLY)
            self._disk.unlink(str(self._partial))
            self._release()
        while True:
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(str(self._partial))
            # A run that ends in between takes the folder away: make it again.
            with contextlib.suppress(FileNotFoundError):
                self._hold(os.O_RDONLY)
                break
        _, *folders = self._disk.folders(str(self._partial))
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):  # it went with the one above it
                self._disk.rmtree(folder)
        for name in self._disk.list(str(self._partial)):
            self._disk.unlink(str(self._partial / name))

    def _put_back(self) -> None:
        """Undo or complete what a process that was killed left between two renames."""
        if self._kind(self._replaced) is None:
            return
        if self._kind(self._final) is None:
            self._disk.rename(str(self._replaced), str(self._final))
            self._check()
        else:
            self._remove_replaced()

    def _remove_replaced(self) -> None:
        # Whatever is in its place is durable first.
        self._disk.sync_folder(str(self._final.parent))
        # The output is in place; what cannot be removed now, the next run removes.
        with contextlib.suppress(OSError):
            self._disk.rmtree(str(self._replaced))

    def _check(self) -> None:
        kind = self._kind(self._final)
        if kind is None:
            return
        if kind != stat.S_IFDIR:
            msg = f"the output {self.target!r} is a file; a partitioned output is a folder"
            raise SinkError(msg, place=self.target, remedy="remove it or write elsewhere")
        inside = self._disk.walk(str(self._final))
        if inside and not self._overwrite:
            raise exists_error(self.target)
        refuse_strangers(self.target, inside)

    def stream(self, name: str) -> pa.NativeFile:
        """Start a file under its hidden name."""
        path = self._partial / name
        with contextlib.suppress(FileExistsError):
            self._disk.mkdir(str(path.parent))
        return self._disk.stream(str(path))

    def settle(self, name: str) -> None:
        """Make a closed file durable."""
        self._disk.sync_file(str(self._partial / name))

    def publish(self) -> None:
        """Rename to the final name and make the rename durable."""
        self._check()
        for folder in self._disk.folders(str(self._partial)):
            self._disk.sync_folder(folder)
        final, replaced = str(self._final), str(self._replaced)
        is_old_there = self._kind(self._final) is not None
        try:
            if is_old_there:
                self._disk.rename(final, replaced)
            self._disk.rename(str(self._partial), final)
        except BaseException:  # Ctrl-C between the two as well
            if self._kind(self._replaced) is not None and self._kind(self._final) is None:
                self._disk.rename(replaced, final)
            raise
        self._is_renamed = True
        if is_old_there:
            self._remove_replaced()
        else:
            self._disk.sync_folder(str(self._final.parent))
        self._release()

    def discard(self) -> None:
        """Remove everything; never raises."""
        if not self._is_renamed:  # or the hidden name is that of the next run
            with contextlib.suppress(OSError):
                self._disk.rmtree(str(self._partial))
        self._release()


def refuse_strangers(target: str, inside: list[str]) -> None:
    """Refuse to overwrite a folder that holds anything a sink did not write.

    Args:
        target: the folder, for the message.
        inside: paths of all files below it, relative, with '/'.

    Raises:
        SinkError: a file is no part such as `column=value/part-n.format`; names the first.
    """
    strangers = sorted(name for name in inside if not _PART.fullmatch(name))
    if strangers:
        msg = f"the folder {target!r} holds {strangers[0]!r}, no part of a partitioned output"
        raise SinkError(
            msg, place=target, remedy="overwriting would delete it: move it away or write elsewhere"
        )
