"""A path becomes a sink by its suffix; several outputs commit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eventtime.errors import SinkError
from eventtime.sinks.base import commit_all, sink_for
from eventtime.sinks.csv import to_csv
from eventtime.sinks.delta import to_delta
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.parquet import to_parquet

ROWS = pa.record_batch({"a": [1, 2]})


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("x.parquet", to_parquet),
        ("x.PQ", to_parquet),
        ("a.b/x.csv", to_csv),
        ("x.csv.gz", to_csv),
        ("x.jsonl", to_json_lines),
        ("x.ndjson.zst", to_json_lines),
        ("x.arrow", to_ipc),
        ("x.ipc", to_ipc),
        ("s3://bucket/x.feather", to_ipc),
    ],
)
def test_the_suffix_chooses_the_format(path: str, made: Any) -> None:
    assert sink_for(path) == made(path)
    assert sink_for(Path("x.csv"), overwrite=True) == to_csv("x.csv", overwrite=True)


@pytest.mark.parametrize("path", ["hourly.txt", "hourly", ".parquet", "x.gz", "folder.csv/x"])
def test_an_unknown_suffix_is_refused_with_those_known(path: str) -> None:
    with pytest.raises(
        SinkError, match=r"(?s)names no format.*\.parquet.*et\.to_parquet"
    ) as caught:
        sink_for(path)
    assert repr(path) in str(caught.value)


def test_a_folder_is_refused_with_the_call_that_writes_one() -> None:
    with pytest.raises(SinkError, match=r"(?s)'out/' is a folder.*partition_by='day'"):
        sink_for("out/")


def test_a_sink_stays_itself_and_takes_overwrite_over() -> None:
    sink = to_parquet("x.parquet", compression="snappy")
    assert sink_for(sink) is sink
    assert sink_for(sink, overwrite=True) == to_parquet(
        "x.parquet", compression="snappy", overwrite=True
    )

    class Own:
        def open(self, schema: pa.Schema) -> Any: ...

        def describe(self) -> str:
            return "own"

    own = Own()
    assert sink_for(own, overwrite=True) is own


def test_something_else_is_refused() -> None:
    with pytest.raises(SinkError, match="17 is not a sink"):
        sink_for(17)  # type: ignore[arg-type]


def test_all_outputs_are_written_before_the_first_is_published(tmp_path: Path, tree: Any) -> None:
    class FullDisk:
        aborted = False

        def write(self, batch: pa.RecordBatch) -> None: ...

        def prepare(self) -> None:
            raise SinkError("disk full")  # noqa: EM101

        def commit(self) -> None: ...

        def abort(self) -> None:
            self.aborted = True

    full = FullDisk()
    first = to_csv(tmp_path / "a.csv").open(ROWS.schema)
    first.write(ROWS)
    with pytest.raises(SinkError, match="disk full"):
        commit_all([first, full])
    assert full.aborted
    assert tree(tmp_path) == []


def test_outputs_commit_together_with_writers_that_know_no_prepare(
    tmp_path: Path, tree: Any
) -> None:
    class Plain:
        committed = False

        def write(self, batch: pa.RecordBatch) -> None: ...

        def commit(self) -> None:
            self.committed = True

        def abort(self) -> None: ...

    plain = Plain()
    writers = [to_csv(tmp_path / name).open(ROWS.schema) for name in ("a.csv", "b.csv")]
    commit_all([*writers, plain])
    assert plain.committed
    assert tree(tmp_path) == ["a.csv", "b.csv"]


@pytest.mark.parametrize("to", [to_parquet, to_csv, to_delta])
def test_the_secrets_of_an_address_are_not_shown(to: Any) -> None:
    sink = to("s3://id:secret@bucket/out.csv?secret_key=secret")
    assert "bucket/out.csv" in sink.describe()
    assert "secret" not in sink.describe()


def test_the_secrets_of_an_address_that_cannot_be_opened_are_not_shown() -> None:
    with pytest.raises(SinkError, match=r"nope://bucket/out\.csv") as caught:
        to_csv("nope://id:secret@bucket/out.csv?secret_key=secret").open(ROWS.schema)
    assert "secret" not in str(caught.value)
