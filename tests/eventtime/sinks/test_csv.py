"""CSV: fields quoted where they must be, null apart from the empty string."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventtime.sinks.csv import csv_fields, to_csv

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 9)), max_size=8))
@example([('"', 'a,"b"\r\n', 1), ("", " x ", 2), ("a\rb", "\n", 3)])
@settings(deadline=None)
def test_rows_read_back_by_the_csv_module(rows: list[tuple[str, str, int]]) -> None:
    texts = [
        csv_fields(pa.array([row[i] for row in rows], t)).to_pylist()
        for i, t in enumerate([pa.string(), pa.large_string(), pa.int64()])
    ]
    lines = "".join(",".join(fields) + "\n" for fields in zip(*texts, strict=True))
    back = list(csv.reader(io.StringIO(lines, newline="")))
    assert back == [[a, b, str(n)] for a, b, n in rows]


@pytest.mark.parametrize(
    ("array", "fields"),
    [
        (pa.array(["a", "", None]), ["a", '""', ""]),
        (pa.array(["a", "b,c"]).dictionary_encode(), ["a", '"b,c"']),
        (pa.array([1.0, math.nan, math.inf, -math.inf]), ["1.0", "NaN", "inf", "-inf"]),
        (pa.array([1.5, None]), ["1.5", ""]),
        (pa.array([0, None], pa.timestamp("s", "Europe/Berlin")), ["1970-01-01T00:00:00Z", ""]),
        (pa.array([[1.5, None], [], None]), ['"[1.5,null]"', "[]", ""]),
        (pa.array([{"a": "x"}]), ['"{""a"":""x""}"']),
        (pa.array([b"\xff", None]), ["/w==", ""]),
        (pa.array([True, None]), ["true", ""]),
        (pa.array([5_400_000_000, 90_061_000_005, None], pa.duration("us")),
         ["PT1H30M", "P1DT1H1M1.000005S", ""]),
        (pa.array([0, 172_800, -90], pa.duration("s")), ["PT0S", "P2D", "-PT1M30S"]),
        (pa.array([1_500], pa.duration("ms")), ["PT1.5S"]),
        (pa.array([-(2**63) + 1, 1], pa.duration("ns")),
         ["-P106751DT23H47M16.854775807S", "PT0.000000001S"]),
        (pa.RunEndEncodedArray.from_arrays([2], ["a"]), ["a", "a"]),
        (pa.array(["a", 'b"', "c"]).slice(0, 1), ["a"]),
        (pa.array([], pa.string()), []),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_fields_of_each_type(array: pa.Array, fields: list[str]) -> None:
    assert csv_fields(array).to_pylist() == fields


@given(st.integers(-(2**62), 2**62), st.sampled_from(["s", "ms", "us", "ns"]))
def test_durations_are_read_back_by_pandas(ticks: int, unit: str) -> None:
    ticks //= {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    (text,) = csv_fields(pa.array([ticks], pa.duration(unit))).to_pylist()
    assert pd.Timedelta(text) == pd.Timedelta(ticks, unit)


def test_the_header_is_quoted_like_a_field(tmp_path: Path) -> None:
    rows = pa.record_batch({"a": [1], 'say "b", c': [2]})
    writer = to_csv(tmp_path / "a.csv").open(rows.schema)
    writer.write(rows)
    writer.commit()
    assert (tmp_path / "a.csv").read_bytes() == b'a,"say ""b"", c"\n1,2\n'
    assert pacsv.read_csv(tmp_path / "a.csv").schema.names == rows.schema.names


def test_parts_carry_the_suffix_of_the_compression(tmp_path: Path) -> None:
    rows = pa.record_batch({"window_start": pa.array([0], pa.date32()), "b": [2]})
    writer = to_csv(tmp_path / "out", partition_by="day", compression="gzip").open(rows.schema)
    writer.write(rows)
    writer.commit()
    assert pacsv.read_csv(tmp_path / "out/window_day=1970-01-01/part-0.csv.gz")[
        "b"
    ].to_pylist() == [2]


@pytest.mark.parametrize(
    ("unit", "least"),
    [
        ("s", "-292277022657-01-27T08:29:52"),
        ("ms", "-292275055-05-16T16:47:04.192"),
        ("us", "-290308-12-21T19:59:05.224192"),
    ],
)
def test_the_least_of_all_times_is_one(unit: str, least: str) -> None:
    times = pa.array([-(2**63), 0], pa.int64()).view(pa.timestamp(unit))
    assert csv_fields(times).to_pylist()[0] == least
