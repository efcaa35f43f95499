"""Arrow IPC: every type comes back as it was, dictionaries merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from eventtime.errors import PlanError, SinkError
from eventtime.sinks.ipc import IpcFormat, to_ipc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def dictionary(values: Sequence[str | None], index: pa.DataType) -> pa.DictionaryArray:
    return pa.array(values).dictionary_encode().cast(pa.dictionary(index, pa.string()))


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_dictionaries_that_differ_are_merged(compression: str | None, tmp_path: Path) -> None:
    batches: list[list[str | None]] = [["b", "a"], ["a", None, "c"], [], ["d", "b"]]
    path = tmp_path / "x.arrow"
    # One row at a time, so that each batch is written on its own and grows the dictionary.
    sink_format = IpcFormat(compression, rows_max=1)
    sink = to_ipc(path)
    writer = type(sink)(sink.path, sink_format).open(
        pa.schema([("k", pa.dictionary(pa.int8(), pa.string()))])
    )
    for values in batches:
        writer.write(pa.record_batch({"k": dictionary(values, pa.int8())}))
    writer.commit()
    assert read(path)["k"].to_pylist() == [value for values in batches for value in values]
    assert read(path).schema.field("k").type == pa.dictionary(pa.int8(), pa.string())


def test_a_null_in_a_dictionary_stays_null(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int32()), ["x", None])
    writer = to_ipc(tmp_path / "x.arrow").open(pa.schema([("k", column.type)]))
    writer.write(pa.record_batch({"k": column}))
    writer.commit()
    assert read(tmp_path / "x.arrow")["k"].to_pylist() == [None, "x", None]


def test_more_values_than_the_index_can_number_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    writer = to_ipc(tmp_path / "x.arrow").open(pa.schema([("k", kind)]))
    for start in (0, 100):
        values = [f"v{i}" for i in range(start, start + 100)]
        writer.write(pa.record_batch({"k": dictionary(values, pa.int8())}))
    with pytest.raises(SinkError, match=r"(?s)column 'k' has 200 values.*int32 indices"):
        writer.commit()
    assert list(tmp_path.iterdir()) == []


def test_a_dictionary_inside_a_list_is_refused_at_open(tmp_path: Path) -> None:
    schema = pa.schema([("k", pa.list_(pa.dictionary(pa.int8(), pa.string())))])
    with pytest.raises(SinkError, match="cannot grow dictionaries in column 'k'"):
        to_ipc(tmp_path / "x.arrow").open(schema)


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(PlanError, match=r"(?s)'snappy' is unknown.*lz4, zstd"):
        to_ipc("x.arrow", compression="snappy")  # type: ignore[arg-type]
