"""Checkpoints in memory, whose parts are read late and in another thread, as a store does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from eventtime.state.pack import Block, Pack

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

__all__ = ("MemoryCheckpoint",)

About = tuple[tuple[str, str | int], ...]


@dataclass
class MemoryCheckpoint:
    """Takes the parts of one cut.

    Args:
        last: the checkpoint before, whose parts are named again where they have not changed.
        pool: reads parts meanwhile; None: they are read when somebody asks for them.
    """

    is_alone: ClassVar[bool] = False
    last: MemoryCheckpoint | None = None
    pool: Executor | None = None
    versions: dict[About, int | None] = field(default_factory=dict)
    kept: list[About] = field(default_factory=list)
    _rows: dict[About, Callable[[], pa.RecordBatch]] = field(default_factory=dict)
    _read: dict[About, pa.Buffer] = field(default_factory=dict)

    def keep(self, version: int, **about: str | int) -> bool:
        part = _named(about)
        if self.last is None or self.last.versions.get(part) != version:
            return False
        self.versions[part] = version
        self.kept.append(part)
        return True

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        part = _named({**about, "turn": len(self.versions)} if version is None else about)
        assert part not in self.versions, "a part was added twice"
        self.versions[part] = version
        if not callable(rows):
            self._read[part] = _stream(rows)
        elif self.pool is None:
            self._rows[part] = lambda: _stream(rows())
        else:
            future: Future[pa.Buffer] = self.pool.submit(lambda: _stream(rows()))
            self._rows[part] = future.result

    def content(self) -> dict[About, pa.Buffer]:
        """Return all parts as streams in Arrow's format, those kept as they once were written."""
        while self._rows:
            part, rows = self._rows.popitem()
            self._read[part] = rows()
        if self.kept:
            assert self.last is not None
            before = self.last.content()
            self._read |= {part: before[part] for part in self.kept}
            self.kept.clear()
        self.last = None
        return {part: self._read[part] for part in self.versions}

    def pack(self, head: dict[str, Any]) -> Pack:
        """Return what an engine restores."""
        content = self.content()
        return Pack(head, [Block(dict(part), data) for part, data in content.items()])


def _named(about: dict[str, str | int]) -> About:
    return tuple(sorted(about.items()))


def _stream(rows: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return sink.getvalue()
