"""Slips in the protocol: each breaks one of its rules, and nothing else."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from eventtime.state import checkpoints, storage, sweep
from eventtime.state.checkpoints import CheckpointStore
from eventtime.state.claims import Claim
from eventtime.state.manifest import CLAIMS, MANIFESTS, PACKS, Name
from eventtime.state.storage import TEMPORARY, LocalStorage, UnclearError, _LocalOutput
from eventtime.state.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventtime.state.storage import Disk, Output, Storage

__all__ = ("CRASHES", "FAILURES", "INTERLEAVINGS", "SLIPS", "slipped")

_put = LocalStorage.put
_take = Claim.take.__func__  # type: ignore[attr-defined]
_open = CheckpointStore.open.__func__  # type: ignore[attr-defined]
_sweep = Sweeper._sweep
_listed = checkpoints._listed
_write = CheckpointStore.write


def finish_without_syncing_bytes(self: _LocalOutput) -> None:
    self._release()
    self._disk.sync_folder(self._path.rpartition("/")[0])


def finish_without_syncing_the_folder(self: _LocalOutput) -> None:
    self.close()


def sync_again_if_it_failed(self: _LocalOutput) -> None:
    assert self._handle is not None
    try:
        self._disk.sync(self._handle)
    except OSError:
        self._disk.sync(self._handle)
    self._release()


def put_without_syncing_bytes(self: LocalStorage, name: str, data: bytes) -> None:
    output = self._create(name + TEMPORARY)
    output.write(data)
    output._release()
    self._disk.rename(self._path(name) + TEMPORARY, self._path(name))
    self._disk.sync_folder(self._path(name.partition("/")[0]))


def put_without_syncing_the_folder(self: LocalStorage, name: str, data: bytes) -> None:
    output = self._create(name + TEMPORARY)
    output.write(data)
    output.close()
    self._disk.rename(self._path(name) + TEMPORARY, self._path(name))


def put_in_place(self: LocalStorage, name: str, data: bytes) -> None:
    output = self._create(name)
    output.write(data)
    output.finish()


def create_without_syncing_folders(self: LocalStorage, name: str) -> _LocalOutput:
    path = self._path(name)
    for folder in (self.place, path.rpartition("/")[0]):
        with contextlib.suppress(FileExistsError):
            self._disk.mkdir(folder)
    return _LocalOutput(self._disk, path)


def make_trusting_what_is_there(disk: Disk, path: str) -> None:
    with contextlib.suppress(FileExistsError):
        disk.mkdir(path)
        disk.sync_folder(path.rpartition("/")[0])


_unfinished: list[Output] = []


class _Unfinished:
    """An output that is finished later."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self.write = output.write
        self.discard = output.discard

    def finish(self) -> None:
        _unfinished.append(self._output)


def write_and_finish_later(self: LocalStorage, name: str) -> _Unfinished:
    return _Unfinished(self._create(name))


def put_then_finish_the_pack(self: LocalStorage, name: str, data: bytes) -> None:
    _put(self, name, data)
    while _unfinished:
        _unfinished.pop().finish()


def delete_packs_first(self: Sweeper, newest: Any) -> None:
    storage: Any = _PacksFirst(self._storage)
    other = Sweeper(storage, self._keep, self._token)
    _sweep(other, newest)
    storage.rest()


