"""Every crash point of part files, and of the recovery from it; each slip is found (S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crash.folder_explorer import Wrong, explore_folder
from eventtime.sinks.folder_disk import DiskFile
from eventtime.sinks.folders import FolderEpochs, _Parts

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_crash_anywhere_leaves_whole_parts_and_loses_no_epoch() -> None:
    once, twice = explore_folder()
    assert once > 60
    assert twice > 400


def parts_are_not_synced(self: DiskFile) -> None:
    if not self.closed:
        self.closed = True
        self.flush()
        self._disk.close(self._handle)


def hidden_names_are_not_synced(self: Any) -> None:
    names, self._names = self._names, []
    self._epochs.publish(self._epoch, self._token, names)


def parts_show_before_the_record(self: Any, epoch: int, token: int, names: list[str]) -> None:
    self._reveal(names)
    self._write_record(epoch, token, names)


def parts_do_not_show(self: Any, epoch: int, token: int, names: list[str]) -> None:
    self._write_record(epoch, token, names)


def the_record_names_no_parts(self: Any, epoch: int, token: int, names: list[str]) -> None:
    self._write_record(epoch, token, [])
    self._reveal(names)


def folders_are_not_synced(self: Any, path: str) -> None:
    try:
        self.disk.mkdir(path)
    except FileExistsError:
        return


def renames_end_at_the_first_that_is_done(self: Any, names: list[str]) -> None:
    try:
        for name in names:
            self.disk.rename(self.hidden(name), self.path(name))
    except FileNotFoundError:
        return  # and the others of the epoch stay hidden


@pytest.mark.parametrize(
    ("where", "method", "slip"),
    [
        (DiskFile, "close", parts_are_not_synced),
        (_Parts, "publish", hidden_names_are_not_synced),
        (FolderEpochs, "publish", parts_show_before_the_record),
        (FolderEpochs, "publish", parts_do_not_show),
        (FolderEpochs, "publish", the_record_names_no_parts),
        (FolderEpochs, "make", folders_are_not_synced),
        (FolderEpochs, "_reveal", renames_end_at_the_first_that_is_done),
    ],
)
def test_each_slip_is_found(
    where: type, method: str, slip: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, method, slip)
    # A folder that did not survive is one that the disk does not know.
    with pytest.raises((Wrong, KeyError)):
        explore_folder()
