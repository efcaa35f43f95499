"""Epochs as part files in a folder that readers may look into at any time.

    out/window_day=2013-01-01/.part-00000007-0.parquet.partial     1. written, durable, hidden
    out/_eventtime/epochs.json   {"epoch": 7, "parts": […], …}     2. replaced: epoch 7 is committed
    out/window_day=2013-01-01/part-00000007-0.parquet              3. renamed

A process killed before 2 leaves hidden files, which the next one removes; after 2, renames that the
next one completes. No name that readers see is ever taken back.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import FencedError, SinkError
from eventtime.sinks.epochs import check_job, check_token
from eventtime.sinks.local_disk import LOCAL
from eventtime.sinks.part_files import NOTHING, OURS, hidden_name, is_hidden, read_record, record
from eventtime.sinks.staging import exists_error, place_error, refuse_strangers
from eventtime.state.storage import TEMPORARY, LocalStorage, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from eventtime.sinks.local_disk import OutputDisk
    from eventtime.sinks.part_files import PartsWriter

__all__ = ("FolderEpochs",)

_LOCK: Final = f"{OURS}/lock"
_RECORD: Final = f"{OURS}/epochs.json"
_NOBODYS: Final = (_LOCK, _RECORD + TEMPORARY)


class FolderEpochs:
    """Writes each epoch as part files; see `EpochWriter`.

    Each part appears whole. If an epoch has more than one, for several days, they appear one after
    the other. An epoch without rows has none.

    Args:
        folder: on a disk; made if it is not there, but not the folders above it.
        parts: writes the rows of an epoch.
        job: whose epochs these are.
        overwrite: replace what another job or run wrote.
        disk: makes the system calls.

    Raises:
        OutputExistsError: the folder holds files that another job or run wrote.
        SinkError: the folder above is missing or not writable.
    """

    def __init__(
        self,
        folder: str,
        parts: PartsWriter,
        *,
        job: str,
        overwrite: bool,
        disk: OutputDisk = LOCAL,
    ) -> None:
        check_job(job)
        self._folder = os.path.realpath(folder)
        self._disk = disk
        self._storage = LocalStorage(self._folder, disk)
        self._target = folder
        self._parts = parts
        self._job = job
        self._overwrite = overwrite
        self._all_revealed = False
        with self._naming():
            if self._record()["job"] != job:
                self._refuse_what_is_there()
            make_folder(disk, self._folder)
            make_folder(disk, self.path(OURS))

    def recover(self, token: int) -> int:
        """Claim the folder; complete an epoch that was committed, remove what was not."""
        with self._locked():
            last = self._record()
            if last["job"] == self._job:
                check_token(last["token"], token, self._target)
            else:
                self._clear()
                last = NOTHING
            epoch: int = last["epoch"]
            # What was read may not be durable yet: it is, before a reader can see what it promises.
            self.publish(epoch, token, last["parts"])
            for name in self._disk.walk(self._folder):
                if is_hidden(name):
                    self._disk.unlink(self.path(name))
        return epoch

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Write the parts of an epoch, and publish them."""
        with self._locked():
            last = self._record()
            if last["job"] != self._job:
                msg = f"the folder {self._target!r} is no longer an output of this job"
                raise FencedError(msg, place=self._target, remedy="let this process end")
            check_token(last["token"], token, self._target)
            if not self._all_revealed:
                self.publish(last["epoch"], token, last["parts"])
            if epoch <= last["epoch"]:
                return
            self._parts.write(_Parts(self, epoch, token, self._disk), epoch, batches)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def publish(self, epoch: int, token: int, names: list[str]) -> None:
        """Commit an epoch whose parts are durable under their hidden names."""
        self._all_revealed = False
        self._write_record(epoch, token, names)
        self._reveal(names)

    def path(self, name: str) -> str:
        """Where a file is, or a folder."""
        return os.path.join(self._folder, *name.split("/"))

    def hidden(self, name: str) -> str:
        """Where a part is before it is published: a rename away, within one folder."""
        return self.path(hidden_name(name))

    def sync_folders(self, names: Iterable[str]) -> None:
        """Make the names in the folders of some files durable."""
        for folder in sorted({posixpath.dirname(name) for name in names}):
            self._disk.sync_folder(self.path(folder))

    @property
    def target(self) -> str:
        """The folder, for messages."""
        return self._target

    def _reveal(self, names: list[str]) -> None:
        for name in names:
            # A part that is not there was renamed before.
            with contextlib.suppress(FileNotFoundError):
                self._disk.rename(self.hidden(name), self.path(name))
        self.sync_folders(names)
        self._all_revealed = True

    def _record(self) -> dict[str, Any]:
        try:
            size = self._storage.list(OURS)[posixpath.basename(_RECORD)]
            text = self._storage.read(_RECORD, 0, size).to_pybytes()
        except (KeyError, FileNotFoundError, NotADirectoryError):
            return NOTHING
        return read_record(text, self.path(_RECORD), self._target)

    def _write_record(self, epoch: int, token: int, names: list[str]) -> None:
        self._storage.put(_RECORD, record(self._job, token, epoch, names))

    def _refuse_what_is_there(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(self._disk.mode(self._folder)):
                msg = f"the output {self._target!r} is a file; part files need a folder"
                raise SinkError(msg, place=self._target, remedy="remove it or write elsewhere")
        inside = self._inside()
        if inside and not self._overwrite:
            raise exists_error(self._target)
        refuse_strangers(self._target, inside)

    def _inside(self) -> list[str]:
        # A record half-written by a process that was killed is nobody's yet.
        return [name for name in self._disk.walk(self._folder) if name not in _NOBODYS]

    def _clear(self) -> None:
        """Remove what the one wrote that is to be overwritten."""
        self._refuse_what_is_there()
        for name in self._inside():
            self._disk.unlink(self.path(name))
        # From the next record on, what were to come back would be taken for ours: also what was
        # removed before, by a process that was killed.
        for folder in self._disk.folders(self._folder):
            self._disk.sync_folder(folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out while this one judges its token and acts on it."""
        with self._naming():
            try:
                lock = self._disk.hold(self.path(_LOCK), os.O_CREAT | os.O_RDWR)
            except BlockingIOError:
                msg = f"another process is writing {self._target!r} at this moment"
                remedy = "wait for it or end it, then try again"
                raise SinkError(msg, place=self._target, remedy=remedy) from None
            try:
                yield
            finally:
                if lock is not None:
                    self._disk.close(lock)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise place_error(self._folder, error) from error


class _Parts:
    """The hidden parts of one epoch; a `Staging`."""

    def __init__(self, epochs: FolderEpochs, epoch: int, token: int, disk: OutputDisk) -> None:
        self._epochs = epochs
        self._disk = disk
        self._epoch = epoch
        self._token = token
        self._names: list[str] = []
        self.target = epochs.target

    def stream(self, name: str) -> pa.NativeFile:
        """Start a part."""
        path = self._epochs.hidden(name)
        with contextlib.suppress(FileExistsError):
            self._disk.mkdir(os.path.dirname(path))
        self._names.append(name)
        return self._disk.stream(path)

    def settle(self, name: str) -> None:
        """Make a closed part durable."""
        self._disk.sync_file(self._epochs.hidden(name))

    def publish(self) -> None:
        """Make the hidden names and their folders durable, then commit."""
        if self._names:
            self._epochs.sync_folders([*self._names, ""])
        # From here on they are no longer ours to discard: the record may name them.
        names, self._names = self._names, []
        self._epochs.publish(self._epoch, self._token, names)

    def discard(self) -> None:
        """Remove the hidden parts; never raises."""
        for name in self._names:
            with contextlib.suppress(OSError):
                self._disk.unlink(self._epochs.hidden(name))
