"""Epochs as part files in a folder that readers may look into at any time.

    out/window_day=2013-01-01/.part-00000007-0.parquet.partial     1. written, durable, hidden
    out/_eventtime/epochs.json   {"epoch": 7, "parts": […], …}     2. replaced: epoch 7 is committed
    out/window_day=2013-01-01/part-00000007-0.parquet              3. renamed

A process killed before 2 leaves hidden files, which the next one removes; after 2, renames that the
next one completes. No name that readers see is ever taken back.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import FencedError, SinkError
from eventtime.sinks.epochs import check_job, check_token
from eventtime.sinks.folder_disk import DiskFile, SystemFolderDisk
from eventtime.sinks.staging import exists_error, place_error, refuse_strangers
from eventtime.sinks.writers import FolderWriter
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventtime.sinks.encoder import FileFormat
    from eventtime.sinks.folder_disk import FolderDisk
    from eventtime.sinks.writers import Splitter

__all__ = ("FolderEpochs",)

_OURS: Final = "_eventtime"
"""Readers of folders leave out names that begin with an underscore or a dot."""
_RECORD: Final = "epochs.json"
_RECORD_BYTES_MAX: Final = 1 << 30
_NOTHING: Final[dict[str, Any]] = {"job": None, "token": 0, "epoch": 0, "parts": []}


class FolderEpochs:
    """Writes each epoch as part files; see `EpochWriter`.

    Each part appears whole. If an epoch has more than one, for several days, they appear one after
    the other. An epoch without rows has none.

    Args:
        folder: on a disk; made if it is not there, but not the folders above it.
        file_format: of the parts.
        schema: of the rows.
        splitter: says which folder rows belong to.
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
        file_format: FileFormat,
        schema: pa.Schema,
        splitter: Splitter,
        *,
        job: str,
        overwrite: bool,
        disk: FolderDisk | None = None,
    ) -> None:
        check_job(job)
        self.target = folder
        self.disk: FolderDisk = disk or SystemFolderDisk()
        self._folder = os.path.realpath(folder)
        self._format = file_format
        self._schema = schema
        self._splitter = splitter
        self._job = job
        self._overwrite = overwrite
        self._ours = LocalStorage(f"{self._folder}/{_OURS}", self.disk)
        self._all_revealed = False
        with self._naming():
            if self._record()["job"] != job:
                self._refuse_what_is_there()
            self.make(self._folder)
            self.make(self._ours.place)

    def recover(self, token: int) -> int:
        """Claim the folder; complete an epoch that was committed, remove what was not."""
        with self._locked():
            record = self._record()
            if record["job"] == self._job:
                check_token(record["token"], token, self.target)
                self._reveal(record["parts"])
            else:
                self._clear()
                record = _NOTHING
            for name in self._inside():
                if os.path.basename(name).startswith(".part-"):
                    self.disk.unlink(f"{self._folder}/{name}")
            epoch: int = record["epoch"]
            self._write_record(epoch, token, [])
        return epoch

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Write the parts of an epoch, and publish them."""
        with self._locked():
            record = self._record()
            if record["job"] != self._job:
                msg = f"the folder {self.target!r} is no longer an output of this job"
                raise FencedError(msg, place=self.target, remedy="let this process end")
            check_token(record["token"], token, self.target)
            if not self._all_revealed:
                self._reveal(record["parts"])
            if epoch <= record["epoch"]:
                return
            writer = FolderWriter(
                _Parts(self, epoch, token),
                self._format,
                self._schema,
                self._splitter,
                part=f"part-{epoch:08d}-",
                at_least_one=False,
            )
            try:
                for batch in batches:
                    writer.write(batch)
                writer.commit()
            except BaseException:
                writer.abort()
                raise

    def close(self) -> None:
        """Nothing is held between two calls."""

    def publish(self, epoch: int, token: int, names: list[str]) -> None:
        """Commit an epoch whose parts are durable under their hidden names."""
        self._all_revealed = False
        self._write_record(epoch, token, names)
        self._reveal(names)

    def path(self, name: str) -> str:
        """Where a part is once it is published."""
        return f"{self._folder}/{name}"

    def hidden(self, name: str) -> str:
        """Where a part is before it is published: a rename away, within one folder."""
        folder, _, last = self.path(name).rpartition("/")
        return f"{folder}/.{last}.partial"

    def make(self, path: str) -> None:
        """Make a folder, durably; the one who made it may have been killed before it was."""
        with contextlib.suppress(FileExistsError):
            self.disk.mkdir(path)
        self.disk.sync_folder(os.path.dirname(path))

    def _reveal(self, names: list[str]) -> None:
        for name in names:
            # A part that is not there was renamed before.
            with contextlib.suppress(FileNotFoundError):
                self.disk.rename(self.hidden(name), self.path(name))
        for folder in sorted({os.path.dirname(self.path(name)) for name in names}):
            self.disk.sync_folder(folder)
        self._all_revealed = True

    def _record(self) -> dict[str, Any]:
        try:
            text = self._ours.read(_RECORD, 0, _RECORD_BYTES_MAX).to_pybytes()
        except (FileNotFoundError, NotADirectoryError):
            return _NOTHING
        record: Any = None
        with contextlib.suppress(ValueError):
            record = json.loads(text)
        if not isinstance(record, dict) or not record.keys() >= _NOTHING.keys():
            msg = f"{self._ours.place}/{_RECORD} does not say which epochs are committed"
            remedy = "restore the file, or remove the folder and run from the beginning"
            raise SinkError(msg, place=self.target, remedy=remedy)
        return record

    def _write_record(self, epoch: int, token: int, names: list[str]) -> None:
        record = {"version": 1, "job": self._job, "token": token, "epoch": epoch, "parts": names}
        self._ours.put(_RECORD, json.dumps(record, indent=1).encode())

    def _refuse_what_is_there(self) -> None:
        inside = list(self._inside())
        if inside and not self._overwrite:
            raise exists_error(self.target)
        refuse_strangers(self.target, inside)

    def _inside(self, folder: str = "") -> Iterator[str]:
        """Name all files in the folder and those below it, but for the lock and the record."""
        try:
            for name in self.disk.list(self.path(folder).rstrip("/")):
                yield f"{folder}{name}"
            for name in self.disk.list_folders(self.path(folder).rstrip("/")):
                if f"{folder}{name}" != _OURS:
                    yield from self._inside(f"{folder}{name}/")
        except FileNotFoundError:
            return

    def _clear(self) -> None:
        """Remove what the one wrote that is to be overwritten."""
        self._refuse_what_is_there()
        for name in self._inside():
            self.disk.unlink(self.path(name))
            self.disk.sync_folder(os.path.dirname(self.path(name)))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out while this one judges its token and acts on it."""
        with self._naming():
            try:
                lock = self.disk.lock(f"{self._ours.place}/lock")
            except BlockingIOError:
                msg = f"another process is writing {self.target!r} at this moment"
                remedy = "wait for it or end it, then try again"
                raise SinkError(msg, place=self.target, remedy=remedy) from None
            with lock:
                yield

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise place_error(self._folder, error) from error


class _Parts:
    """The hidden parts of one epoch; a `Staging`."""

    def __init__(self, epochs: FolderEpochs, epoch: int, token: int) -> None:
        self._epochs = epochs
        self._epoch = epoch
        self._token = token
        self._names: list[str] = []
        self.target = epochs.target

    def stream(self, name: str) -> pa.NativeFile:
        """Start a part."""
        path = self._epochs.hidden(name)
        if "/" in name:
            self._epochs.make(os.path.dirname(path))
        self._names.append(name)
        return pa.PythonFile(DiskFile(self._epochs.disk, path), mode="w")

    def settle(self, name: str) -> None:
        """A part is durable when it is closed."""

    def publish(self) -> None:
        """Make the hidden names durable, then commit."""
        for folder in sorted({os.path.dirname(self._epochs.path(name)) for name in self._names}):
            self._epochs.disk.sync_folder(folder)
        # From here on they are no longer ours to discard: the record may name them.
        names, self._names = self._names, []
        self._epochs.publish(self._epoch, self._token, names)

    def discard(self) -> None:
        """Remove the hidden parts; never raises."""
        for name in self._names:
            with contextlib.suppress(OSError):
                self._epochs.disk.unlink(self._epochs.hidden(name))
