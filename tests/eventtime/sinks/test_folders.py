"""Epochs as part files: what a reader sees, and what a killed process leaves (S28)."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from eventtime.errors import ColumnError, FencedError, OutputExistsError, SinkError
from eventtime.sinks.csv import to_csv
from eventtime.sinks.epochs import EpochSink, EpochWriter, takes_epochs
from eventtime.sinks.parquet import to_parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = 86_400_000_000
SCHEMA = pa.schema([("n", pa.int64()), ("window_start", pa.timestamp("us"))])
ROWS = pa.record_batch([[1, 2, 3], [0, DAY, 0]], schema=SCHEMA)
LATER = pa.record_batch([[4], [DAY]], schema=SCHEMA)


def by_day(folder: Path, **options: Any) -> EpochSink:
    sink = to_parquet(folder / "out", partition_by="day", **options)
    assert takes_epochs(sink)
    return sink


def opened(folder: Path, token: int = 1, last: int = 0) -> EpochWriter:
    writer = by_day(folder).open_epochs(SCHEMA, "job")
    assert writer.recover(token) == last
    return writer


def seen(folder: Path) -> list[int]:
    table = ds.dataset(folder / "out", format="parquet").to_table()
    return sorted(table["n"].to_pylist()) if table.num_columns else []


def test_each_epoch_is_a_part_for_each_day(tmp_path: Path, tree: Callable[..., list[str]]) -> None:
    writer = opened(tmp_path)
    writer.commit(7, [ROWS, ROWS], 1)
    writer.commit(8, [], 1)
    writer.commit(12, [LATER], 1)
    assert tree(tmp_path / "out") == [
        "_eventtime/epochs.json",
        "_eventtime/lock",
        "window_day=1970-01-01/part-00000007-0.parquet",
        "window_day=1970-01-02/part-00000007-0.parquet",
        "window_day=1970-01-02/part-00000012-0.parquet",
    ]
    assert seen(tmp_path) == [1, 1, 2, 2, 3, 3, 4]


def test_renames_that_were_not_done_are_done_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = opened(tmp_path)
    writer.commit(1, [LATER], 1)
    replace = os.replace
    with monkeypatch.context() as patch:

        def one_fails(old: Any, new: Any) -> None:
            if "1970-01-02" in str(new):
                raise OSError(5, "out of order")
            replace(old, new)

        patch.setattr(os, "replace", one_fails)
        with pytest.raises(SinkError, match="out of order"):
            writer.commit(2, [ROWS], 1)
    assert seen(tmp_path) == [1, 3, 4]  # committed, and not yet all of it visible
    opened(tmp_path, token=2, last=2)
    assert seen(tmp_path) == [1, 2, 3, 4]
    with pytest.raises(FencedError):
        writer.commit(2, [ROWS], 1)


def test_renames_that_were_not_done_are_done_when_the_epoch_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = opened(tmp_path)
    replace = os.replace
    with monkeypatch.context() as patch:

        def parts_fail(old: Any, new: Any) -> None:
            if "part-" in str(new):
                raise OSError(5, "out of order")
            replace(old, new)

        patch.setattr(os, "replace", parts_fail)
        with pytest.raises(SinkError, match="out of order"):
            writer.commit(1, [ROWS], 1)
    writer.commit(1, [ROWS], 1)
    assert seen(tmp_path) == [1, 2, 3]


def test_hidden_parts_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    opened(tmp_path).commit(1, [ROWS], 1)
    hidden = tmp_path / "out" / "window_day=1970-01-01" / ".part-00000002-0.parquet.partial"
    hidden.write_bytes(b"half")
    opened(tmp_path, token=2, last=1)
    assert not hidden.exists()


def test_a_record_that_a_killed_process_left_half_written_is_nobodys(tmp_path: Path) -> None:
    by_day(tmp_path).open_epochs(SCHEMA, "job").close()
    (tmp_path / "out" / "_eventtime" / "epochs.json.tmp").write_text("{", encoding="utf-8")
    writer = by_day(tmp_path).open_epochs(SCHEMA, "job")
    assert writer.recover(token=1) == 0
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_of_another_job_is_refused_or_replaced(tmp_path: Path) -> None:
    old = opened(tmp_path)
    old.commit(1, [ROWS], 1)
    with pytest.raises(OutputExistsError, match="exists already"):
        by_day(tmp_path).open_epochs(SCHEMA, "another")
    writer = by_day(tmp_path, overwrite=True).open_epochs(SCHEMA, "another")
    assert seen(tmp_path) == [1, 2, 3]
    assert writer.recover(1) == 0
    writer.commit(1, [LATER], 1)
    assert seen(tmp_path) == [4]
    with pytest.raises(FencedError, match="no longer an output of this job"):
        old.commit(2, [ROWS], 1)
    # The same job goes on, whatever `overwrite` says.
    assert by_day(tmp_path, overwrite=True).open_epochs(SCHEMA, "another").recover(2) == 1
    assert seen(tmp_path) == [4]


def test_files_of_somebody_else_are_never_removed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters.txt").write_text("dear")
    with pytest.raises(SinkError, match=r"letters\.txt"):
        by_day(tmp_path, overwrite=True).open_epochs(SCHEMA, "job")


def test_a_run_writes_such_a_folder_too_and_replaces_one_of_epochs(tmp_path: Path) -> None:
    opened(tmp_path).commit(1, [ROWS], 1)
    writer = to_csv(tmp_path / "out", parts=True, overwrite=True).open(SCHEMA)
    writer.write(LATER)
    writer.commit()
    assert [path.name for path in (tmp_path / "out").rglob("*.*")] == ["part-0.csv"]


def test_one_process_at_a_time_acts(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    with open(tmp_path / "out" / "_eventtime" / "lock") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SinkError, match="another process is writing"):
            writer.commit(1, [ROWS], 1)
    writer.commit(1, [ROWS], 1)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}'])
def test_a_record_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    opened(tmp_path)
    record = tmp_path / "out" / "_eventtime" / "epochs.json"
    assert json.loads(record.read_text())["job"] == "job"
    record.write_text(text)
    with pytest.raises(SinkError, match="does not say which epochs are committed"):
        by_day(tmp_path).open_epochs(SCHEMA, "job")


def test_what_is_no_place_for_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in ("file", "file/out", "nowhere/out"):
        sink = to_parquet(tmp_path / path, parts=True)
        assert takes_epochs(sink)
        with pytest.raises(SinkError, match=r"file|nowhere"):
            sink.open_epochs(SCHEMA, "job")
    with pytest.raises(ColumnError, match="window_start"):
        by_day(tmp_path).open_epochs(pa.schema([("n", pa.int64())]), "job")


def test_one_file_takes_no_epochs(tmp_path: Path) -> None:
    assert not takes_epochs(to_parquet(tmp_path / "x.parquet"))
