"""Every type as JSON; checked against the json module row by row."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventtime.errors import PlanError, SinkError
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.json_text import json_rows, json_values
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MAPS = pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64()))
FAR_DATES = ['"+010000-01-01"', '"1970-01-01"']
INTERVAL = pa.month_day_nano_interval()
FLOATS = st.floats(width=64)

# Each type with values for it; lists and structs of them are made below.
LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), FLOATS),
    (pa.float32(), st.floats(width=32)),
    (pa.string(), TEXT),
    (pa.large_string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.dictionary(pa.int8(), pa.string()), TEXT),
    (pa.binary(), st.binary(max_size=9)),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.decimal128(20, 4), st.decimals(-(10**9), 10**9, places=4)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "America/New_York"), st.datetimes(timezones=st.just(dt.UTC))),
    (pa.duration("us"), st.integers(-(2**62), 2**62)),
    (pa.null(), st.none()),
]


def expected(value: Any, kind: pa.DataType) -> Any:
    """Say what the json module should read back for a value."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, dict):
        return {field.name: expected(value[field.name], field.type) for field in kind}
    if isinstance(value, list):
        return [expected(item, kind.value_type) for item in value]
    return expected_leaf(value, kind)


def iso_duration(micros: int) -> str:
    days, rest = divmod(abs(micros), 86_400_000_000)
    hours, rest = divmod(rest, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    seconds = f"{Decimal(rest).scaleb(-6):f}".rstrip("0").rstrip(".") if rest else ""
    parts = [f"{hours}H" * bool(hours), f"{minutes}M" * bool(minutes), f"{seconds}S" * bool(rest)]
    time = "".join(parts) or "0S" * (not days)
    return "-" * (micros < 0) + "P" + f"{days}D" * bool(days) + f"T{time}" * bool(time)


def expected_leaf(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_float32(kind):
        return float(str(np.float32(value)))  # the shortest digits that read back as this float32
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
        return text + ("Z" if kind.tz else "")
    if pa.types.is_duration(kind):
        return iso_duration(value)
    return value.isoformat() if isinstance(value, dt.date) else value


@st.composite
def columns(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    kind, values = draw(st.sampled_from(LEAVES))
    for _ in range(draw(st.integers(0, depth))):
        shape = draw(st.sampled_from(["list", "large", "view", "fixed", "struct"]))
        items = st.none() | values
        if shape == "struct":
            name = draw(TEXT)
            kind, values = pa.struct([(name, kind)]), items.map(lambda v, n=name: {n: v})
        elif shape == "fixed":
            kind, values = pa.list_(kind, 2), st.lists(items, min_size=2, max_size=2)
        else:
            made = {"list": pa.list_, "large": pa.large_list, "view": pa.list_view}
            kind = made[shape](kind)
            values = st.lists(items, max_size=3)
    return kind, values


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_each_row_reads_back_by_the_json_module(data: st.DataObject) -> None:
    kind, values = data.draw(columns())
    rows = data.draw(st.lists(st.none() | values, max_size=6))
    skip = data.draw(st.integers(0, len(rows)))
    array = pa.array(rows, kind)
    name = data.draw(TEXT)
    # A slice has offsets into buffers that hold more than its rows.
    lines = json_rows([array.slice(skip)], [name]).to_pylist()
    typed = [
        json.loads(line, parse_float=Decimal if "decimal" in str(kind) else float) for line in lines
    ]
    assert typed == [{name: expected(value, kind)} for value in rows[skip:]]


@given(st.lists(TEXT | st.none()))
@example(['"', "\\", "\\u0000", "\x00\x1f\x7f", "a\nb\r\tc\b\f", "é😀\u2028", ""])
@settings(deadline=None)
def test_strings_are_written_as_the_json_module_does(values: list[str | None]) -> None:
    lines = json_values(pa.array(values, pa.string())).to_pylist()
    assert lines == [json.dumps(value, ensure_ascii=False) for value in values]


@given(st.lists(FLOATS))
@settings(deadline=None)
def test_floats_come_back_to_the_bit_and_stay_floats(values: list[float]) -> None:
    back = [json.loads(line) for line in json_values(pa.array(values, pa.float64())).to_pylist()]
    assert [v if v is None else v.hex() for v in back] == [
        v.hex() if math.isfinite(v) else None for v in values
    ]


@pytest.mark.parametrize(
    ("array", "lines"),
    [
        (pa.array([0, None], pa.timestamp("s", "UTC")), ['"1970-01-01T00:00:00Z"', "null"]),
        (pa.array([-1], pa.timestamp("ns", "UTC")), ['"1969-12-31T23:59:59.999999999Z"']),
        (pa.array([-1], pa.timestamp("ms")), ['"1969-12-31T23:59:59.999"']),
        (pa.array([253_402_300_799], pa.timestamp("s")), ['"9999-12-31T23:59:59"']),
        (pa.array([253_402_300_800], pa.timestamp("s")), ['"+010000-01-01T00:00:00"']),
        (pa.array([2**45, 0], pa.timestamp("s")).slice(1), ['"1970-01-01T00:00:00"']),
        (pa.array([-62_167_219_201], pa.timestamp("s", "UTC")), ['"-000001-12-31T23:59:59Z"']),
        (pa.array([2**62], pa.timestamp("us")), ['"+148108-07-06T14:00:27.387904"']),
        (pa.array([-719_529], pa.int32()).view(pa.date32()), ['"-000001-12-31"']),
        (pa.array([2_932_897, 0]).cast(pa.int32()).view(pa.date32()), FAR_DATES),
        (pa.array([86_400_000], pa.int64()).view(pa.date64()), ['"1970-01-02"']),
        (pa.array([1], pa.time64("us")), ['"00:00:00.000001"']),
        (pa.array([1.5], pa.float16()), ["1.5"]),
        (pa.array([Decimal("1E+5")], pa.decimal128(5, -3)), ["1.00E+5"]),
        (pa.array([Decimal("123456789012345.50")], pa.decimal128(38, 2)), ["123456789012345.50"]),
        (MAPS, ['[{"key":"k","value":1}]', "null", "[]"]),
        (MAPS.slice(1), ["null", "[]"]),
        (pa.array([[1, None], None], pa.list_view(pa.int64())), ["[1,null]", "null"]),
        (pa.array([{}, None], pa.struct([])), ["{}", "null"]),
        (pa.array([{"a": None}, None], pa.struct([("a", pa.int64())])), ['{"a":null}', "null"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), ['"a"', '"a"', "null"]),
        (pa.array([b"\0" * 16], pa.uuid()), [f'"{"A" * 22}=="']),
        (pa.DictionaryArray.from_arrays([0, 1, None], ["x", None]), ['"x"', "null", "null"]),
        (pa.array([], pa.list_(pa.string())), []),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_types_with_a_form_of_their_own(array: pa.Array, lines: list[str]) -> None:
    assert json_values(array).to_pylist() == lines


def test_an_extension_type_is_written_as_its_storage() -> None:
    schema = pa.schema([("id", pa.uuid())])
    check_text_types(schema, "JSON lines")


def test_values_under_a_null_list_do_not_shift_the_others() -> None:
    lists = pa.ListArray.from_arrays(
        [0, 2, 3, 4], [1, 2, 3, 4], mask=pa.array([False, True, False])
    )
    assert json_values(lists).to_pylist() == ["[1,2]", "null", "[4]"]
    assert json_values(lists.slice(1)).to_pylist() == ["null", "[4]"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([("a", pa.int64()), ("a", pa.int64())]), "two columns 'a'"),
        (pa.schema([]), "no column"),
        (pa.schema([("i", pa.list_(INTERVAL))]), "interval in column 'i'"),
        (pa.schema([("u", pa.dictionary(pa.int8(), INTERVAL))]), "column 'u'"),
    ],
)
def test_columns_without_a_form_are_refused_at_open(
    schema: pa.Schema, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SinkError, match=message):
        to_json_lines(tmp_path / "a.jsonl").open(schema)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_the_suffix_chooses_the_compression(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    writer = to_json_lines(path).open(pa.schema([("a", pa.int64())]))
    for start in (0, 70_000):
        writer.write(pa.record_batch({"a": range(start, start + 70_000)}))
    writer.commit()
    with pa.input_stream(str(path)) as stream:
        lines = stream.read().decode().splitlines()
    assert [json.loads(line)["a"] for line in lines] == list(range(140_000))


def test_a_compressed_file_without_rows_is_complete(tmp_path: Path) -> None:
    to_json_lines(tmp_path / "a.gz").open(pa.schema([("a", pa.int64())])).commit()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b""


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(PlanError, match=r"(?s)'rar' is unknown.*gzip, zstd"):
        to_json_lines("a.jsonl", compression="rar")  # type: ignore[arg-type]
