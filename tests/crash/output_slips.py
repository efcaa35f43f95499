"""Slips in how outputs are published: each breaks one rule, and nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from crash.slips import (
    put_in_place,
    put_without_syncing_bytes,
    put_without_syncing_the_folder,
)
from eventtime.sinks import folders
from eventtime.sinks.folders import FolderEpochs, _Parts
from eventtime.sinks.staging import LocalFile, LocalFolder
from eventtime.state import storage
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.state.storage import Disk

__all__ = ("SLIPS", "slipped")

Patches = list[tuple[Any, str, Any]]
_discard = LocalFile.discard
_recover = FolderEpochs.recover
_publish_folder = LocalFolder.publish
_put_back = LocalFolder._put_back


def settle_nothing(self: Any, name: str) -> None:
    """Leave the bytes to the system."""


def publish_without_syncing_the_folder(self: LocalFile) -> None:
    self._disk.rename(str(self._partial), str(self._final))


def publish_then_sync(self: LocalFile) -> None:
    self._disk.rename(str(self._partial), str(self._final))
    self._disk.sync_file(str(self._final))
    self._disk.sync_folder(str(self._final.parent))


def publish_by_unlinking_first(self: LocalFile) -> None:
    with contextlib.suppress(FileNotFoundError):
        self._disk.unlink(str(self._final))
    self._disk.rename(str(self._partial), str(self._final))
    self._disk.sync_folder(str(self._final.parent))


def write_in_place(self: LocalFile, name: str) -> Any:
    return self._disk.stream(str(self._final))


def settle_in_place(self: LocalFile, name: str) -> None:
    self._disk.sync_file(str(self._final))


def publish_in_place(self: LocalFile) -> None:
    self._disk.sync_folder(str(self._final.parent))
    _discard(self)


def publish_without_removing(self: LocalFile) -> None:
    data = self._disk.read(str(self._partial), 0, 1 << 20)
    handle = self._disk.create(f"{self._partial}.2")
    self._disk.write(handle, memoryview(data))
    self._disk.sync(handle)
    self._disk.close(handle)
    self._disk.rename(f"{self._partial}.2", str(self._final))
    self._disk.sync_folder(str(self._final.parent))


def publish_parts_without_syncing_folders(self: _Parts) -> None:
    names, self._names = self._names, []
    self._epochs.publish(self._epoch, self._token, names)


def publish_parts_without_syncing_the_root(self: _Parts) -> None:
    self._epochs.sync_folders(self._names)
    publish_parts_without_syncing_folders(self)


def publish_parts_then_sync(self: _Parts) -> None:
    names, self._names = self._names, []
    self._epochs.publish(self._epoch, self._token, names)
    for name in names:
        self._disk.sync_file(self._epochs.path(name))
    self._epochs.sync_folders([*names, ""])


def reveal_then_record(self: FolderEpochs, epoch: int, token: int, names: list[str]) -> None:
    self._reveal(names)
    self._write_record(epoch, token, names)


def record_and_leave(self: FolderEpochs, epoch: int, token: int, names: list[str]) -> None:
    self._write_record(epoch, token, names)
    for name in names[:1]:
        with contextlib.suppress(FileNotFoundError):
            self._disk.rename(self.hidden(name), self.path(name))
    self._all_revealed = True


def record_no_parts(self: FolderEpochs, epoch: int, token: int, names: list[str]) -> None:
    self._write_record(epoch, token, [])
    self._reveal(names)


def reveal_without_syncing(self: FolderEpochs, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            self._disk.rename(self.hidden(name), self.path(name))
    self._all_revealed = True


def reveal_up_to_the_first_that_is_done(self: FolderEpochs, names: list[str]) -> None:
    with contextlib.suppress(FileNotFoundError):
        for name in names:
            self._disk.rename(self.hidden(name), self.path(name))
    self.sync_folders(names)
    self._all_revealed = True


def recover_what_is_not_durable(self: FolderEpochs, token: int) -> int:
    record = self._record()
    if record["job"] == self._job:
        self._reveal(record["parts"])
    return _recover(self, token)


def recover_without_revealing(self: FolderEpochs, token: int) -> int:
    with patch.object(FolderEpochs, "_reveal", lambda *_: None):
        return _recover(self, token)


def clear_without_syncing(self: FolderEpochs) -> None:
    for name in self._inside():
        self._disk.unlink(self.path(name))


def clear_and_sync_what_it_removed(self: FolderEpochs) -> None:
    names = self._inside()
    clear_without_syncing(self)
    self.sync_folders(names)


def keep_the_others(self: FolderEpochs) -> None:
    """Clear nothing."""


def make_without_syncing(disk: Disk, path: str) -> None:
    with contextlib.suppress(FileExistsError):
        disk.mkdir(path)


def never_hidden(self: FolderEpochs, name: str) -> str:
    return self.path(name)


def publish_folders_without_syncing_them(self: LocalFolder) -> None:
    with patch.object(self._disk, "folders", lambda _: []):
        _publish_folder(self)


def publish_folder_without_syncing_its_name(self: LocalFolder) -> None:
    above = str(self._final.parent)
    sync = self._disk.sync_folder
    with patch.object(self._disk, "sync_folder", lambda path: path == above or sync(path)):
        _publish_folder(self)


def publish_folder_by_removing_first(self: LocalFolder) -> None:
    with contextlib.suppress(FileNotFoundError):
        self._disk.rmtree(str(self._final))
    _publish_folder(self)


def remove_what_stepped_aside_at_once(self: LocalFolder) -> None:
    with contextlib.suppress(OSError):
        self._disk.rmtree(str(self._replaced))
    self._disk.sync_folder(str(self._final.parent))


def put_back_before_it_is_durable(self: LocalFolder) -> None:
    with patch.object(LocalFolder, "_remove_replaced", remove_what_stepped_aside_at_once):
        _put_back(self)


def leave_what_stepped_aside(self: LocalFolder) -> None:
    self._disk.sync_folder(str(self._final.parent))


def put_nothing_back(self: LocalFolder) -> None:
    with contextlib.suppress(OSError):
        self._disk.rmtree(str(self._replaced))


_IN_FILES: Final[dict[str, Patches]] = {
    "the bytes are not synced": [(LocalFile, "settle", settle_nothing)],
    "the bytes are synced under the final name": [
        (LocalFile, "settle", settle_nothing),
        (LocalFile, "publish", publish_then_sync),
    ],
    "the name is not synced": [(LocalFile, "publish", publish_without_syncing_the_folder)],
    "the file is written in place": [
        (LocalFile, "stream", write_in_place),
        (LocalFile, "settle", settle_in_place),
        (LocalFile, "publish", publish_in_place),
    ],
    "the hidden file is left": [(LocalFile, "publish", publish_without_removing)],
}
_IN_PLACE_OF_ANOTHER: Final[dict[str, Patches]] = {
    "the old file is removed first": [(LocalFile, "publish", publish_by_unlinking_first)],
}
_IN_FOLDERS: Final[dict[str, Patches]] = {
    "bytes in the folder are not synced": [(LocalFolder, "settle", settle_nothing)],
    "names in the folder are not synced": [
        (LocalFolder, "publish", publish_folders_without_syncing_them)
    ],
    "the folder's name is not synced": [
        (LocalFolder, "publish", publish_folder_without_syncing_its_name)
    ],
}
_IN_PLACE_OF_A_FOLDER: Final[dict[str, Patches]] = {
    "the old folder is removed first": [(LocalFolder, "publish", publish_folder_by_removing_first)],
    "the old folder is removed before the new one's name is synced": [
        (LocalFolder, "_remove_replaced", remove_what_stepped_aside_at_once)
    ],
    "the next run removes the old folder before the new one's name is synced": [
        (LocalFolder, "_put_back", put_back_before_it_is_durable)
    ],
    "the old folder is left": [(LocalFolder, "_remove_replaced", leave_what_stepped_aside)],
    "the old folder is not put back": [(LocalFolder, "_put_back", put_nothing_back)],
}
_IN_PARTS: Final[dict[str, Patches]] = {
    "bytes of parts are not synced": [(_Parts, "settle", settle_nothing)],
    "hidden names are not synced": [(_Parts, "publish", publish_parts_without_syncing_folders)],
    "new folders of parts are not synced": [
        (_Parts, "publish", publish_parts_without_syncing_the_root)
    ],
    "the record comes before its parts": [
        (_Parts, "settle", settle_nothing),
        (_Parts, "publish", publish_parts_then_sync),
    ],
    "parts show before the record": [(FolderEpochs, "publish", reveal_then_record)],
    "parts are never hidden": [(FolderEpochs, "hidden", never_hidden)],
    "only one part is renamed": [(FolderEpochs, "publish", record_and_leave)],
    "the record does not name its parts": [(FolderEpochs, "publish", record_no_parts)],
    "renames end at the first that is done": [
        (FolderEpochs, "_reveal", reveal_up_to_the_first_that_is_done)
    ],
    "renames are not synced": [(FolderEpochs, "_reveal", reveal_without_syncing)],
    "the record's bytes are not synced": [(LocalStorage, "put", put_without_syncing_bytes)],
    "the record's name is not synced": [(LocalStorage, "put", put_without_syncing_the_folder)],
    "the record is written in place": [(LocalStorage, "put", put_in_place)],
    "recovery trusts what it reads": [(FolderEpochs, "recover", recover_what_is_not_durable)],
    "recovery completes nothing": [(FolderEpochs, "recover", recover_without_revealing)],
    "recovery leaves hidden parts": [(folders, "is_hidden", lambda name: False)],
    "the folder is not synced": [
        (storage, "make_folder", make_without_syncing),
        (folders, "make_folder", make_without_syncing),
    ],
}
_IN_PLACE_OF_PARTS: Final[dict[str, Patches]] = {
    "the other job's parts stay": [(FolderEpochs, "_clear", keep_the_others)],
    "removing the other job's parts is not synced": [
        (FolderEpochs, "_clear", clear_without_syncing)
    ],
    "only what it removed itself is synced": [
        (FolderEpochs, "_clear", clear_and_sync_what_it_removed)
    ],
}
_SLOW: Final = ("the bytes are synced under the final name", "one file")
SLIPS: Final[dict[tuple[str, str], Patches]] = {
    (says, scenario): patches
    for scenario, slips in (
        ("one file", _IN_FILES),
        ("a new savepoint", _IN_FILES),
        ("a savepoint in place of another", _IN_FILES | _IN_PLACE_OF_ANOTHER),
        ("a whole folder", _IN_FOLDERS),
        ("a whole folder in place of another", _IN_PLACE_OF_A_FOLDER),
        ("parts", _IN_PARTS),
        ("parts in place of another job's", _IN_PLACE_OF_PARTS),
    )
    for says, patches in slips.items()
    if (says, scenario) != _SLOW
}
"""What is replaced, by what the slip is and the scenario in which it is seen."""


@contextlib.contextmanager
def slipped(patches: Patches) -> Iterator[None]:
    """Make a slip."""
    with contextlib.ExitStack() as stack:
        for target, attribute, new in patches:
            stack.enter_context(patch.object(target, attribute, new))
        yield
