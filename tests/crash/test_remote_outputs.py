"""Two processes on one folder of an object store, in every order of their requests (S27, S28).

A sample of it, with up to two switches; under HYPOTHESIS_PROFILE=nightly all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import pytest

from crash.explorer import Wrong
from crash.interleaving import calls_of, schedules
from crash.remote_outputs import Writer, take_turns, used_store
from eventtime.errors import EventTimeError
from eventtime.sinks import remote_folders
from eventtime.sinks.fence import Fence, Rank
from eventtime.sinks.remote_folders import RemoteFolderEpochs

if TYPE_CHECKING:
    from collections.abc import Callable

    from crash.simulated_store import SimulatedStore

NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
_put, _recover = RemoteFolderEpochs._put, RemoteFolderEpochs.recover
EVERY: Final = 1 if NIGHTLY else 7
KILLS: Final[dict[str, tuple[int, ...]]] = {"none": (), "the older": (0,), "the newer": (1,)}


@pytest.mark.parametrize("to_kill", KILLS.values(), ids=KILLS)
def test_two_processes_leave_each_epoch_once(to_kill: tuple[int, ...]) -> None:
    store = used_store()
    found = schedules(calls_of(store, Writer(2)))
    assert len(found) > 1_000
    for turns in found[len(to_kill) :: EVERY]:
        take_turns(store, turns, to_kill)


def claim_without_looking(self: Fence, mine: Rank) -> None:
    """Fence nobody off."""


def reveal_then_record(self: RemoteFolderEpochs, epoch: int, names: list[str]) -> None:
    assert self._mine is not None
    last = {"epoch": epoch, "parts": names, "clears": False, "by": self.by}
    self._fence.check(self._mine)
    self._reveal(last)
    self._put(last)
    self._last = last


def record_without_looking(self: RemoteFolderEpochs, epoch: int, names: list[str]) -> None:
    last = {"epoch": epoch, "parts": names, "clears": False, "by": self.by}
    self._put(last)
    self._reveal(last)
    self._last = last


def put_only_later(self: RemoteFolderEpochs, last: dict[str, Any]) -> None:
    """Go on from what another process put down, without a record of one's own."""
    if last["epoch"] > 2:
        _put(self, last)


def recover_by_an_old_look(self: RemoteFolderEpochs, token: int) -> int:
    last = self._newest()
    with patch.object(self, "_newest", lambda: last):
        return _recover(self, token)


SLIPS: Final[dict[str, tuple[Any, str, Callable[..., Any]]]] = {
    "nobody looks at claims": (Fence, "check", claim_without_looking),
    "parts show before the record": (RemoteFolderEpochs, "publish", reveal_then_record),
    "claims are not looked at behind the record": (
        RemoteFolderEpochs,
        "publish",
        record_without_looking,
    ),
    "recovery puts nothing down": (RemoteFolderEpochs, "_put", put_only_later),
    "recovery reads before it claims": (RemoteFolderEpochs, "recover", recover_by_an_old_look),
    "recovery removes what newer processes hide": (remote_folders, "_by", lambda name: ()),
    "hidden names are those of other processes": (
        remote_folders,
        "hidden_name",
        lambda name, by: f".{name}.partial",
    ),
}


@pytest.mark.parametrize("says", SLIPS)
def test_a_slip_is_noticed(says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = used_store()
    target, name, new = SLIPS[says]
    monkeypatch.setattr(target, name, new)
    with pytest.raises((Wrong, EventTimeError)):
        every_schedule(store)


def every_schedule(store: SimulatedStore) -> None:
    for to_kill in KILLS.values():
        for turns in schedules(calls_of(store, Writer(2))):
            take_turns(store, turns, to_kill)
