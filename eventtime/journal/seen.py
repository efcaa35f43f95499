"""A source behind another one, which answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.sources.feed import reports_malformed

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.sources.feed import AnySource

__all__ = ("Seen",)


@dataclass(frozen=True)
class Seen:
    """A source, by its number, that something stands in front of."""

    source: AnySource
    number: int

    @property
    def time(self) -> str:
        return self.source.time

    @property
    def time_unit(self) -> str | None:
        return self.source.time_unit

    @property
    def reports_malformed(self) -> bool:
        return reports_malformed(self.source)

    def schema(self) -> pa.Schema:
        return self.source.schema()

    def describe(self) -> str:
        return self.source.describe()
