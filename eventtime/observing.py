"""A live run watched from outside: its board, and the server that shows it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from eventtime.board import Board
from eventtime.errors import EventTimeError
from eventtime.report import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from eventtime.compiled import CompiledPlan
    from eventtime.live import Live

    T = TypeVar("T")

__all__ = ("observed", "watched")


@contextlib.contextmanager
def observed(plan: CompiledPlan, live: Live | None) -> Iterator[Board | None]:
    """Give a run a board while it lasts, if somebody wants to look at it.

    Args:
        plan: compiled.
        live: how it runs; None: it is a replay, which tells of its progress otherwise.

    Raises:
        SourceError: the port of the status page is in use.
    """
    if live is None or (live.ui is None and not live.observe):
        yield None
        return
    observers = [told(observer, place="live(observe=…)") for observer in live.observe]
    board = Board(live.clock, observers)
    with contextlib.ExitStack() as stack:
        if live.ui is not None:
            from eventtime.ui.server import StatusServer

            sources = [branch.source.describe() for branch in plan.branches]
            server = StatusServer(board, live.clock, live.ui, live.ui_token, sources)
            stack.callback(server.close)
            board.serves(server.url)
        try:
            yield board
        except KeyboardInterrupt:
            board.end("stopped")
            raise
        except BaseException:
            board.end("failed")
            raise


def watched(
    board: Board | None, attempt: Callable[[], T], is_tried_again: Callable[[Exception], bool]
) -> T:
    """Make one attempt at a run; the board learns that it begins, and how it failed."""
    if board is None:
        return attempt()
    board.begin()
    try:
        return attempt()
    except (EventTimeError, OSError) as error:
        board.failed(error, is_tried_again=is_tried_again(error))
        raise
