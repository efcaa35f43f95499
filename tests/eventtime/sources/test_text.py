"""CSV and JSON lines: every row is delivered or named, wherever blocks are cut."""

from __future__ import annotations

import gzip
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventtime.errors import MalformedRowError, PlanError, SchemaError, SourceError
from eventtime.sources import MalformedRows, Poll, by_column
from eventtime.sources.datafile import DataFile
from eventtime.sources.jsonlines import parse_objects
from eventtime.sources.marks import Mark
from eventtime.sources.textblocks import Block, parse_blocks, read_blocks
from sourcing import csv_source, json_lines_source, parquet_source

CSV = "t,x,s\n2013-01-01 05:17:00,1,a\n2013-01-01 05:18:00,oops,b\n2013-01-01 05:19:00.5,3\n,4,\n"
JSON = (
    '{"t":"2013-01-01T05:17:00.5Z","x":1}\n\n{"t":"2013-01-01T05:17:01Z","x":\n'
    '{"x":2}{"x":3}\n{"x":"y"}\n{"x":null,"q":[1,2]}'
)


def local(path: Path) -> DataFile:
    from pyarrow import fs

    return DataFile(fs.LocalFileSystem(), str(path), path.stat().st_size)


def test_bad_csv_rows_are_quarantined_at_their_place(tmp_path: Path, read_all: Any) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    source = csv_source(path, time="t", on_malformed="quarantine", schema={"x": pa.int64()})
    (rows,) = read_all(source).values()
    assert rows[0] == {"t": datetime(2013, 1, 1, 5, 17), "x": 1, "s": "a"}  # noqa: DTZ001 - no zone
    assert [row["line"] for row in rows[1:3]] == [3, 4]
    assert [row["raw"] for row in rows[1:3]] == CSV.splitlines()[2:4]
    assert rows[1]["error"].startswith(f"{path}, line 3: In CSV column #1: CSV conversion error")
    assert "Expected 3 columns, got 2" in rows[2]["error"]
    assert rows[3] == {"t": None, "x": 4, "s": None}


