"""Messages as the client of Kafka hands them over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ("Told",)


@dataclass
class Told:
    """A message."""

    content: bytes | None
    number: int

    def value(self) -> Any:
        return self.content

    def key(self) -> Any:
        return str(self.number).encode()

    def offset(self) -> Any:
        return self.number

    def timestamp(self) -> tuple[int, int]:
        return (1, self.number * 1_000) if self.number % 2 else (0, 0)

    def headers(self) -> Any:
        return None
