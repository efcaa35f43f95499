"""Epochs as part files on a file system of pyarrow, which locks nothing and may copy to rename.

    out/.part-00000007-0.parquet.1.3.partial          1. written whole, hidden, by token 3
    out/_eventtime/epochs/1.3.<job>.7                 2. put: epoch 7 is committed,
    out/_eventtime/claims/…                              if nobody has claimed the folder by then
    out/part-00000007-0.parquet                       3. moved

Each process has records of its own, and goes on from the newest that it finds once its claim is
there: what an older one puts down later counts no more. So nothing has to be replaced in one step;
all that is asked of the file system is that a file appears whole, and that a listing shows it then.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import SinkError
from eventtime.sinks.epochs import check_job
from eventtime.sinks.fence import Fence, Rank
from eventtime.sinks.part_files import (
    NOTHING,
    OURS,
    PartsWriter,
    hidden_name,
    is_hidden,
    read_record,
    record,
)
from eventtime.sinks.remote import remote_error
from eventtime.sinks.staging import exists_error, refuse_strangers
from eventtime.state.arrow_storage import ArrowStorage, forget_listings
from eventtime.state.storage import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyarrow.fs import FileSystem

__all__ = ("RemoteFolderEpochs",)

_EPOCHS: Final = "epochs"
_BY: Final = re.compile(r"\.(\d+)\.(\d+)\.partial$")


class RemoteFolderEpochs:
    """Writes each epoch as part files; see `EpochWriter`.

    Each part appears whole. If an epoch has more than one, for several days, they appear one after
    the other. An epoch without rows has none.

    Not guaranteed: that the parts of a job which another one replaces with `overwrite` stay away,
    if a process of it is writing at that moment.

    Args:
        filesystem: that the folder is on.
        folder: made if it is not there.
        parts: writes the rows of an epoch.
        job: whose epochs these are.
        overwrite: replace what another job or run wrote.

    Raises:
        OutputExistsError: the folder holds files that another job or run wrote.
        SinkError: the file system cannot be read.
    """

    def __init__(
        self, filesystem: FileSystem, folder: str, parts: PartsWriter, *, job: str, overwrite: bool
    ) -> None:
        check_job(job)
        self._fs = filesystem
        self._target = self._folder = folder
        self._storage = ArrowStorage(filesystem, f"{folder}/{OURS}")
        self._parts = parts
        self._job = job
        self._overwrite = overwrite
        self._fence = Fence(self._storage, job, folder)
        self._made: set[str] = set()
        self._mine: Rank | None = None
        # What is committed; None: that has to be looked up, since a call has failed.
        self._last: dict[str, Any] | None = None
        with self._naming():
            if self._newest()["job"] != job:
                self._refuse_what_is_there()

    def recover(self, token: int) -> int:
        """Claim the folder; complete an epoch that was committed, remove what was not."""
        with self._naming():
            self._last = None
            self._mine = mine = self._fence.take(token)
            last = self._newest()
            if last["job"] != self._job:
                last = {**NOTHING, "clears": True, "by": ""}
            # From here on what older processes put down counts no more.
            self._put(last)
            self._fence.check(mine)
            if last["clears"]:
                self._clear()
                self._put({**last, "clears": False})
            self._reveal(last)
            # Not those of a newer process, which may be about to commit them.
            self._delete(name for name in self._walk() if is_hidden(name) and _by(name) <= mine[:2])
            self._forget_older(last["epoch"])
            self._fence.forget_older(mine)
            self._last = last
        return int(last["epoch"])

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Write the parts of an epoch, and publish them."""
        assert self._mine is not None, "recover comes first"
        with self._naming():
            last = self._newest() if self._last is None else self._last
            self._fence.check(self._mine)
            if self._last is None:
                self._reveal(last)
                self._last = last
            if epoch > last["epoch"]:
                self._parts.write(_Parts(self, epoch, self._fs), epoch, batches)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def publish(self, epoch: int, names: list[str]) -> None:
        """Commit an epoch whose parts are there under their hidden names."""
        assert self._mine is not None
        assert self._last is not None
        before, self._last = self._last, None
        last = {"epoch": epoch, "parts": names, "clears": False, "by": self.by}
        self._put(last)
        self._fence.check(self._mine)
        self._reveal(last)
        self._storage.delete([f"{_EPOCHS}/{self._mine}.{before['epoch']}"])
        self._last = last

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it, if this process has not."""
        if path not in self._made:
            self._fs.create_dir(path, recursive=True)
            self._made.add(path)

    @property
    def by(self) -> str:
        """What the hidden names of this process have in them."""
        assert self._mine is not None
        return f".{self._mine.generation}.{self._mine.token}"

    def path(self, name: str) -> str:
        """Where a file is."""
        return f"{self._folder}/{name}"

    @property
    def target(self) -> str:
        """The folder, for messages."""
        return self._target

    def _put(self, last: dict[str, Any]) -> None:
        assert self._mine is not None
        data = record(
            self._job,
            self._mine.token,
            last["epoch"],
            last["parts"],
            by=last["by"],
            clears=last["clears"],
        )
        self._fence.put(self._mine, f"{_EPOCHS}/{self._mine}.{last['epoch']}", data)

    def _newest(self) -> dict[str, Any]:
        """The newest record; `NOTHING` if there is none."""
        while True:
            sizes = self._storage.list(_EPOCHS)
            found = max((key for name in sizes if (key := _key(name))), default=None)
            if found is None:
                return NOTHING
            name = f"{found[0]}.{found[1]}"
            # One that is gone by now was replaced by a newer one.
            with contextlib.suppress(FileNotFoundError):
                data = self._storage.read(f"{_EPOCHS}/{name}", 0, sizes[name]).to_pybytes()
                return read_record(data, self.path(f"{OURS}/{_EPOCHS}/{name}"), self._target)

    def _reveal(self, last: dict[str, Any]) -> None:
        for name in last["parts"]:
            hidden = self.path(hidden_name(name, last["by"]))
            try:
                self._fs.move(hidden, self.path(name))
            except OSError:
                # One that is not there was moved before. Object stores have no error for that.
                if self._is_there(hidden) or not self._is_there(self.path(name)):
                    raise

    def _is_there(self, path: str) -> bool:
        forget_listings(self._fs)
        return bool(self._fs.get_file_info(path).is_file)

    def _forget_older(self, epoch: int) -> None:
        """Remove records that say nothing any more, and what attempts at some left."""
        assert self._mine is not None
        newest = self._mine, epoch
        names = [(name, _key(name.removesuffix(TEMPORARY))) for name in self._storage.list(_EPOCHS)]
        self._storage.delete(
            f"{_EPOCHS}/{name}" for name, key in names if key is not None and key < newest
        )

    def _refuse_what_is_there(self) -> None:
        if self._fs.get_file_info(self._folder).type.name == "File":
            msg = f"the output {self._target!r} is a file; part files need a folder"
            raise SinkError(msg, place=self._target, remedy="remove it or write elsewhere")
        records = f"{OURS}/{_EPOCHS}/"
        # A claim alone, or a record half-written, is nobody's.
        self._refuse(
            name
            for name in self._walk()
            if not name.startswith(f"{OURS}/")
            or (name.startswith(records) and not name.endswith(TEMPORARY))
        )

    def _clear(self) -> None:
        """Remove what the one wrote that is to be overwritten."""
        inside = (name for name in self._walk() if not name.startswith(f"{OURS}/"))
        self._delete(self._refuse(inside))

    def _refuse(self, inside: Iterable[str]) -> list[str]:
        names = list(inside)
        if names and not self._overwrite:
            raise exists_error(self._target)
        refuse_strangers(self._target, names)
        return names

    def _walk(self) -> list[str]:
        from pyarrow import fs

        forget_listings(self._fs)
        place = fs.FileSelector(self._folder, recursive=True, allow_not_found=True)
        found = self._fs.get_file_info(place)
        return [it.path[len(self._folder) :].lstrip("/") for it in found if it.is_file]

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._fs.delete_file(self.path(name))

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise remote_error(self._target, self._fs, error) from error


def _key(name: str) -> tuple[Rank, int] | None:
    """Whose record it is, and of which epoch; None if it is none."""
    whose, _, epoch = name.rpartition(".")
    rank = Rank.parse(whose)
    return None if rank is None or not epoch.isdecimal() else (rank, int(epoch))


def _by(hidden: str) -> tuple[int, ...]:
    """Generation and token in a hidden name; of another kind of name: none."""
    found = _BY.search(hidden)
    return () if found is None else (int(found[1]), int(found[2]))


class _Parts:
    """The hidden parts of one epoch; a `Staging`."""

    def __init__(self, epochs: RemoteFolderEpochs, epoch: int, filesystem: FileSystem) -> None:
        self._epochs = epochs
        self._fs = filesystem
        self._epoch = epoch
        self._names: list[str] = []
        self.target = epochs.target

    def stream(self, name: str) -> pa.NativeFile:
        """Start a part."""
        path = self._epochs.path(hidden_name(name, self._epochs.by))
        self._epochs.make_folder(path.rpartition("/")[0])
        self._names.append(name)
        return self._fs.open_output_stream(path, compression=None)

    def settle(self, name: str) -> None:
        """A closed stream is as durable as the file system makes it."""

    def publish(self) -> None:
        """Commit."""
        # From here on they are no longer ours to discard: the record may name them.
        names, self._names = self._names, []
        self._epochs.publish(self._epoch, names)

    def discard(self) -> None:
        """Remove the hidden parts; never raises."""
        for name in self._names:
            with contextlib.suppress(Exception):
                self._fs.delete_file(self._epochs.path(hidden_name(name, self._epochs.by)))
