"""Files that grow, and who reads them by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

import eventtime as et
from eventtime.sources.base import MalformedRows, Poll

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.sources.base import PartitionReader, Position
    from eventtime.sources.followed_files import FollowedFiles


TYPES = pa.schema([("t", pa.int64()), ("x", pa.string())])


def source(stream: et.Stream) -> FollowedFiles:
    read: Any = stream.node
    found: FollowedFiles = read.source
    return found


def jsonl(path: Path, **more: Any) -> FollowedFiles:
    how = {"on_malformed": "quarantine", "schema": TYPES, "follow": True, **more}
    return source(et.read_json_lines(path, time="t", time_unit="s", **how))


def csv(path: Path, **more: Any) -> FollowedFiles:
    how = {"on_malformed": "quarantine", "schema": TYPES, "follow": True, **more}
    return source(et.read_csv(path, time="t", time_unit="s", **how))


def line(n: int, form: str = "jsonl") -> bytes:
    text = "é" * (n % 3)
    value = {"t": n, "x": text}
    return (json.dumps(value) if form == "jsonl" else f'{n},"{text}"').encode()


class Reading:
    """Reads partitions by hand, and may be killed and started again; closed behind the test."""

    every: ClassVar[list[Reading]] = []

    def __init__(self, make: Callable[[], FollowedFiles]) -> None:
        self.make = make
        self.seen: dict[str, list[Any]] = {}
        self.positions: dict[str, Position] = {}
        self.clock = et.ManualClock()
        self.readers: dict[str, PartitionReader] = {}
        self.every.append(self)
        self.restart()

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()

    def restart(self) -> None:
        self.close()
        self.opened = self.make().partitions(None, dict(self.positions), self.clock)
        self.readers = {r.name: r for r in self.opened.readers()}

    def stand(self, name: str, reader: Any) -> None:
        moved = reader.moved() if hasattr(reader, "moved") else None
        if moved is not None:
            self.positions[name] = json.loads(json.dumps(moved))

    def look_later(self, seconds: float = 11) -> None:
        """Look after a while, too."""
        self.look()
        self.clock.advance(round(seconds * 1e6))
        self.look()

    def look(self, most: int = 1_000_000) -> None:
        self.readers |= {r.name: r for r in self.opened.discover()}
        for name, reader in self.readers.items():
            for _ in range(most):
                answer = reader.read()
                if isinstance(answer, Poll):
                    self.stand(name, reader)
                    break
                rows = self.seen.setdefault(name, [])
                if isinstance(answer, MalformedRows):
                    rows += [f"bad {raw}" for raw in answer.rows.column("raw").to_pylist()]
                else:
                    rows += answer.column("t").to_pylist()
                self.positions[name] = json.loads(json.dumps(reader.position))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
