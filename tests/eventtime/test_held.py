"""Rows that wait for the end stay few parts, in order, however many epochs there were (S27)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pytest

from eventtime import held
from eventtime.held import HeldRows, held_rows

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Memory:
    """A checkpoint in memory: parts, and how many rows of them were written anew."""

    is_alone: ClassVar[bool] = False
    last: Memory | None = None
    blocks: list[tuple[dict[str, Any], pa.RecordBatch]] = field(default_factory=list)
    written: int = 0
    head: dict[str, Any] = field(default_factory=dict)

    def keep(self, version: int, **about: str | int) -> bool:
        found = [] if self.last is None else [b for b in self.last.blocks if b[0] == about]
        self.blocks += found
        return bool(found)

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        batch: Any = rows() if callable(rows) else rows
        self.blocks.append((about, batch))
        self.written += batch.num_rows

    def about(self, **wanted: str | int) -> list[Any]:
        return [_Block(a, b) for a, b in self.blocks if wanted.items() <= a.items()]


@dataclass
class _Block:
    words: dict[str, Any]
    rows: pa.RecordBatch

    @property
    def about(self) -> dict[str, Any]:
        return {**self.words, "rows": self.rows.num_rows}

    def batch(self) -> pa.RecordBatch:
        return self.rows


def numbered(first: int, n: int) -> pa.RecordBatch:
    return pa.record_batch({"i": pa.array(range(first, first + n), pa.int64())})


@pytest.mark.parametrize("restarts", [False, True])
def test_a_thousand_epochs_are_few_parts_in_order(*, restarts: bool) -> None:
    rows, last, written = HeldRows(), None, 0
    for epoch in range(1, 1_001):
        if restarts and epoch % 7 == 0:
            rows = HeldRows(last)
        checkpoint = Memory(last)
        new = {"": [numbered(2 * epoch, 1), numbered(2 * epoch + 1, 1)]}
        rows.save(
            new if epoch % 3 else {**new, "late": [numbered(epoch, 1)]}, epoch, checkpoint, last
        )
        written += checkpoint.written
        last = checkpoint
    assert last is not None
    assert len(last.blocks) < 100
    assert written < 4 * 2_400
    found = pa.Table.from_batches(held_rows(last, "")).column("i").to_pylist()
    assert found == list(range(2, 2_002))
    late = pa.Table.from_batches(held_rows(last, "late")).column("i").to_pylist()
    assert late == list(range(3, 1_001, 3))
    assert HeldRows(last).tags == ["", "late"]
    assert HeldRows(last, but=["late"]).tags == [""]


def test_large_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_JOINED_ROWS", 100)
    rows, last = HeldRows(), None
    for epoch in range(1, 65):
        checkpoint = Memory(last)
        rows.save({"": [numbered(50 * epoch, 50)]}, epoch, checkpoint, last)
        assert checkpoint.written == 50
        last = checkpoint
    assert last is not None
    assert len(last.blocks) == 64


def test_an_epoch_is_divided_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_BLOCK_BYTES", 100)
    rows, checkpoint = HeldRows(), Memory()
    rows.save({"": [numbered(10 * i, 10) for i in range(6)]}, 1, checkpoint, None)
    assert [a["part"] for a, _ in checkpoint.blocks] == [0, 1, 2]
    found = pa.Table.from_batches(held_rows(checkpoint, "", epoch=1)).column("i").to_pylist()
    assert found == list(range(60))