class _PacksFirst:
    """A storage that puts off deleting everything but packs."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self._later: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def delete(self, names: Iterable[str]) -> None:
        found = list(names)
        if found and not found[0].startswith(PACKS):
            self._later.append(found)
        else:
            self._storage.delete(found)

    def rest(self) -> None:
        for names in self._later:
            self._storage.delete(names)


def delete_without_syncing(self: LocalStorage, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(self._path(name))


def put_after_sweeping(self: LocalStorage, name: str, data: bytes) -> None:
    if name.startswith(MANIFESTS):
        self.delete([f"{MANIFESTS}/{old}" for old in self.list(MANIFESTS)])
    _put(self, name, data)


def delete_all_but_the_newest_pack(
    self: Sweeper, manifests: dict[str, int], packs: Any
) -> tuple[set[str], set[str] | None]:
    newest = sorted(filter(None, map(Name.parse, manifests)))[-self._keep :]
    return set(map(str, newest)), set(map(str, newest))


def check_only_before(self: CheckpointStore, head: Any, blocks: Any) -> Any:
    self._claim.check()
    self._claim = _Unchecked(self._storage, self.token)
    return _write(self, head, blocks)


class _Unchecked(Claim):
    def check(self) -> None:
        """Trust."""


_early: list[Name] = []


def claim_after_listing(
    cls: type[Claim], storage: Storage, says: Any, nonce: Callable[[], str], *, above: int = 0
) -> Claim:
    found = _listed(storage)
    claim: Claim = _take(cls, storage, says, nonce, above=above)
    _early[:] = found
    return claim


def claim_without_looking_for_rivals(
    cls: type[Claim], storage: Storage, says: Any, nonce: Callable[[], str], *, above: int = 0
) -> Claim:
    names = [*storage.list(CLAIMS), *(name.replace("-", ".") for name in storage.list(MANIFESTS))]
    token = max((int(name.partition(".")[0]) for name in names), default=above) + 1
    storage.put(f"{CLAIMS}/{token}.{nonce()}", b"{}")
    return cls(storage, token)


def open_and_sweep(cls: Any, /, storage: Storage, **options: Any) -> CheckpointStore:
    store: CheckpointStore = _open(cls, storage, **options)
    newest = store.newest()
    if newest is not None:
        packs = {pack.name for pack in newest.manifest.packs}
        old = filter(None, map(Name.parse, storage.list(PACKS)))
        storage.delete([f"{PACKS}/{name}" for name in old if str(name) not in packs])
    return store


def every_file(newest: Name, files: Iterable[str]) -> Iterator[str]:
    return (file for file in files if Name.parse(file.removesuffix(TEMPORARY)))


def write_under_the_same_name_again(self: CheckpointStore, head: Any, blocks: Any) -> Any:
    before = self._seq
    try:
        return _write(self, head, blocks)
    except Exception:
        self._seq = before
        raise


class NeverError(UnclearError):
    """Not what a storage raises."""


@dataclass(frozen=True)
class Slip:
    """What is replaced, and which explorer sees it."""

    seen_in: str
    patches: list[tuple[Any, str, Any]]


CRASHES: Final = "crashes"
FAILURES: Final = "failures"
INTERLEAVINGS: Final = "interleavings"
SLIPS: Final = {
    "a pack's bytes are not synced": Slip(
        CRASHES, [(_LocalOutput, "finish", finish_without_syncing_bytes)]
    ),
    "a pack's name is not synced": Slip(
        CRASHES, [(_LocalOutput, "finish", finish_without_syncing_the_folder)]
    ),
    "a manifest's bytes are not synced": Slip(
        CRASHES, [(LocalStorage, "put", put_without_syncing_bytes)]
    ),
    "a manifest's name is not synced": Slip(
        CRASHES, [(LocalStorage, "put", put_without_syncing_the_folder)]
    ),
    "a manifest is written in place": Slip(CRASHES, [(LocalStorage, "put", put_in_place)]),
    "new folders are not synced": Slip(
        CRASHES, [(LocalStorage, "_create", create_without_syncing_folders)]
    ),
    "folders that are there are trusted": Slip(
        FAILURES, [(storage, "make_folder", make_trusting_what_is_there)]
    ),
    "the manifest comes before its pack": Slip(
        CRASHES,
        [
            (LocalStorage, "write", write_and_finish_later),
            (LocalStorage, "put", put_then_finish_the_pack),
        ],
    ),
    "packs are deleted before manifests": Slip(CRASHES, [(Sweeper, "_sweep", delete_packs_first)]),
    "deleting is not synced": Slip(CRASHES, [(LocalStorage, "delete", delete_without_syncing)]),
    "the sweep comes before the commit": Slip(CRASHES, [(LocalStorage, "put", put_after_sweeping)]),
    "packs of older checkpoints are not marked": Slip(
        CRASHES, [(Sweeper, "_marked", delete_all_but_the_newest_pack)]
    ),
    "opening sweeps": Slip(CRASHES, [(CheckpointStore, "open", classmethod(open_and_sweep))]),
    "claims are not checked again": Slip(
        INTERLEAVINGS, [(CheckpointStore, "write", check_only_before)]
    ),
    "checkpoints are listed before claiming": Slip(
        INTERLEAVINGS,
        [
            (Claim, "take", classmethod(claim_after_listing)),
            (checkpoints, "_listed", lambda _: list(_early)),
        ],
    ),
    "rivals are not looked for": Slip(
        INTERLEAVINGS, [(Claim, "take", classmethod(claim_without_looking_for_rivals))]
    ),
    "the sweep takes what newer processes write": Slip(
        INTERLEAVINGS, [(sweep, "_not_after", every_file)]
    ),
    "a sync that failed is tried again": Slip(
        FAILURES, [(_LocalOutput, "close", sync_again_if_it_failed)]
    ),
    "the pack of a manifest that may be there is deleted": Slip(
        FAILURES, [(checkpoints, "UnclearError", NeverError)]
    ),
    "a name is used again": Slip(
        FAILURES, [(CheckpointStore, "write", write_under_the_same_name_again)]
    ),
}


@contextlib.contextmanager
def slipped(name: str) -> Iterator[None]:
    """Make a slip."""
    _unfinished.clear()
    with contextlib.ExitStack() as stack:
        for target, attribute, new in SLIPS[name].patches:
            stack.enter_context(patch.object(target, attribute, new))
        yield
