"""Who may write to a folder on a storage without locks: claims, of which the greatest counts.

A claim is a file `claims/<generation>.<token>.<job>`. A process puts its own, and lists them then:
if there is a greater one, it gives up. Whoever commits puts down what it commits, and lists them
then: so either it sees the claim of a newer process, or that one sees what was committed (as in
`state/claims.py`, where the token is yet to be found).

A generation is the time that one job has the folder, since tokens of two jobs cannot be compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from eventtime.errors import FencedError
from eventtime.sinks.epochs import check_token, fenced
from eventtime.state.storage import TEMPORARY

if TYPE_CHECKING:
    from eventtime.state.storage import Storage

__all__ = ("Fence", "Rank")

_CLAIMS: Final = "claims"
_NAME: Final = re.compile(r"(\d{1,18})\.(\d{1,18})\.([0-9a-f]{16})")


class Rank(NamedTuple):
    """What processes are compared by.

    Args:
        generation: how many jobs have had the folder.
        token: of the process.
        job: sixteen hexadecimal digits.
    """

    generation: int
    token: int
    job: str

    def __str__(self) -> str:
        return f"{self.generation}.{self.token}.{self.job}"

    @classmethod
    def parse(cls, name: str) -> Rank | None:
        """Return the rank in a name; None if it is no such name."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(int(found[1]), int(found[2]), found[3])


class Fence:
    """The claims on a folder, as one job sees them.

    Args:
        storage: of what is in the folder and not for readers.
        job: any text.
        target: the folder, for messages.
    """

    def __init__(self, storage: Storage, job: str, target: str) -> None:
        self._storage = storage
        self._job = hashlib.sha256(job.encode()).hexdigest()[:16]
        self._target = target

    def take(self, token: int) -> Rank:
        """Claim the folder; whoever has claimed it before is fenced off.

        Raises:
            FencedError: a newer process has claimed it.
            OSError: the storage failed.
        """
        newest = self._newest()
        generation = 1
        if newest is not None and newest.job == self._job:
            check_token(newest.token, token, self._target)
            generation = newest.generation
        elif newest is not None:
            generation = newest.generation + 1
        mine = Rank(generation, token, self._job)
        self.put(mine, f"{_CLAIMS}/{mine}", b"")
        self.check(mine)
        return mine

    def check(self, mine: Rank) -> None:
        """Make sure that nobody has claimed the folder since.

        Raises:
            FencedError: somebody has, or has removed all claims.
            OSError: the storage failed.
        """
        newest = self._newest()
        if newest != mine:
            raise self._fenced(mine, newest)

    def put(self, mine: Rank, name: str, data: bytes) -> None:
        """Write a small file.

        Raises:
            FencedError: a newer process has claimed the folder, and swept what was half written.
            OSError: the storage failed.
        """
        try:
            self._storage.put(name, data)
        except OSError as error:
            newest = None
            with contextlib.suppress(OSError):
                newest = self._newest()
            if newest is None or newest <= mine:
                raise
            raise self._fenced(mine, newest) from error

    def forget_older(self, mine: Rank) -> None:
        """Remove claims that say nothing any more."""
        names = self._storage.list(_CLAIMS)
        ranks = ((name, Rank.parse(name.removesuffix(TEMPORARY))) for name in names)
        self._storage.delete(f"{_CLAIMS}/{name}" for name, rank in ranks if rank and rank < mine)

    def _newest(self) -> Rank | None:
        ranks = (Rank.parse(name) for name in self._storage.list(_CLAIMS))
        return max((rank for rank in ranks if rank is not None), default=None)

    def _fenced(self, mine: Rank, newest: Rank | None) -> FencedError:
        if newest is not None and newest.job == mine.job:
            return fenced(newest.token, mine.token, self._target)
        msg = f"the folder {self._target!r} is no longer an output of this job"
        return FencedError(msg, place=self._target, remedy="let this process end")
