"""Watermark generators of specs: functions for the oracle, and what the engine is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

import eventtime as et
from eventtime.testing.reference import TIME_LIMIT, Bounded

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from eventtime.testing.reference import Marks, Row, Spec


@dataclass(frozen=True)
class PunctuatedColumn:
    """W = the column's value wherever it is not null."""

    column: str

    def __call__(self, partition: str) -> Marks:
        def mark(row: Row) -> int | None:
            told: int | None = row[self.column]
            return told if told is None or abs(told) <= TIME_LIMIT else None

        return lambda rows, _: list(map(mark, rows))

    def engines(self) -> Any:
        return et.punctuated(column=self.column)


@dataclass(frozen=True)
class PunctuatedWhere:
    """W = the time of each row whose (boolean) column is true."""

    column: str

    def __call__(self, partition: str) -> Marks:
        return lambda rows, times: [
            t if row[self.column] else None for row, t in zip(rows, times, strict=True)
        ]

    def engines(self) -> Any:
        return et.punctuated(where=pc.field(self.column))


@dataclass(frozen=True)
class Custom:
    """W = what a function of the row's time returns; `make` gives each partition its own."""

    make: Callable[[], Callable[[int], int | None]]

    def __call__(self, partition: str) -> Marks:
        propose = self.make()
        return lambda _, times: list(map(propose, times))

    def engines(self) -> Any:
        return et.custom(lambda: RowByRow(self.make))  # type: ignore[arg-type]  # a function that makes one will do


class RowByRow:
    """A generator of the oracle as one of the engine: a value for every row."""

    def __init__(self, make: Callable[[], Callable[[int], int | None]]) -> None:
        self._propose = make()
        self._seen: list[int] = []

    def on_batch(self, timestamps_us: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
        times = timestamps_us.tolist()
        self._seen += times
        proposed = [self._propose(t) for t in times]
        return [-(2**63) if p is None else p for p in proposed]

    def get_state(self) -> list[int]:
        return self._seen

    def set_state(self, state: list[int]) -> None:
        self._seen = state
        for t in state:
            self._propose(t)


def generator_of(spec: Spec) -> Any:
    """The engine's generator for the oracle's."""
    if isinstance(spec.generator, Bounded):
        return et.bounded_disorder(f"{spec.generator.bound}us")
    generator: Any = spec.generator
    return generator.engines()
