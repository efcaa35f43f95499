"""Views and run ends are laid out as plain values, whatever is inside and wherever they are cut."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.encodings import laid_out, row_type
from eventtime.testing import strategies as kit
from eventtime.testing.values import VALUES

TEXT, NUMBERS = pa.string_view(), pa.list_view(pa.int8())
KINDS = (
    TEXT,
    pa.binary_view(),
    NUMBERS,
    pa.large_list_view(pa.list_view(TEXT)),
    pa.list_(TEXT),
    pa.large_list(pa.field("own", TEXT)),
    pa.list_(NUMBERS, 2),
    pa.struct([pa.field("a", TEXT, nullable=False), ("b", NUMBERS)]),
    pa.list_view(pa.struct([("a", pa.map_(pa.string(), NUMBERS))])),
    pa.map_(pa.string(), TEXT),
)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_values_are_the_same_and_can_be_picked(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(kit.values(pa.field("x", kind)), max_size=6))
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(values))] * 2)))
    array = pa.array(values, kind)[slice(*cuts)]
    plain = laid_out(array, row_type(kind))
    plain.validate(full=True)
    assert plain.type == row_type(kind)
    assert "view" not in str(plain.type)
    assert plain.to_pylist() == array.to_pylist()
    assert plain.take(pa.array(range(len(plain)), pa.int64())).to_pylist() == plain.to_pylist()


@given(st.lists(st.sampled_from(["a", "b", None])), st.data())
def test_run_ends_are_values(values: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values)))
    runs = pc.run_end_encode(pa.array(values, pa.string()))[start:]
    assert laid_out(runs, row_type(runs.type)).equals(pa.array(values[start:], pa.string()))


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"string_view"}))
def test_other_types_are_left_alone(name: str) -> None:
    kind = VALUES[name].type
    assert row_type(kind) == kind
    assert laid_out(VALUES[name], kind) is VALUES[name]


@pytest.mark.parametrize("kind", [TEXT, pa.run_end_encoded(pa.int32(), pa.string()), NUMBERS])
def test_a_source_has_them_as_plain_columns(kind: pa.DataType) -> None:
    """S9: results and late rows."""
    values = [None if pa.types.is_list_view(kind) else "a", [1] if kind == NUMBERS else "b"]
    table = pa.table(
        {"t": pa.array([7_200, 0], pa.timestamp("s")), "x": pa.array(values, kind)},
    )
    windows = et.from_arrow(table, time="t").watermark(et.ascending()).window(et.tumbling("1h"))
    ran = windows.aggregate(x=et.last("x")).run()
    assert ran.table()["x"].to_pylist() == values[:1]
    assert ran.side("late")["x"].to_pylist() == values[1:]
    assert ran.side("late").schema.field("x").type == row_type(kind)


TABLE = pa.table({"t": pa.array([0, 3_600, 3_700, 0], pa.timestamp("s")), "x": list("abcd")})
SOURCE = et.from_arrow(TABLE, time="t")
OUTPUT = {
    TEXT: "a",
    pa.run_end_encoded(pa.int32(), pa.string()): "a",
    NUMBERS: [1, 2],
}


def last(stream: et.Stream) -> list[Any]:
    ran = stream.window(et.tumbling("1h")).aggregate(x=et.last("x")).run()
    assert ran.side("late").num_rows == 1
    values: list[Any] = ran.table()["x"].to_pylist()
    return values


@pytest.mark.parametrize("kind", OUTPUT, ids=str)
def test_functions_may_make_them(kind: pa.DataType) -> None:
    """Before the watermark, and before a window behind a process function, by row and by batch."""
    value = OUTPUT[kind]

    def mapped(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(1, "x", pa.array([value] * len(batch), kind))

    schema = pa.schema([TABLE.schema.field("t"), ("x", kind)])
    for told in (None, schema):
        stream = SOURCE.map_batches(mapped, schema=told).watermark(et.ascending())
        assert last(stream) == [value, value]
    keyed = SOURCE.watermark(et.ascending()).key_by("x")

    class ByBatch(et.ProcessFunction):
        def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
            ctx.emit_rows(mapped(batch), rows=range(len(batch) - 1, -1, -1))

    for function in (lambda ctx, row: ctx.emit(t=row["t"], x=value), ByBatch()):
        ran = keyed.process(function, output=schema, sides={"aside": schema}).run()
        assert ran.table()["x"].to_pylist() == [value] * 4
        assert ran.table().schema.field("x").type == row_type(kind)
        assert ran.side("aside").schema == ran.table().schema


def test_expressions_may_make_them() -> None:
    marked = SOURCE.with_columns(x=pc.field("x").cast(TEXT)).watermark(et.ascending())
    assert last(marked) == ["a", "c"]
