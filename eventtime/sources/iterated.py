"""Python iterators of record batches, plain or async, as live partitions."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError, SchemaError, SourceError
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.positions import check_known, checked
from eventtime.sources.schemas import check_columns, conform, difference, row_schema
from eventtime.timestamp import check_time

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position

__all__ = ("Batches", "IteratedSource")

Batches: TypeAlias = (
    "Iterable[Any] | AsyncIterable[Any] | Callable[[int], Iterable[Any] | AsyncIterable[Any]]"
)

_REMEDY: Final = "an iterable or async iterable of record batches, or a function that makes one"
_CLOSE_S: Final = 1.0
_ROOM_S: Final = 0.1
_NAP_S: Final = 0.005
_POSITION: Final = {"rows": int, "ended": bool}


@dataclass(frozen=True, eq=False)
class IteratedSource:
    """Iterators of record batches, each a partition; equal only to itself.

    Made by `eventtime.from_batches`.
    """

    parts: Mapping[str, Batches] = field(repr=False)
    known_schema: pa.Schema
    time: str
    time_unit: str | None = None
    reports_malformed: bool = False

    @classmethod
    def of(
        cls, data: Batches | Mapping[str, Batches], schema: object, time: str, unit: str | None
    ) -> IteratedSource:
        """Check the arguments.

        Raises:
            PlanError: one is of another kind.
        """
        check_time(time, unit)
        if not isinstance(schema, pa.Schema):
            msg = f"schema={shown(schema)} is no pyarrow.Schema"
            raise PlanError(msg, place="from_batches(schema=…)", remedy="such as batch.schema")
        named: Mapping[str, Batches] = data if isinstance(data, Mapping) else {"batches": data}
        for name, part in named.items():
            _check_part(str(name), part)
        if not named:
            msg = "the dict of partitions is empty"
            raise PlanError(msg, place="from_batches(data)", remedy=_REMEDY)
        parts = {str(name): part for name, part in sorted(named.items(), key=lambda i: str(i[0]))}
        return cls(parts, row_schema(schema), time, unit)

    def schema(self) -> pa.Schema:
        """Return the columns as they were given."""
        return self.known_schema

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _IteratedFeed:
        """Open every partition; functions are asked when the feed starts.

        Raises:
            SourceError: there is a position, and what was given is no function to be asked again.
        """
        held = {
            name: checked(position, _POSITION, partition=name)
            for name, position in (positions or {}).items()
        }
        check_known(held, list(self.parts))
        for name, position in held.items():
            if not callable(self.parts[name]) and not position["ended"]:
                rows = position["rows"]
                msg = f"partition {name!r} has handed over {rows:,} rows, and cannot be read again"
                remedy = "give a function of the number of rows to leave out, such as lambda n: …"
                raise SourceError(msg, place="from_batches(data)", remedy=remedy)
        wanted = check_columns(self.known_schema, columns)
        return _IteratedFeed(self, wanted, held, clock)

    def describe(self) -> str:
        """Return one line that names the partitions."""
        names = ", ".join(list(self.parts)[:3]) + (", …" if len(self.parts) > 3 else "")
        return f"iterators of batches: {len(self.parts)} partition(s) ({names}), time={self.time}"


def _check_part(name: str, part: object) -> None:
    is_batch = isinstance(part, pa.RecordBatch | pa.Table | str | bytes)
    if is_batch or not (isinstance(part, Iterable | AsyncIterable) or callable(part)):
        msg = f"partition {name!r} is {shown(part)}"
        raise PlanError(msg, place="from_batches(data)", remedy=_REMEDY)


class _IteratedFeed(MailFeed):
    """Plain iterators have a thread each; async ones share one with a loop of its own."""

    def __init__(
        self,
        source: IteratedSource,
        wanted: pa.Schema,
        held: Mapping[str, Position],
        clock: Clock,
    ) -> None:
        self._source, self._wanted = source, wanted
        super().__init__(Mailbox(clock))
        self._closing = threading.Event()
        self._rows = {name: int(held.get(name, {}).get("rows", 0)) for name in source.parts}
        self._left = [name for name in source.parts if not held.get(name, {}).get("ended")]
        for name in source.parts:
            self._mail.add(name, is_found=False)
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        waiting: list[tuple[str, AsyncIterable[Any]]] = []
        for name in self._source.parts:
            if name not in self._left:
                self._mail.end(name)
                continue
            self._mail.quiet(name)
            try:
                iterable = self._opened(name)
            except Exception as error:  # noqa: BLE001 - it is raised where rows are taken
                self._mail.fail(self._named(name, error))
                continue
            if isinstance(iterable, AsyncIterable):
                waiting.append((name, iterable))
            else:
                self._begin(partial(self._iterate, name, iterable))
        if waiting:
            import asyncio

            self._loop = asyncio.new_event_loop()
            self._begin(partial(self._run, [self._iterate_async(*one) for one in waiting]))

    @property
    def is_over(self) -> bool:
        return self._mail.all_ended

    def close(self) -> None:
        self._closing.set()
        self._mail.wake_waiting()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_cancel_all, self._loop)
        for thread in self._threads:
            thread.join(_CLOSE_S)

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="eventtime-iterator", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _opened(self, name: str) -> Iterable[Any] | AsyncIterable[Any]:
        part = self._source.parts[name]
        made = part(self._rows[name]) if callable(part) else part
        is_iterable = isinstance(made, Iterable | AsyncIterable)
        if not is_iterable:
            msg = f"partition {name!r}: the function returned {shown(made)}"
            raise SourceError(msg, place="from_batches(data)", remedy=_REMEDY)
        return made

    def _iterate(self, name: str, iterable: Iterable[Any]) -> None:
        try:
            for item in iterable:
                while not self._mail.wait_for_room(name, _ROOM_S) and not self._closing.is_set():
                    pass
                if self._closing.is_set():
                    return
                self._put(name, item)
            self._mail.end(name)
        except BaseException as error:  # noqa: BLE001 - it is raised where rows are taken
            self._mail.fail(self._named(name, error))

    def _run(self, work: list[Coroutine[Any, Any, None]]) -> None:
        import asyncio

        loop = self._loop
        assert loop is not None

        async def all_of_them() -> None:
            await asyncio.gather(*work, return_exceptions=True)

        try:
            loop.run_until_complete(all_of_them())
        except asyncio.CancelledError:
            pass
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _iterate_async(self, name: str, iterable: AsyncIterable[Any]) -> None:
        import asyncio

        try:
            async for item in iterable:
                while not self._mail.has_room(name):
                    await asyncio.sleep(_NAP_S)
                self._put(name, item)
            self._mail.end(name)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where rows are taken
            self._mail.fail(self._named(name, error))

    def _put(self, name: str, item: Any) -> None:
        for batch in self._batches(name, item):
            self._rows[name] += batch.num_rows
            position = {"rows": self._rows[name], "ended": False}
            self._mail.put(name, batch, position, is_quiet=True)

    def _batches(self, name: str, item: Any) -> list[pa.RecordBatch]:
        place = f"partition {name!r}, after row {self._rows[name]:,}"
        batches = item.to_batches() if isinstance(item, pa.Table) else [item]
        if not all(isinstance(batch, pa.RecordBatch) for batch in batches):
            msg = f"the iterator gave {shown(item)}"
            raise SourceError(msg, place=place, remedy="yield record batches or tables")
        known = self._source.known_schema
        if gap := difference(known, "schema=", row_schema(item.schema), "the batch"):
            raise SchemaError(gap, place=place, remedy="give all batches the same columns")
        chosen = [b.select(self._wanted.names) for b in batches if b.num_rows]
        return [
            rows for b in chosen if isinstance(rows := conform(b, self._wanted), pa.RecordBatch)
        ]

    def _named(self, name: str, error: BaseException) -> BaseException:
        if not isinstance(error, Exception) or isinstance(error, SourceError):
            return error
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        msg = f"the iterator of partition {name!r} failed after row {self._rows[name]:,}: {cause}"
        named = SourceError(msg, place="from_batches(data)", remedy="see the cause")
        named.__cause__ = error
        return named


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    for task in asyncio.all_tasks(loop):
        task.cancel()
