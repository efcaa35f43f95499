"""Opening a journal: to be written while a run lasts, or to be played."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING

from eventtime.checks import shown
from eventtime.errors import JournalError, PlanError
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.journal.file import JournalFile, JournalLike
    from eventtime.journal.playing import Player
    from eventtime.journal.recording import Recorder

__all__ = ("file_of", "journalled", "player_of")


@contextlib.contextmanager
def journalled(journal: JournalLike | Player | None) -> Iterator[Recorder | Player | None]:
    """Have a run's journal written while it lasts, or its journal played.

    Raises:
        JournalError: it cannot be written, or is no journal.
        PlanError: it is neither a path nor a file.
    """
    if journal is None:
        yield None
        return
    from eventtime.journal.playing import Player
    from eventtime.journal.recording import Recorder

    if isinstance(journal, Player):
        yield journal
        return
    file = file_of(journal, place="run(journal=…)")
    recorder = Recorder(file)
    _tell_torn(recorder.torn, file.place, "cut away")
    try:
        yield recorder
    finally:
        recorder.close()


def player_of(journal: JournalLike, *, place: str) -> Player:
    """Read a journal, to play it.

    Raises:
        JournalError: it is not there, cannot be read, is no journal, or is damaged before its end.
        PlanError: it is neither a path nor a file.
    """
    from eventtime.journal.file import stored
    from eventtime.journal.playing import Player
    from eventtime.journal.story import story_of

    file = file_of(journal, place=place)
    if isinstance(journal, str | os.PathLike) and not os.path.lexists(journal):
        msg = f"there is no file {file.place!r}"
        raise JournalError(msg, place=place, remedy="name one that run(journal=…) has written")
    found = stored(file)
    _tell_torn(found.torn, file.place, "left out")
    return Player(story_of(found.entries, file.place), file.place)


def file_of(journal: object, *, place: str) -> JournalFile:
    """Take an argument: a path, or what a journal can be written to."""
    from eventtime.journal.file import LocalJournal

    if isinstance(journal, str | os.PathLike):
        return LocalJournal(journal)
    if not callable(getattr(journal, "append", None)) or not hasattr(journal, "sync"):
        msg = f"{shown(journal)} is no place for a journal"
        raise PlanError(msg, place=place, remedy="give the path of a file")
    file: JournalFile = journal  # type: ignore[assignment]
    return file


def _tell_torn(torn: int, place: str, done: str) -> None:
    if torn:
        text = (
            f"the last {counted(torn, 'byte')} of the journal {place!r}, which a process that was"
            f" killed had begun to write, are {done}"
        )
        warnings.warn(text, RuntimeWarning, stacklevel=4)
