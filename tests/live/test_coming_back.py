"""A partition that was elsewhere meanwhile, in a run that is done again from its journal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import eventtime as et
from eventtime.sources.feed import Ended, Found, Left, Stands
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox
from live.script import Script, rows
from live.test_following import counted
from live.test_following import run as run_script
from live.test_live_properties import assert_same_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from eventtime.clock import Clock
    from eventtime.sources.base import Position


class Whole(MailFeed):
    """All rows of both partitions, one a second, from where it is told to begin."""

    is_over = False

    def __init__(self, positions: Mapping[str, Position] | None) -> None:
        super().__init__(Mailbox())
        for name, step in (("a", 1), ("b", 2)):
            self._mail.add(name, is_found=False)
            for i in range((positions or {}).get(name, {"rows": 0})["rows"], 30):
                self._mail.put(name, rows(i * step), {"rows": i + 1})

    def start(self, wake: Callable[[], None]) -> None:
        """All is there."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Group(Script):
    """A member of a group as it was in a script; alone it has all rows."""

    opened: list[Mapping[str, Position] | None] = field(default_factory=list)
    is_alone: bool = False

    def alone(self) -> Group:
        return replace(self, is_alone=True)

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> Any:
        if not self.is_alone:
            return super().follow(columns, positions, clock)
        self.opened.append(positions)
        return Whole(positions)


def some(name: str, first: int, end: int) -> tuple[str, Any]:
    step = {"a": 1, "b": 2}[name]
    return name, rows(*range(first * step, end * step, step))


def test_it_is_read_on_where_it_came_back(tmp_path: Path) -> None:
    """S8: rows of the time in between are somebody else's; two at once share a feed."""
    script = Group([
        (0, Found("a")), (0, Stands("a", {"rows": 2})),
        (0, Found("b")), (0, Stands("b", {"rows": 0})),
        (1, *some("a", 2, 9)), (1, *some("b", 0, 5)),
        (2, Left("a")), (2, *some("b", 5, 7)),
        (3, Found("a")), (3, Stands("a", {"rows": 20})), (3, *some("a", 20, 25)),
        (4, Left("a")), (4, Left("b")),
        (5, Found("b")), (5, Stands("b", {"rows": 9})),
        (5, Found("a")), (5, Stands("a", {"rows": 25})),
        (6, *some("a", 25, 28)), (6, *some("b", 9, 12)),
        (7, Ended("a")), (7, Ended("b")),
    ], ())  # fmt: skip
    path = tmp_path / "run.journal"
    ran = run_script(script, journal=path)
    assert ran.ledger.total.rows_in == 7 + 7 + 5 + 3 + 3
    again = et.replay_journal(counted(script), path)
    assert_same_run(again, ran)
    assert script.opened == [
        {"a": {"rows": 2}, "b": {"rows": 0}},
        {"a": {"rows": 20}},
        {"a": {"rows": 25}, "b": {"rows": 9}},
    ]
