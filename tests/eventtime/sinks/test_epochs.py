"""Epochs reach SQLite and folders exactly once (S28)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from eventtime.errors import FencedError, OutputExistsError
from eventtime.sinks.epochs import takes_epochs
from eventtime.sinks.parquet import to_parquet
from eventtime.sinks.sqlite import to_sqlite

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pa.record_batch({"a": [1, 2], 'b "c"': ["x", None]})


def test_a_replayed_epoch_is_not_written_again_to_sqlite(tmp_path: Path) -> None:
    sink = to_sqlite(tmp_path / "x.db", table='h"x')
    old = sink.open_epochs(ROWS.schema, "job")
    assert old.recover(1) == 0
    old.commit(1, [ROWS], 1)
    old.commit(1, [ROWS], 1)
    new = sink.open_epochs(ROWS.schema, "job")
    assert new.recover(2) == 1
    with pytest.raises(FencedError, match="token 2"):
        old.commit(2, [ROWS], 1)
    old.close()
    new.close()
    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute('SELECT * FROM "h""x"').fetchall() == [(1, "x"), (2, None)]
    connection.close()


def test_a_replayed_epoch_is_not_written_again_to_a_folder(tmp_path: Path) -> None:
    sink = to_parquet(tmp_path / "out", parts=True)
    assert takes_epochs(sink)
    old = sink.open_epochs(ROWS.schema, "job")
    assert old.recover(1) == 0
    old.commit(1, [ROWS], 1)
    old.commit(1, [ROWS], 1)
    new = sink.open_epochs(ROWS.schema, "job")
    assert new.recover(2) == 1
    with pytest.raises(FencedError, match="token 2"):
        old.commit(2, [ROWS], 1)
    assert ds.dataset(tmp_path / "out").to_table().to_batches() == [ROWS]
    with pytest.raises(OutputExistsError):
        sink.open_epochs(ROWS.schema, "another")
    assert (tmp_path / "out" / "part-00000001-0.parquet").exists()
