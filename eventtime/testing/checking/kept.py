"""A folder of checkpoints that is in memory: the real ones, without a disk or a thread."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from eventtime.checkpoints import Checkpoints, Surroundings
from eventtime.state.storage import LocalStorage
from eventtime.testing.simulation.disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("kept_in_memory",)


def kept_in_memory() -> Checkpoints:
    """Return a new, empty folder, in which checkpoints are written when somebody asks for one."""
    numbers = itertools.count(1)
    storage = LocalStorage("/state", SimulatedDisk())
    within = Surroundings(storage, _AtOnce, lambda: f"{next(numbers):032x}")
    return Checkpoints("/state", every_us=None, within=within)


class _AtOnce(Executor):
    """Does what it is given before it says that it took it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            done.set_exception(error)
        return done
