"""A sink that keeps what it is given, and a function that lets each row through once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import eventtime as et

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ("Once", "Probe")


@dataclass
class Probe:
    """A sink that takes results as they come.

    Args:
        then: called in each commit of rows, before it returns.
        rows: taken so far.
    """

    then: Callable[[], object] = lambda: None
    rows: list[dict[str, Any]] = field(default_factory=list)
    delivery: Any = "at_least_once"
    guarantee: Any = "at_least_once"

    def open_epochs(self, schema: pa.Schema, job: str) -> Probe:
        return self

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        self.rows += [row for batch in batches for row in batch.to_pylist()]
        self.then()

    def describe(self) -> str:
        return "a probe"

    def close(self) -> None:
        """Nothing is held."""


class Once(et.ProcessFunction):
    """Lets the first row of each key through, for an hour of event time."""

    is_known = et.value_state(pa.bool_(), ttl="1h")

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        if not self.is_known.value:
            self.is_known.value = True
            ctx.emit(**row)