def test_a_bad_csv_row_is_an_error_with_file_line_text_and_reason(
    tmp_path: Path, read_all: Any
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    with pytest.raises(MalformedRowError) as caught:
        read_all(csv_source(path, time="t", schema={"x": pa.int64()}))
    assert caught.value.place == f"{path}, line 3"
    assert "invalid value 'oops'" in caught.value.what
    assert "'2013-01-01 05:18:00,oops,b'" in caught.value.what
    assert "on_malformed='quarantine'" in caught.value.remedy


def test_a_row_is_only_judged_by_columns_that_are_read(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.csv").write_text("t,x\n1,1\n2,oops\n")
    source = csv_source(tmp_path / "a.csv", time="t", schema={"x": pa.int64()})
    assert read_all(source, ["t"]) == {"a.csv": [{"t": 1}, {"t": 2}]}


def test_bad_json_lines_are_quarantined_at_their_place(tmp_path: Path, read_all: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(JSON)
    source = json_lines_source(path, time="t", on_malformed="quarantine")
    assert source.schema().field("t").type == pa.timestamp("us", "UTC")
    (rows,) = read_all(source).values()
    assert rows[0] == {"t": datetime(2013, 1, 1, 5, 17, 0, 500_000, UTC), "x": 1, "q": None}
    assert [row["line"] for row in rows[1:4]] == [3, 4, 5]
    assert rows[2]["raw"] == '{"x":2}{"x":3}'
    assert "each line must hold exactly one" in rows[2]["error"]
    assert rows[4] == {"t": None, "x": None, "q": [1, 2]}


def test_a_bad_json_line_is_an_error_with_its_line(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.jsonl").write_text(JSON)
    with pytest.raises(MalformedRowError, match="JSON parse error: Invalid value") as caught:
        read_all(json_lines_source(tmp_path / "a.jsonl", time="t"))
    assert caught.value.place == f"{tmp_path / 'a.jsonl'}, line 3"


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_time_that_is_a_number_is_told_what_its_type_is(unit: Any) -> None:
    """Epoch milliseconds, as many write them; the parser reads times of text only."""
    wanted = pa.schema({"t": pa.timestamp(unit), "s": pa.string()})
    said = rf"'t' is a number, .* int64.* time_unit='{unit}'"
    with pytest.raises(pa.ArrowInvalid, match=said):
        parse_objects(b'{"t":1,"s":"x"}', wanted)
    with pytest.raises(pa.ArrowInvalid, match=r"Column\(/s\) changed from string to number"):
        parse_objects(b'{"t":"1970-01-01","s":1}', wanted)


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["7", "8\r", "bad", "", "123456789"]), max_size=60),
    size=st.integers(1, 40),
    ends=st.booleans(),
)
def test_blocks_keep_every_line_and_its_number(lines: list[str], size: int, *, ends: bool) -> None:
    def parse(data: bytes) -> pa.RecordBatch:
        try:
            values = [int(line) for line in data.split()]
        except ValueError as error:
            raise pa.ArrowInvalid(str(error)) from error
        return pa.RecordBatch.from_pydict({"x": values})

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.txt"
        path.write_bytes(("\n".join(lines) + "\n" * ends).encode())
        good: list[int] = []
        bad: list[tuple[int, str]] = []
        for _, rows in parse_blocks(str(path), read_blocks(local(path), size), parse, "quarantine"):
            if isinstance(rows, MalformedRows):
                bad += [(row["line"], row["raw"]) for row in rows.rows.to_pylist()]
            else:
                good += rows.column(0).to_pylist()
    assert good == [int(line) for line in lines if line.strip().isdigit()]
    assert bad == [(number, line) for number, line in enumerate(lines, 1) if line == "bad"]


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.text('ab\n",', max_size=6), min_size=1, max_size=30))
def test_quoted_line_ends_belong_to_the_row_when_allowed(values: list[str]) -> None:
    rows = [f'{i},"{value.replace(chr(34), chr(34) * 2)}"' for i, value in enumerate(values)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_text("t,s\n" + "\n".join(rows) + "\n", newline="")
        for size in (7, 1 << 20):
            blocks = list(read_blocks(local(path), size, quoted_newlines=True))
            assert b"".join(block.data for block in blocks) == path.read_bytes()
            assert all(block.data.count(b'"') % 2 == 0 for block in blocks)
        types = {"s": pa.string()}
        source = csv_source(path, time="t", newlines_in_values=True, schema=types)
        (reader,) = source.open(["s"], 1000)
        batch = reader.read()
        assert not isinstance(batch, MalformedRows | Poll)
        assert batch.column(0).to_pylist() == values
        assert reader.read() is Poll.END
        reader.close()


def test_a_quoted_line_end_is_malformed_wherever_the_block_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('t,s\n1,"a\nb"\n2,c\n')
    source = csv_source(path, time="t", on_malformed="quarantine", schema={"t": pa.int64()})
    with pytest.raises(MalformedRowError, match="line 2"):
        csv_source(path, time="t", schema={"t": pa.int64()}).open(None, 10)[0].read()
    (reader,) = source.open(None, 10)
    lines: list[int] = []
    while (item := reader.read()) is not Poll.END:
        lines += [] if isinstance(item, pa.RecordBatch) else item.rows["line"].to_pylist()
    assert lines == [2, 3]


def test_headers_may_name_columns_in_any_order_but_the_same(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.csv").write_text("t,x\n1,2\n")
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbfx,t\r\n4,3\r\n")
    (tmp_path / "c.tsv").write_text("x\tt\n6\t5\n")
    found = read_all(csv_source(tmp_path, time="t"))
    assert list(found.values()) == [
        [{"t": 1, "x": 2}],
        [{"t": 3, "x": 4}],
        [{"t": 5, "x": 6}],
    ]
    (tmp_path / "d.csv").write_text("t,y\n1,2\n")
    with pytest.raises(
        SchemaError, match=r"column 'x' \(int64\) is in .*a\.csv, but not in .*d\.csv"
    ):
        csv_source(tmp_path, time="t").schema()


def test_compressed_files_are_read_and_cut_ones_named(tmp_path: Path, read_all: Any) -> None:
    text = "t,x\n" + "".join(f"{i},{i % 7}\n" for i in range(50_000))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    (rows,) = read_all(csv_source(tmp_path, time="t"), ["t"]).values()
    assert [row["t"] for row in rows] == list(range(50_000))
    path.write_bytes(gzip.compress(text.encode())[:-5000])
    with pytest.raises(SourceError, match="the file cannot be read") as caught:
        read_all(csv_source(path, time="t", schema={"t": pa.int64()}), ["t"])
    assert caught.value.place.startswith(str(path))


def test_types_come_from_the_first_file_with_rows(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.csv").write_text("t,x,n\n")
    (tmp_path / "b.csv").write_text("t,x,n\n2013-01-01,1.5,\n")
    source = csv_source(tmp_path, time="t")
    assert source.schema().types == [pa.date32(), pa.float64(), pa.string()]
    assert len(read_all(source)["b.csv"]) == 1
    only_header = csv_source(tmp_path / "a.csv", time="t")
    assert only_header.schema().types == [pa.string()] * 3
    assert read_all(only_header) == {"a.csv": []}


def test_a_type_for_an_unknown_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,x\n1,2\n")
    with pytest.raises(SchemaError, match="schema= names a column 'y'") as caught:
        csv_source(tmp_path, time="t", schema={"y": pa.int64()}).schema()
    assert caught.value.remedy == "the columns are t, x"


def test_json_fields_that_come_later_are_read_if_named(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.jsonl").write_text('{"t":1}\n')
    (tmp_path / "b.jsonl").write_text('{"t":2,"late":5}\n')
    source = json_lines_source(tmp_path, time="t", schema={"late": pa.int64()})
    assert read_all(source) == {
        "a.jsonl": [{"t": 1, "late": None}],
        "b.jsonl": [{"t": 2, "late": 5}],
    }


def test_files_without_anything_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(SchemaError, match="there is no JSON object in 1 file"):
        json_lines_source(tmp_path, time="t").schema()
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(SourceError, match="the file is empty"):
        csv_source(tmp_path, time="t").schema()
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(SourceError, match="the file is empty"):
        csv_source(tmp_path / "b.csv.gz", time="t").schema()


def test_malformed_rows_count_once_over_partitions_by_value(tmp_path: Path, read_all: Any) -> None:
    (tmp_path / "a.csv").write_text("t,k\n1,a\n2\n3,b\n")
    source = csv_source(
        tmp_path / "a.csv", time="t", partition_by=by_column("k"), on_malformed="quarantine"
    )
    found = read_all(source)
    assert [row.get("line") for row in found["k=a"]] == [None, 3]
    assert found["k=b"] == [{"t": 3, "k": "b"}]
    (tmp_path / "b.csv").write_text("t,k\n2\n")
    alone = csv_source(
        tmp_path / "b.csv", time="t", partition_by=by_column("k"), on_malformed="quarantine"
    )
    assert [row["line"] for row in read_all(alone)["k is null"]] == [2]


def test_options_of_another_kind_are_refused() -> None:
    with pytest.raises(PlanError, match="on_malformed='drop' is unknown"):
        csv_source("a.csv", time="t", on_malformed="drop")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="schema=7 is not a schema"):
        json_lines_source("a.jsonl", time="t", schema=7)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eventtime.sources import textblocks

    monkeypatch.setattr(textblocks, "LINE_BYTES_MAX", 100)
    (tmp_path / "a.csv").write_bytes(b"t" * 1000)
    with pytest.raises(SourceError, match="line 1 is longer than"):
        list(read_blocks(local(tmp_path / "a.csv"), 64))


def test_a_long_bad_line_is_shown_in_part() -> None:
    def fails(data: bytes) -> pa.RecordBatch:
        raise pa.ArrowInvalid(f"{len(data)} bytes")  # noqa: EM102

    file = DataFile(None, "f", 1)
    with pytest.raises(MalformedRowError) as caught:
        list(parse_blocks(file.path, iter([Block(Mark(0, 7), b"x" * 500)]), fails, "error"))
    assert "x" * 200 + "…" in caught.value.what
    assert "x" * 201 not in caught.value.what


def test_a_text_file_is_no_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(SourceError, match="this is not a parquet file"):
        parquet_source(tmp_path / "a.csv", time="t").schema()


# A time column whose values do not all parse (S12).

TIMES = {
    "2024-01-01 10:00:0{}": pa.timestamp("us"),
    "2024-01-01T10:00:0{}.25": pa.timestamp("us"),
    "2024-01-01T10:00:0{}+02:00": pa.timestamp("us", "UTC"),
    "2024-01-01T10:00:0{}.000000001Z": pa.timestamp("ns", "UTC"),
    "170000000{}": pa.int64(),
}


@pytest.mark.parametrize("bad", ["soon", "2024-13-45 10:00:00", "1.5"])
@pytest.mark.parametrize("pattern", TIMES)
@pytest.mark.parametrize("reader", [csv_source, json_lines_source])
def test_a_time_that_does_not_parse_is_set_aside_wherever_it_stands(
    reader: Any, pattern: str, bad: str, tmp_path: Path, read_all: Any
) -> None:
    for place in range(5):
        times = [pattern.format(i) for i in range(4)]
        times.insert(place, bad)
        is_csv = reader is csv_source
        numbers = TIMES[pattern] == pa.int64()
        texts = [time if numbers and time.isdigit() else f'"{time}"' for time in times]
        lines = ["t", *times] if is_csv else [f'{{"t":{text}}}' for text in texts]
        (tmp_path / "a.txt").write_text("\n".join(lines))
        source = reader(tmp_path / "a.txt", time="t", on_malformed="quarantine")
        assert source.schema().field("t").type == TIMES[pattern]
        (rows,) = read_all(source).values()
        assert [i for i, row in enumerate(rows) if "raw" in row] == [place]
        assert rows[place]["line"] == place + 1 + is_csv
        assert bad in rows[place]["raw"]
        with pytest.raises(MalformedRowError, match=f"line {place + 1 + is_csv}"):
            read_all(reader(tmp_path / "a.txt", time="t"))


def test_a_json_number_among_texts_of_times_is_set_aside(tmp_path: Path, read_all: Any) -> None:
    lines = ['{"t":5}', '{"t":"2024-01-01 10:00:00"}', '{"t":[1]}', '{"t":"2024-01-01 10:00:01"}']
    lines += ['{"t":"6"}', '{"t":"2024-01-01 10:00:03"}', "{}", '{"t":null}']
    lines += ['{"t":"2024-01-01 10:00:04"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = json_lines_source(tmp_path / "a.jsonl", time="t", on_malformed="quarantine")
    assert source.schema() == pa.schema({"t": pa.timestamp("us")})
    (rows,) = read_all(source).values()
    assert [row["line"] for row in rows if "raw" in row] == [1, 3, 5]


@pytest.mark.parametrize("bad", [2, 3])
def test_the_time_column_has_the_type_of_more_than_half_of_its_values(
    bad: int, tmp_path: Path
) -> None:
    lines = ["t,x", *["2024-01-01,"] * 2, *["NA,"] * 9, ",", *["1 May,"] * (bad - 1)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    kind = csv_source(tmp_path / "a.csv", time="t").schema().field("t").type
    assert kind == (pa.timestamp("us") if bad == 2 else pa.string())


def test_a_type_that_is_given_is_not_inferred(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t\n2024-01-01\n2024-01-02\nsoon\n")
    source = csv_source(tmp_path / "a.csv", time="t", schema={"t": pa.string()})
    assert source.schema().field("t").type == pa.string()


# Empty fields.


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), None])
@pytest.mark.parametrize("quoted", [False, True])
def test_an_empty_text_is_null_unless_it_is_quoted(
    kind: pa.DataType | None, tmp_path: Path, read_all: Any, *, quoted: bool
) -> None:
    words = ["", "NA", "null", "a", '"b ""c"""', '""'] if quoted else ["", "NA", "null", "a"]
    lines = ["t,s,x", *(f"{i},{word},{'NA' if i % 2 else i}" for i, word in enumerate(words))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    schema = {"s": kind or pa.dictionary(pa.int32(), pa.string())}
    (rows,) = read_all(csv_source(tmp_path / "a.csv", time="t", schema=schema)).values()
    texts = [row["s"].decode() if isinstance(row["s"], bytes) else row["s"] for row in rows]
    assert texts == [None, "NA", "null", "a", 'b "c"', ""][: len(words)]
    assert [row["x"] for row in rows] == [None if i % 2 else i for i in range(len(words))]


# JSON lines whose files differ.


def test_json_files_of_other_fields_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"t":1,"x":1,"y":null}\n')
    (tmp_path / "b.jsonl").write_text('{"t":1,"x":"1","y":1}\n')
    (tmp_path / "c.jsonl").write_text('{"t":1,"x":1.5,"y":2.5}\n')
    (tmp_path / "d.jsonl").write_text('{"t":1,"y":1,"z":2}\n\n')
    (tmp_path / "e.jsonl").write_text("\n")

    def schema(*names: str, **types: pa.DataType) -> pa.Schema:
        paths = [tmp_path / f"{name}.jsonl" for name in names]
        return json_lines_source(paths, time="t", schema=types).schema()

    a, b, d = (tmp_path / f"{name}.jsonl" for name in "abd")
    with pytest.raises(SchemaError, match=f"column 'x' is int64 in {a}, but string in {b}"):
        schema("a", "b")
    with pytest.raises(SchemaError, match=rf"'x' \(int64\) is in {a}, but not in {d}") as caught:
        schema("a", "d", "e")
    assert "schema=" in caught.value.remedy
    with pytest.raises(SchemaError, match=rf"'z' \(int64\) is in {d}, but not in {a}"):
        schema("a", "d", x=pa.int64())
    types = {"x": pa.float64(), "z": pa.int64()}
    found = schema("a", "c", "d", "e", **types)
    assert found == pa.schema({"t": pa.int64(), "y": pa.float64(), **types})
    assert schema("c", "a").field("x").type == pa.float64()
