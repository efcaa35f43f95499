"""Claims on a storage: who came last writes, all others are fenced off.

A claim is a file `claims/<token>.<nonce>`. A process puts one whose token is greater than all that
are there, then lists them: if no other claim has its token or a greater one, the token is its own.
Two that came at once see each other, as each lists after it has put; both go on to other tokens.
So a storage need not create a file exclusively, which pyarrow cannot do on object stores.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import CheckpointError, FencedError
from eventtime.state.manifest import CLAIMS, MANIFESTS, Name
from eventtime.state.storage import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.state.storage import Storage

__all__ = ("Claim", "claimed_token")

_NAME: Final = re.compile(r"([1-9]\d{0,17})\.[0-9a-f]+")
_ATTEMPTS: Final = 20


def claimed_token(name: str) -> int | None:
    """Return the token in the name of a claim; None if it is no such name."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1])


class Claim:
    """The claim of this process.

    Args:
        storage: claimed.
        token: greater than that of every claim before.
    """

    def __init__(self, storage: Storage, token: int) -> None:
        self._storage = storage
        self.token = token

    @classmethod
    def take(
        cls, storage: Storage, says: dict[str, Any], nonce: Callable[[], str], *, above: int = 0
    ) -> Claim:
        """Claim a storage; whoever claimed it before is fenced off.

        Args:
            storage: to be claimed.
            says: who claims it and when, for messages.
            nonce: gives hexadecimal digits that nobody else has.
            above: a token of another storage that this one's is to be greater than.

        Raises:
            CheckpointError: others go on claiming it at the same time.
            OSError: the storage failed.
        """
        ahead = 0
        for _ in range(_ATTEMPTS):
            published = (Name.parse(name) for name in storage.list(MANIFESTS))
            begun = (claimed_token(name.removesuffix(TEMPORARY)) for name in storage.list(CLAIMS))
            tokens = [above, *(name.token for name in published if name), *filter(None, begun)]
            token = max(tokens) + 1 + ahead
            name = f"{token}.{nonce()}"
            data = json.dumps({"token": token, **says}).encode()
            try:
                storage.put(f"{CLAIMS}/{name}", data)
            except OSError:
                # Whoever came after us may have swept what was half written.
                if all(
                    theirs < token for other, theirs in _claims(storage).items() if other != name
                ):
                    raise
            rivals = [other for other, theirs in _claims(storage).items() if theirs >= token]
            if rivals == [name]:
                return cls(storage, token)
            ahead = sorted(rivals).index(name) if name in rivals else 0
        msg = f"other processes keep claiming the checkpoints in {storage.place!r}"
        remedy = "start one process for each folder of checkpoints"
        raise CheckpointError(msg, place=storage.place, remedy=remedy)

    def check(self) -> None:
        """Make sure that nobody has claimed the storage since.

        Raises:
            FencedError: somebody has; says who.
            OSError: the storage failed.
        """
        claims = _claims(self._storage)
        newest = max(claims, key=claims.__getitem__, default="")
        if not newest or claims[newest] <= self.token:
            return
        place = self._storage.place
        msg = (
            f"another process{self._who(newest)} has taken over the checkpoints in {place!r}: its"
            f" token is {claims[newest]}, ours {self.token}"
        )
        raise FencedError(msg, place=place, remedy="let this process end; the other one goes on")

    def _who(self, name: str) -> str:
        with contextlib.suppress(OSError, ValueError, KeyError):
            content = self._storage.read(f"{CLAIMS}/{name}", 0, 1 << 16).to_pybytes()
            return f" ({json.loads(content)['writer']})"
        return ""


def _claims(storage: Storage) -> dict[str, int]:
    """Token by name."""
    found = ((name, claimed_token(name)) for name in storage.list(CLAIMS))
    return {name: token for name, token in found if token is not None}
