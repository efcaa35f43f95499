"""A thread that does one thing after another, beside the one that asks for it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Worker",)

_Done = TypeVar("_Done")


class Worker(Generic[_Done]):
    """The thread; a daemon, as the end of a process would wait for that of an executor.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], _Done], Future[_Done]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def ask(self, do: Callable[[], _Done]) -> Future[_Done]:
        """Let it do something, behind what it was asked for before."""
        done: Future[_Done] = Future()
        self._asked.put((do, done))
        return done

    def end(self) -> None:
        """Let it end when it is through."""
        self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            do, done = asked
            try:
                done.set_result(do())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is read
                done.set_exception(error)
