"""Deleting what no checkpoint needs: marked from the manifests that stay, never counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import CheckpointError
from eventtime.state.claims import claimed_token
from eventtime.state.manifest import CLAIMS, MANIFESTS, PACKS, Manifest, Name, read_manifest
from eventtime.state.storage import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from eventtime.state.storage import Storage

__all__ = ("Sweeper",)


class Sweeper:
    """Sweeps after each checkpoint that is durable and not fenced off.

    Never before: what lies there without a manifest may be the pack of an older process that is
    about to publish. Once a checkpoint with a newer token is there, that of the older one is never
    started from.

    Args:
        storage: to be swept.
        keep: so many checkpoints stay, the newest.
        token: of the process that sweeps; claims that are older say nothing any more.
    """

    def __init__(self, storage: Storage, keep: int, token: int) -> None:
        self._storage = storage
        self._keep = keep
        self._token = token
        self._packs: dict[Name, set[str]] = {}
        self.failure: OSError | None = None

    def sweep(self, newest: Manifest) -> None:
        """Delete older checkpoints, packs that none of those left names, and what attempts left.

        Args:
            newest: what newer ones write, or are about to, is not touched.
        """
        self.failure = None
        try:
            self._sweep(newest)
        except OSError as error:
            self.failure = error

    def _sweep(self, newest: Manifest) -> None:
        self._packs[newest.name] = {pack.name for pack in newest.packs}
        manifests = self._storage.list(MANIFESTS)
        packs = self._storage.list(PACKS)
        if any(name > newest.name for file in manifests if (name := Name.parse(file))):
            return  # a newer process sweeps
        staying, needed = self._marked(manifests, packs.keys())
        self._delete(MANIFESTS, _not_after(newest.name, manifests), staying)
        if needed is not None:
            self._delete(PACKS, _not_after(newest.name, packs), needed)
        claims = {file: claimed_token(_stem(file)) for file in self._storage.list(CLAIMS)}
        older = (file for file, token in claims.items() if token and token < self._token)
        self._delete(CLAIMS, older, set())

    def _marked(
        self, manifests: dict[str, int], packs: Collection[str]
    ) -> tuple[set[str], set[str] | None]:
        """Return the manifests that stay, and the packs they need; None: that cannot be told."""
        staying: set[str] = set()
        needed: set[str] = set()
        is_clear = True
        names = sorted((name for file in manifests if (name := Name.parse(file))), reverse=True)
        for name in names:
            if len(staying) == self._keep:
                break
            try:
                named = self._named(name, manifests[str(name)])
            except CheckpointError:  # a copy may be put back
                staying.add(str(name))
                is_clear = False
                continue
            # What an older process published after its pack was swept is no checkpoint.
            if named.issubset(packs):
                staying.add(str(name))
                needed |= named
        self._packs = {name: self._packs[name] for name in names if name in self._packs}
        return staying, needed if is_clear else None

    def _named(self, name: Name, size: int) -> set[str]:
        """Return the packs that a manifest names; each is read once."""
        if name not in self._packs:
            data = self._storage.read(f"{MANIFESTS}/{name}", 0, size).to_pybytes()
            manifest = read_manifest(data, name, f"{self._storage.place}, {MANIFESTS}/{name}")
            self._packs[name] = {pack.name for pack in manifest.packs}
        return self._packs[name]

    def _delete(self, folder: str, files: Iterable[str], staying: set[str]) -> None:
        self._storage.delete([f"{folder}/{file}" for file in files if file not in staying])


def _stem(file: str) -> str:
    return file.removesuffix(TEMPORARY)


def _not_after(newest: Name, files: Iterable[str]) -> Iterator[str]:
    """Files that are not those of a newer process, which may be at work on them."""
    return (file for file in files if (name := Name.parse(_stem(file))) and name <= newest)
