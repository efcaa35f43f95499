"""Where streams begin: each reader gives the same rows, whatever the format they lie in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import eventtime as et
from windowing import rows

if TYPE_CHECKING:
    from pathlib import Path

DATA = pa.Table.from_batches([rows([0, 61, 62, 5], x=[1, 2, 3, 4])])


def write(path: Path, kind: str) -> str:
    target = str(path / f"data.{kind}")
    if kind == "parquet":
        pa.parquet.write_table(DATA, target)
    elif kind == "arrow":
        pa.feather.write_feather(DATA, target, compression="uncompressed")
    elif kind == "csv":
        pa.csv.write_csv(DATA, target)
    else:
        times = [str(t).replace(" ", "T") for t in DATA["t"].to_pylist()]
        lines = [
            f'{{"t": "{t}", "x": {x}}}' for t, x in zip(times, DATA["x"].to_pylist(), strict=True)
        ]
        (path / f"data.{kind}").write_text("\n".join(lines))
    return target


READERS = {
    "parquet": et.read_parquet,
    "arrow": et.read_ipc,
    "csv": et.read_csv,
    "jsonl": et.read_json_lines,
}


@pytest.mark.parametrize("kind", list(READERS))
def test_every_format_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    read: Any = READERS[kind]
    stream = read(write(tmp_path, kind), time="t").watermark(et.ascending())
    run = stream.window(et.tumbling("1m")).aggregate(s=et.sum("x")).run()
    assert run.table()["s"].to_pylist() == [1, 5]
    assert run.side("late")["x"].to_pylist() == [4]


def test_integer_times_take_a_unit() -> None:
    data = pa.record_batch({"t": pa.array([0, 59_999, 60_000])})
    stream = et.from_arrow(data, time="t", time_unit="ms").watermark(et.ascending())
    table = stream.window(et.tumbling("1m")).aggregate(n=et.count()).to_table()
    assert table.to_pylist()[1]["window_start"] == 60_000
    assert table["n"].to_pylist() == [2, 1]


def test_a_dict_of_batches_is_a_partition_each() -> None:
    stream = et.from_arrow({"b": rows([0]), "a": rows([1])}, time="t").watermark(et.ascending())
    run = stream.window(et.tumbling("1m")).aggregate(n=et.count()).run()
    assert list(run.ledger.partitions) == ["a", "b"]


@pytest.mark.parametrize("data", [5, "rows.parquet", None, [1, 2]])
def test_what_is_no_arrow_data_is_refused(data: Any) -> None:
    with pytest.raises(et.EventTimeError):
        _ = et.from_arrow(data, time="t").schema


def test_a_file_that_does_not_exist_is_an_error_when_run() -> None:
    stream = et.read_parquet("nowhere/at-all.parquet", time="t").watermark(et.ascending())
    with pytest.raises(et.SourceError, match=r"nowhere/at-all\.parquet"):
        stream.window(et.tumbling("1m")).aggregate(n=et.count()).run()
