"""Rows that a checkpoint has promised to an output, of a run that is killed before it commits."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow as pa
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime import state_tools
from eventtime.outputs import StagedOutputs
from lives import steps_of
from windowing import rows

if TYPE_CHECKING:
    from pathlib import Path


class KilledError(BaseException):
    """What a process that is killed sees last."""


def stream() -> et.Stream:
    """A result of each second but the last, as the rows come in chunks of 64."""
    batches = [rows(range(at, at + 37), x=pa.array(range(37))) for at in range(0, 370, 37)]
    marked = et.Stream.read(CutSource({"a": batches})).watermark(et.ascending())
    return marked.window(et.tumbling("1s")).aggregate(n=et.count())


def starts_in(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as there:
        return [start for (start,) in there.execute("SELECT window_start FROM t ORDER BY rowid")]


@steps_of(64)
def test_they_are_named_and_can_be_saved(tmp_path: Path) -> None:
    """S28: neither the old output has them nor would a new one; to go on completes the old one."""
    whole, old = tmp_path / "whole", et.checkpoints(tmp_path / "old", every=None, every_rows=1)
    stream().run(et.to_sqlite(whole, table="t"))
    first, second = (et.to_sqlite(tmp_path / name, table="t") for name in ("first", "second"))
    commit, epochs = StagedOutputs.commit, iter(range(99))

    def dying(*given: Any) -> None:
        if next(epochs) == 3:
            raise KilledError
        commit(*given)

    with patch.object(StagedOutputs, "commit", dying), pytest.raises(KilledError):
        stream().run(first, checkpoint=old)
    (promised,) = state_tools.promised_by(tmp_path / "old")
    there = len(starts_in(tmp_path / "first"))
    assert promised[1:] == ("", f"SQLite table t in {tmp_path / 'first'}", 64)
    earlier = state_tools.list_states(tmp_path / "old")[1].number
    assert state_tools.promised_by(tmp_path / "old", at=earlier) == []
    stream().run(first, checkpoint=old, stop=lambda: True)
    assert len(starts_in(tmp_path / "first")) >= there + 64
    et.savepoint_of(tmp_path / "old", tmp_path / "now")
    stream().run(second, checkpoint=tmp_path / "new", start_from=tmp_path / "now")
    assert starts_in(tmp_path / "first") + starts_in(tmp_path / "second") == starts_in(whole)
