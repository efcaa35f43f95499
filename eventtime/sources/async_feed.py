"""A feed whose work is one coroutine, on an event loop and a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from eventtime.sources.mail_feed import MailFeed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from eventtime.sources.mailbox import Mailbox

__all__ = ("AsyncFeed",)

_CLOSE_S: Final = 2.0
_NAP_S: Final = 0.005
_STEPS: Final = 5


class AsyncFeed(MailFeed):
    """Feeds the loop with what a coroutine puts in a mailbox.

    Args:
        work: runs until it is cancelled, or until nothing more can come.
        mail: holds the partitions known at the start.
        goes_on: whether partitions may come when all have ended.
        let_go: called at the end, also if the work never began.
        leaves: see `Mailbox.hand_back`.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        mail: Mailbox,
        *,
        goes_on: bool = True,
        let_go: Callable[[], None] = lambda: None,
        leaves: bool = False,
    ) -> None:
        super().__init__(mail)
        self._work, self._goes_on, self._let_go = work, goes_on, let_go
        self._leaves = leaves
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        self._mail.hand_back(leaves=self._leaves)
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._work())
        self._thread = threading.Thread(target=self._run, name="eventtime-feed", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._goes_on and self._mail.all_ended

    def cease(self) -> None:
        """End the work, and with it all that fills the mailbox (see `Accepting`)."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            assert self._task is not None
            loop.call_soon_threadsafe(self._task.cancel)
            thread.join(_CLOSE_S)

    def close(self) -> None:
        self.cease()
        self._let_go()

    @staticmethod
    async def room(mail: Mailbox, name: str) -> None:
        """Wait until more rows of a partition may be put."""
        while not mail.has_room(name):
            await asyncio.sleep(_NAP_S)

    @staticmethod
    async def steps() -> None:
        """Let everything that is about to happen happen."""
        for _ in range(_STEPS):
            await asyncio.sleep(0)

    def _run(self) -> None:
        loop, task = self._loop, self._task
        assert loop is not None
        assert task is not None
        with self._mail.failing(), contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(_ended())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def _ended() -> None:
    """End the tasks that are left; connections that were just accepted, or closed, need a step."""
    await AsyncFeed.steps()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await AsyncFeed.steps()
