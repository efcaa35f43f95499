"""Files that are missing, empty, cut short or different, and lines that do not parse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import eventtime as et
from refusals import FORMATS, READERS, SECONDS, Refused, counted, seconds, write

if TYPE_CHECKING:
    from pathlib import Path

EACH = pytest.mark.parametrize("suffix", FORMATS)
TYPES = {"t": SECONDS, "x": pa.int64()}


@EACH
def test_no_such_file(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / f"gone.{suffix}"
    with refused(et.SourceError, repr(str(path)), str(path), "check the path"):
        counted(READERS[suffix](path, time="t")).run()


@EACH
def test_no_file_matches(suffix: str, tmp_path: Path, refused: Refused) -> None:
    pattern = str(tmp_path / f"*.{suffix}")
    with refused(et.SourceError, repr(pattern), "paths", "check the pattern"):
        counted(READERS[suffix](pattern, time="t")).run()


@EACH
def test_a_folder_without_a_file_of_the_format(
    suffix: str, tmp_path: Path, refused: Refused
) -> None:
    (tmp_path / "notes.txt").write_text("no data")
    with refused(et.SourceError, str(tmp_path), str(tmp_path), "name the files"):
        counted(READERS[suffix](tmp_path, time="t")).run()


@EACH
def test_an_empty_file(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / f"empty.{suffix}"
    path.write_bytes(b"")
    with refused(et.SourceError, "0 bytes", str(path), "leave it out"):
        counted(READERS[suffix](path, time="t")).run()


@EACH
def test_a_file_without_rows_is_no_error(suffix: str, tmp_path: Path) -> None:
    if suffix == "jsonl":
        (tmp_path / "a.jsonl").write_text("\n")
        source = et.read_json_lines(tmp_path / "a.jsonl", time="t", schema=TYPES)
    else:
        path = write(seconds(0, x=pa.array([], pa.int64())), tmp_path / f"a.{suffix}")
        how = {"schema": TYPES} if suffix == "csv" else {}
        source = READERS[suffix](path, time="t", **how)
    run = counted(source).run()
    assert run.table().num_rows == run.ledger.total.rows_in == 0


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_file_cut_short(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = write(seconds(10_000), tmp_path / f"cut.{suffix}")
    path.write_bytes(path.read_bytes()[:-1_000])
    with refused(et.SourceError, "cut short", str(path), "write it again"):
        counted(READERS[suffix](path, time="t")).run()


def test_a_file_that_is_no_text(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"t,\xb5\xff\n1,2\n")
    with refused(et.SourceError, "codec can't decode", f"{path}, line 1", "in UTF-8"):
        counted(et.read_csv(path, time="t", time_unit="s")).run()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_text_file_cut_within_a_line(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = write(seconds(10, x=range(10)), tmp_path / f"cut.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"T00")])
    line = 10 + (suffix == "csv")
    with refused(et.MalformedRowError, "1970-01-01", f"{path}, line {line}", "mend it"):
        counted(READERS[suffix](path, time="t", schema=TYPES)).run()


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_files_whose_columns_differ(suffix: str, tmp_path: Path, refused: Refused) -> None:
    first = write(seconds(x=[1, 2, 3]), tmp_path / f"1.{suffix}")
    second = write(seconds(y=[1, 2, 3]), tmp_path / f"2.{suffix}")
    gap = f"column 'x' (int64) is in {first}, but not in {second}"
    with refused(et.SchemaError, gap, str(second), "apart"):
        counted(READERS[suffix](tmp_path, time="t")).run()


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_a_file_with_one_more_column(suffix: str, tmp_path: Path, refused: Refused) -> None:
    first = write(seconds(), tmp_path / f"1.{suffix}")
    second = write(seconds(y=[1, 2, 3]), tmp_path / f"2.{suffix}")
    gap = f"column 'y' (int64) is in {second}, but not in {first}"
    with refused(et.SchemaError, gap, str(second), "apart"):
        counted(READERS[suffix](tmp_path, time="t")).run()


def test_two_columns_of_one_name(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x,x\n2020-01-01T00:00:00,1,2\n")
    with refused(et.SchemaError, "2 columns are named 'x'", str(path), "rename them"):
        counted(et.read_csv(path, time="t")).run()


NO_TIMES = {
    "csv": "t,x\n,1\n,2\n",
    "jsonl": '{"t":null,"x":1}\n{"t":null,"x":2}\n',
}


@pytest.mark.parametrize("suffix", NO_TIMES)
def test_a_time_column_without_a_value(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text(NO_TIMES[suffix])
    with refused(
        et.TimeColumnError, "time column 't' is null in all 2 rows", str(path), "with schema="
    ):
        counted(READERS[suffix](path, time="t")).run()
    with refused(et.TimeColumnError, "null in all 2 rows", str(path), "holds the event time"):
        counted(READERS[suffix](path, time="t", schema={"t": SECONDS})).run()


def test_times_are_looked_for_by_advise_too(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.csv"
    path.write_text(NO_TIMES["csv"])
    with refused(et.TimeColumnError, "null in all 2 rows", str(path), "with schema="):
        et.advise(et.read_csv(path, time="t"))


def test_a_csv_file_of_nothing_but_a_header(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x\n")
    reason = "no row in 1 file tells the type of time column 't'"
    with refused(et.TimeColumnError, reason, str(path), "with schema="):
        counted(et.read_csv(path, time="t")).run()


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_files_whose_types_differ(suffix: str, tmp_path: Path, refused: Refused) -> None:
    write(seconds(x=[1, 2, 3]), tmp_path / f"1.{suffix}")
    second = write(seconds(x=["a", "b", "c"]), tmp_path / f"2.{suffix}")
    with refused(et.SchemaError, f"but string in {second}", str(second), "apart"):
        counted(READERS[suffix](tmp_path, time="t")).run()


BROKEN = {
    "csv": ("t,x\n1970-01-01 00:00:00,1\n1970-01-01 00:00:01,zwei\n1970-01-01 00:00:02,3\n", 3),
    "jsonl": (
        '{"t":"1970-01-01 00:00:00","x":1}\n{"t":zwei\n{"t":"1970-01-01 00:00:02","x":3}\n',
        2,
    ),
}


@pytest.mark.parametrize("suffix", BROKEN)
def test_a_line_that_does_not_parse_is_an_error(
    suffix: str, tmp_path: Path, refused: Refused
) -> None:
    text, line = BROKEN[suffix]
    path = tmp_path / f"broken.{suffix}"
    path.write_text(text)
    stream = counted(READERS[suffix](path, time="t", schema=TYPES))
    with refused(et.MalformedRowError, "zwei", f"{path}, line {line}", "on_malformed='quarantine'"):
        stream.run(tmp_path / "out.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


@pytest.mark.parametrize("suffix", BROKEN)
def test_a_line_that_does_not_parse_is_set_aside_where_wanted(suffix: str, tmp_path: Path) -> None:
    text, line = BROKEN[suffix]
    path = tmp_path / f"broken.{suffix}"
    path.write_text(text)
    run = counted(READERS[suffix](path, time="t", schema=TYPES, on_malformed="quarantine")).run()
    run.ledger.assert_balanced()
    assert run.table()["n"].to_pylist() == [2]
    (aside,) = run.side("quarantine").to_pylist()
    assert (aside["reason"], aside["line"]) == ("malformed", line)
    assert "zwei" in aside["raw"]
    assert f"{path}, line {line}" in aside["detail"]
    assert run.ledger.total.malformed == 1
