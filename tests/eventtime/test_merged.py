"""Rows of several partitions in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

import eventtime as et
from eventtime import merged

if TYPE_CHECKING:
    import pytest


def test_a_chunk_is_laid_out_once_however_many_windows_fire_within_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    real = merged._Merged.places

    def counted(self: merged._Merged, positions: merged.Ints) -> tuple[merged.Ints, merged.Ints]:
        asked.append(len(positions))
        return real(self, positions)

    monkeypatch.setattr(merged._Merged, "places", counted)
    rows = pa.table({"t": range(2_000), "text": [str(t * 7919 % 2_003) for t in range(2_000)]})
    run = (
        et.from_arrow({"a": rows, "b": rows}, time="t", time_unit="s")
        .watermark(et.ascending())
        .window(et.sliding("10s", slide="5s"))
        .aggregate(least=et.min("text"))
        .run()
    )
    assert run.table().num_rows == 401
    assert len(asked) < 10
