"""Rows over a wire: cut anywhere they are the same; what cannot be read says where it stood."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.sources.address import address
from eventtime.sources.base import MalformedRows
from eventtime.sources.wire import Wire, wire

SCHEMA = pa.schema([("t", pa.int64()), ("x", pa.string())])


def coming(form: str, on_malformed: Any = "quarantine") -> Wire:
    return wire(form, SCHEMA, "t", "s", on_malformed, place="here")


def rows_of(numbers: range) -> pa.RecordBatch:
    values = [["", "b", None, "ü,ü", 'a"b'][n % 5] for n in numbers]
    return pa.record_batch([list(numbers), values], schema=SCHEMA)


def arrow(batches: list[pa.RecordBatch]) -> bytes:
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return stream.getvalue()


def encoded(form: str) -> bytes:
    batch = rows_of(range(40))
    if form == "arrow":
        text = batch.set_column(1, "x", batch.column("x").dictionary_encode())
        plain = text.select(["x", "t"]).append_column("more", pa.array([0.5] * 40))
        return arrow([plain.slice(0, 13), plain.slice(13)])
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in batch.to_pylist()).encode()
    quoted = [
        '"' + (x or "").replace('"', '""') + '"' if x is not None else ""
        for x in batch["x"].to_pylist()
    ]
    return "".join(
        ["x,t\n", *(f"{x},{t}\n" for x, t in zip(quoted, range(40), strict=True))]
    ).encode()


@pytest.mark.parametrize("form", ["jsonl", "csv", "arrow"])
@given(cuts=st.lists(st.integers(0, 3_000), max_size=30))
def test_rows_do_not_depend_on_how_the_bytes_are_cut(form: str, cuts: list[int]) -> None:
    """S4."""
    data = encoded(form)
    if form == "arrow":  # dictionaries are no columns of the schema: they are sent as text
        data = arrow([rows_of(range(13)), rows_of(range(13, 40))])
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    decoder = coming(form).decoder(None, "here")
    items: list[Any] = []
    for start, end in itertools.pairwise(edges):
        items += decoder.feed(data[start:end])
    items += decoder.end()
    assert (
        pa.Table.from_batches(items)
        .combine_chunks()
        .equals(pa.Table.from_batches([rows_of(range(40))]))
    )


def test_arrow_takes_columns_by_name_and_dictionaries() -> None:
    """Other columns are left out; dictionaries come in messages of their own."""
    schema = pa.schema([("t", pa.int64()), ("x", pa.dictionary(pa.int32(), pa.string()))])
    decoder = wire("arrow", schema, "t", "s", "quarantine", place="").decoder(["x", "t"], "here")
    data = encoded("arrow")
    items: list[Any] = [rows for byte in data for rows in decoder.feed(bytes([byte]))]
    table = pa.Table.from_batches(items)
    assert table.column("t").to_pylist() == list(range(40))
    assert table.column("x").to_pylist() == rows_of(range(40)).column("x").to_pylist()


def test_rows_that_do_not_parse_are_set_aside_with_their_line() -> None:
    decoder = coming("jsonl").decoder(None, "connection-1")
    first, bad, last = decoder.feed(b'{"t": 1}\n{"t": "soon"}\n{"t": 3}\n')
    assert isinstance(first, pa.RecordBatch)
    assert isinstance(last, pa.RecordBatch)
    assert isinstance(bad, MalformedRows)
    (row,) = bad.rows.to_pylist()
    assert (row["line"], row["raw"]) == (2, '{"t": "soon"}')
    assert row["error"].startswith("connection-1, line 2: ")


def test_a_last_line_without_its_end_is_taken_only_if_it_cannot_be_half_of_one() -> None:
    assert coming("jsonl").decoder(None, "").feed(b'{"t": 1}') == []
    decoder = coming("jsonl").decoder(None, "")
    decoder.feed(b'{"t": 12}')
    assert isinstance(decoder.end()[0], pa.RecordBatch)
    decoder = coming("csv").decoder(None, "here")
    decoder.feed(b"t,x\n1,a\n12")
    (bad,) = decoder.end()
    assert isinstance(bad, MalformedRows)
    assert "may have been cut short" in bad.rows.to_pylist()[0]["error"]
    decoder = coming("csv", "error").decoder(None, "here")
    decoder.feed(b"t,x\n12")
    with pytest.raises(et.MalformedRowError, match="cut short"):
        decoder.end()


@pytest.mark.parametrize(
    ("form", "data", "says"),
    [
        ("arrow", b"GET / HTTP/1.1\r\n\r\n", "a message begins with"),
        ("arrow", b"\xff\xff\xff\xff\x00\x00\x00\x7f", "metadata of 2,130,706,432 bytes"),
        ("arrow", b"\xff\xff\xff\xff\x20\x00\x00\x00" + b"\xee" * 32, "no stream of Arrow"),
        ("arrow", arrow([pa.record_batch({"t": [1]})]), "column 'x'"),
        ("csv", b"t,y\n1,2\n", "no column 'x'"),
        ("csv", b"\xff\xfe\n", "header line does not parse"),
    ],
)
def test_what_cannot_be_read_on_says_why(form: str, data: bytes, says: str) -> None:
    decoder = coming(form).decoder(None, "connection-1")
    with pytest.raises(et.SourceError, match=says) as raised:
        decoder.feed(data)
    assert raised.value.place.startswith("connection-1")


def test_rows_in_front_of_what_cannot_be_read_are_not_lost() -> None:
    data = arrow([rows_of(range(3))])[:-8]
    decoder = coming("arrow").decoder(None, "here")
    (rows,) = decoder.feed(data + b"rubbish, and more")
    assert not isinstance(rows, MalformedRows)
    assert rows.num_rows == 3
    with pytest.raises(et.SourceError, match="begins with"):
        decoder.end()
    lines: Any = coming("jsonl").decoder(None, "here")
    lines.line_bytes_max = 20
    assert len(lines.feed(b'{"t": 1}\n{"x": "' + b"y" * 30)) == 1
    with pytest.raises(et.SourceError, match="line 2 is longer than 20 bytes"):
        lines.feed(b"y")


def test_a_stream_that_breaks_off_is_told() -> None:
    decoder = coming("arrow").decoder(None, "here")
    decoder.feed(arrow([rows_of(range(3))])[:-20])
    with pytest.raises(et.SourceError, match="ends inside a message"):
        decoder.end()


@pytest.mark.parametrize("text", ["", "x", "host", "1:2:3", ":99999", "unix:", 5, "http://x:1"])
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(et.PlanError, match="no address"):
        address(text, place="here")


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "xml"},
        {"on_malformed": "drop"},
        {"schema": None},
        {"schema": {}},
        {"time": "y"},
        {"time": "x", "time_unit": None},
        {"connections": 0},
        {"connect": "yes"},
    ],
)
def test_wrong_arguments_are_refused_at_the_door(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"schema": SCHEMA, "time": "t", "time_unit": "s"}
    with pytest.raises(et.PlanError):
        et.read_socket(":0", **{**right, **wrong})
