"""How far a partition is, in words and as a share, for each kind of input."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventtime.sources.reached import position_in_words, share_read
from sourcing import (
    arrow_source,
    csv_source,
    ipc_source,
    json_lines_source,
    parquet_source,
    positions_after,
)

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pa.table({"t": pa.array(range(100), pa.int64())})
TIME: Any = {"time": "t", "time_unit": "s"}


def told(source: Any, reads: int) -> tuple[str, float | None]:
    """What is said of the only partition after so many reads of ten rows."""
    (position,) = positions_after(source, reads).values()
    return position_in_words(position), share_read(position)


def test_parquet_counts_rows(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "a.parquet", row_group_size=50)
    source = parquet_source(tmp_path / "a.parquet", **TIME)
    assert told(source, 0) == ("a.parquet, at its beginning", 0.0)
    assert told(source, 7) == ("a.parquet, row 70 of 100", 0.7)
    assert told(source, 11) == ("all of a.parquet", 1.0)


def test_arrow_counts_batches(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "a.arrow", ROWS.schema) as out:
        out.write_table(ROWS, max_chunksize=25)
    source = ipc_source(tmp_path / "a.arrow", **TIME)
    words, share = told(source, 4)
    assert words.startswith("a.arrow, row ")
    assert "of batch 2 of 4" in words
    assert share == 0.25


def test_text_counts_bytes_and_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventtime.sources.jsonlines.block_bytes", lambda *_: 100)
    lines = "".join(f'{{"t": {i}}}\n' for i in range(100, 200))
    (tmp_path / "a.jsonl").write_text(lines)
    source = json_lines_source(tmp_path / "a.jsonl", **TIME)
    words, share = told(source, 4)
    assert words.startswith("a.jsonl, ")
    assert words.endswith(f" of {len(lines):,}")
    assert " behind line " in words
    assert share is not None
    assert 0.2 < share < 0.6
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    words, share = told(json_lines_source(tmp_path / "a.jsonl.gz", **TIME), 4)
    assert words.endswith(" as decompressed")
    assert share is None


def test_of_several_files_it_says_which(tmp_path: Path) -> None:
    for i in range(4):
        text = "t\n" + "".join(f"{t}\n" for t in range(10 * i + 10, 10 * i + 20))
        (tmp_path / f"{i}.csv").write_text(text)
    source = csv_source(tmp_path, partition_by="folder", **TIME)
    words, share = told(source, 2)
    assert words == "1.csv (file 2 of 4), 10 rows behind line 2, byte 2 of 32"
    assert share == pytest.approx((32 + 2) / 128)
    assert told(source, 5) == ("all of 4 files, the last 3.csv", 1.0)


def test_data_in_memory_counts_rows() -> None:
    source = arrow_source(ROWS, **TIME)
    assert told(source, 3) == ("row 30 of 100", 0.3)
    assert told(source, 11) == ("all of 100 rows", 1.0)


def test_a_source_of_the_users_says_what_it_says() -> None:
    position = {"next": 7, "topic": "ticks"}
    assert (position_in_words(position), share_read(position)) == ("next 7, topic ticks", None)
