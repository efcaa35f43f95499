"""A folder of checkpoints that is in memory: the real ones, without a disk or a thread."""

from __future__ import annotations

import itertools
from collections import defaultdict
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checkpoints import Checkpoints, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("kept_in_memory",)


def kept_in_memory() -> Checkpoints:
    """Return a new, empty folder, in which checkpoints are written when somebody asks for one."""
    numbers = itertools.count(1)
    within = Surroundings(_Memory(), _AtOnce, lambda: f"{next(numbers):032x}")
    return Checkpoints("/state", every_us=None, within=within)


class _Memory:
    """A `Storage` that never fails, and whose files are there once they are finished."""

    def __init__(self) -> None:
        self.place = "/state"
        self._folders: dict[str, dict[str, pa.Buffer]] = defaultdict(dict)

    def list(self, folder: str) -> dict[str, int]:
        return {name: data.size for name, data in self._folders[folder].items()}

    def settle(self, folder: str) -> None:
        """All is settled."""

    def read(self, name: str, offset: int, length: int) -> pa.Buffer:
        folder, _, file = name.partition("/")
        data = self._folders[folder].get(file)
        if data is None:
            raise FileNotFoundError(name)
        return data.slice(offset, min(length, data.size - offset))

    def put(self, name: str, data: bytes) -> None:
        folder, _, file = name.partition("/")
        self._folders[folder][file] = pa.py_buffer(data)

    def write(self, name: str) -> _Output:
        return _Output(self, name)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            folder, _, file = name.partition("/")
            self._folders[folder].pop(file, None)


class _Output:
    """A file of which nobody has heard before it is finished."""

    def __init__(self, storage: _Memory, name: str) -> None:
        self._storage, self._name = storage, name
        self._parts: list[bytes] = []

    def write(self, data: Any, /) -> None:
        self._parts.append(bytes(data))

    def finish(self) -> None:
        self._storage.put(self._name, b"".join(self._parts))

    def discard(self) -> None:
        self._parts.clear()


class _AtOnce(Executor):
    """Does what it is given before it says that it took it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            done.set_exception(error)
        return done
