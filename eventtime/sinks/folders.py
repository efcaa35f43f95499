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
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import FencedError, SinkError
from eventtime.sinks.epochs import check_job, check_token
from eventtime.sinks.staging import exists_error, place_error, refuse_strangers, sync
from eventtime.sinks.writers import FolderWriter

if sys.platform != "win32":  # pragma: no branch
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventtime.sinks.encoder import FileFormat
    from eventtime.sinks.writers import Splitter

__all__ = ("FolderEpochs",)

_OURS: Final = "_eventtime"
"""Readers of folders leave out names that begin with an underscore or a dot."""
_NOBODYS: Final = (f"{_OURS}/lock", f"{_OURS}/epochs.json.partial")
_NOTHING: Final[dict[str, Any]] = {"job": None, "token": 0, "epoch": 0, "parts": []}


class FolderEpochs:
    """Writes each epoch as part files; see `EpochWriter`.

    Each part appears whole. If an epoch has more than one, for several days, they appear one after
    the other. An epoch without rows has none.

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
    ) -> None:
        check_job(job)
        self._folder = Path(os.path.realpath(folder))
        self._target = folder
        self._format = file_format
        self._schema = schema
        self._splitter = splitter
        self._job = job
        self._overwrite = overwrite
        self._ours = self._folder / _OURS
        self._all_revealed = False
        with self._naming():
            if self._record()["job"] != job:
                self._refuse_what_is_there()
            if not self._folder.exists():
                self._folder.mkdir()
                sync(self._folder.parent)
            self._ours.mkdir(exist_ok=True)
            sync(self._folder)

    def recover(self, token: int) -> int:
        """Claim the folder; complete an epoch that was committed, remove what was not."""
        with self._locked():
            record = self._record()
            if record["job"] == self._job:
                check_token(record["token"], token, self._target)
                self._reveal(record["parts"])
            else:
                self._clear()
                record = _NOTHING
            for hidden in self._folder.rglob(".part-*.partial"):
                hidden.unlink()
            epoch: int = record["epoch"]
            self._write_record(epoch, token, [])
        return epoch

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Write the parts of an epoch, and publish them."""
        with self._locked():
            record = self._record()
            if record["job"] != self._job:
                msg = f"the folder {self._target!r} is no longer an output of this job"
                raise FencedError(msg, place=self._target, remedy="let this process end")
            check_token(record["token"], token, self._target)
            if not self._all_revealed:
                self._reveal(record["parts"])
            if epoch <= record["epoch"]:
                return
            staging = _Parts(self, epoch, token)
            writer = FolderWriter(
                staging,
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

    def hidden(self, name: str) -> Path:
        """Where a part is before it is published: a rename away, within one folder."""
        path = self._folder / name
        return path.with_name(f".{path.name}.partial")

    @property
    def target(self) -> str:
        """The folder, for messages."""
        return self._target

    def _reveal(self, names: list[str]) -> None:
        for name in names:
            # A part that is not there was renamed before.
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.hidden(name), self._folder / name)
        for folder in sorted({(self._folder / name).parent for name in names}):
            sync(folder)
        self._all_revealed = True

    def _record(self) -> dict[str, Any]:
        try:
            text = (self._ours / "epochs.json").read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return _NOTHING
        record: Any = None
        with contextlib.suppress(ValueError):
            record = json.loads(text)
        if not isinstance(record, dict) or not record.keys() >= _NOTHING.keys():
            msg = f"{str(self._ours / 'epochs.json')!r} does not say which epochs are committed"
            remedy = "restore the file, or remove the folder and run from the beginning"
            raise SinkError(msg, place=self._target, remedy=remedy)
        return record

    def _write_record(self, epoch: int, token: int, names: list[str]) -> None:
        record = {"version": 1, "job": self._job, "token": token, "epoch": epoch, "parts": names}
        partial = self._ours / "epochs.json.partial"
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        sync(partial)
        os.replace(partial, self._ours / "epochs.json")
        sync(self._ours)

    def _refuse_what_is_there(self) -> None:
        if self._folder.exists() and not self._folder.is_dir():
            msg = f"the output {self._target!r} is a file; part files need a folder"
            raise SinkError(msg, place=self._target, remedy="remove it or write elsewhere")
        inside = self._inside()
        if inside and not self._overwrite:
            raise exists_error(self._target)
        refuse_strangers(self._target, inside)

    def _inside(self) -> list[str]:
        found = (path for path in self._folder.rglob("*") if path.is_file())
        names = (path.relative_to(self._folder).as_posix() for path in found)
        # A record half-written by a process that was killed is nobody's yet.
        return [name for name in names if name not in _NOBODYS]

    def _clear(self) -> None:
        """Remove what the one wrote that is to be overwritten."""
        self._refuse_what_is_there()
        for name in self._inside():
            (self._folder / name).unlink()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out while this one judges its token and acts on it."""
        with self._naming(), open(self._ours / "lock", "a", encoding="utf-8") as lock:
            if sys.platform != "win32":  # pragma: no branch - no such locks there
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    msg = f"another process is writing {self._target!r} at this moment"
                    remedy = "wait for it or end it, then try again"
                    raise SinkError(msg, place=self._target, remedy=remedy) from None
                except OSError:
                    pass  # no locks on this file system; one process at a time is a promise then
            yield

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise place_error(str(self._folder), error) from error


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
        if not path.parent.exists():
            path.parent.mkdir()
            sync(path.parent.parent)
        self._names.append(name)
        return pa.OSFile(str(path), "wb")

    def settle(self, name: str) -> None:
        """Make a closed part durable."""
        sync(self._epochs.hidden(name))

    def publish(self) -> None:
        """Make the hidden names durable, then commit."""
        for folder in sorted({self._epochs.hidden(name).parent for name in self._names}):
            sync(folder)
        # From here on they are no longer ours to discard: the record may name them.
        names, self._names = self._names, []
        self._epochs.publish(self._epoch, self._token, names)

    def discard(self) -> None:
        """Remove the hidden parts; never raises."""
        for name in self._names:
            with contextlib.suppress(OSError):
                self._epochs.hidden(name).unlink()
