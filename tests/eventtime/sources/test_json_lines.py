"""JSON lines: each is one object, or malformed, whatever stands around it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from eventtime.errors import MalformedRowError
from eventtime.sources import MalformedRows
from eventtime.sources.datafile import DataFile
from eventtime.sources.jsonlines import JsonLinesFormat, parse_objects, parse_together
from eventtime.sources.marks import FILE_START
from sourcing import json_lines_source

OBJECT = b'{"x":1}'
OBJECTS = (OBJECT, b'{"x":2,"y":{}}', b'{"y":"\xc3\xa9"}')
NO_OBJECTS = (
    b"null", b"5", b'"s"', b"[1]", b"true", OBJECT + b"null", OBJECT + b" " + OBJECT,
    b'{"x":', b'{"x":[{}', b"{}]}", b"}",
    b'{"y":"\xff"}', b'{"\xc3":1}', b'{"\xed\xa0\x80":1}',
)  # fmt: skip


@pytest.mark.parametrize("first", NO_OBJECTS)
def test_a_line_that_is_no_json_object_is_malformed(
    first: bytes, tmp_path: Path, read_all: Any
) -> None:
    """S12. The parser takes null for a row of nulls; as the first it ends the process."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(first + b"\n" + OBJECT + b"\n")
    (rows,) = read_all(json_lines_source(path, time="x", on_malformed="quarantine")).values()
    assert rows[0]["line"] == 1
    assert rows[0]["raw"] == first.decode(errors="replace")
    assert rows[1:] == [{"x": 1}]
    with pytest.raises(MalformedRowError) as caught:
        read_all(json_lines_source(path, time="x"))
    assert caught.value.place == f"{path}, line 1"


def test_a_line_of_json_that_is_no_object_or_no_text_says_so(tmp_path: Path, read_all: Any) -> None:
    for bad, reason in ((b"null", "it is no JSON object"), (b'{"y":"\xe9"}', "it is no UTF-8")):
        (tmp_path / "a.jsonl").write_bytes(OBJECT + b"\n" + bad)
        with pytest.raises(MalformedRowError, match=f"{reason}.*; the line is ") as caught:
            read_all(json_lines_source(tmp_path / "a.jsonl", time="x"))
        assert caught.value.place == f"{tmp_path / 'a.jsonl'}, line 2"


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from([*[OBJECT] * 4, b"", b" ", '{"y":"é"}'.encode(), *NO_OBJECTS]), max_size=30
    ),
    end=st.sampled_from([b"\n", b"\r\n"]),
    size=st.integers(1, 200),
    ends=st.booleans(),
)
def test_lines_of_json_are_judged_one_by_one_wherever_blocks_are_cut(
    lines: list[bytes], end: bytes, size: int, *, ends: bool
) -> None:
    """S4, S12. Among them such as make one object, or as many rows as lines, only together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(end.join(lines) + end * ends)
        how = JsonLinesFormat("x", "quarantine")
        types = pa.schema({"x": pa.int64()})
        file = DataFile(fs.LocalFileSystem(), str(path), path.stat().st_size)
        good, bad = 0, list[int]()
        with mock.patch("eventtime.sources.jsonlines.block_bytes", return_value=size):
            for _, rows in how.scan(file, types, ["x"], 1, None, FILE_START):
                if isinstance(rows, MalformedRows):
                    bad += rows.rows.column("line").to_pylist()
                else:
                    good += rows.num_rows
    assert bad == [number for number, line in enumerate(lines, 1) if line in NO_OBJECTS]
    assert good == sum(bool(line.strip()) for line in lines) - len(bad)


@given(
    texts=st.lists(
        st.lists(
            st.sampled_from([*[OBJECT, b'{"x":2,"y":{}}', b'{"y":"\xc3\xa9"}'] * 8, *NO_OBJECTS]),
            min_size=1,
        ),
        min_size=1,
        max_size=4,
    ),
    end=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
)
def test_texts_parsed_together_have_the_rows_they_have_alone(
    texts: list[list[bytes]], end: bytes
) -> None:
    """S4, S12: where one is not plain, or has a line that is no object, none is parsed."""
    wanted = pa.schema([("x", pa.int64())])
    given_texts = [end.join(lines) + end for lines in texts]
    together = parse_together(given_texts, wanted)
    is_good = not any(line in NO_OBJECTS for lines in texts for line in lines)
    assert (together is not None) == (is_good and end != b"\n\n")
    if together is not None:
        assert together == [parse_objects(text, wanted) for text in given_texts]
