"""How Arrow encodes values is no matter of the checks, what they are is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from eventtime.testing import check
from eventtime.testing import strategies as kit
from eventtime.testing.checking.differences import bytes_of, table_differences

WORDS = pa.dictionary(pa.int8(), pa.string())
KINDS = (
    WORDS,
    pa.dictionary(pa.int32(), pa.float64()),
    pa.run_end_encoded(pa.int32(), pa.int64()),
    pa.list_view(pa.string_view()),
    pa.uuid(),
    pa.fixed_shape_tensor(pa.float32(), [2]),
)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
@settings(max_examples=max(1, settings().max_examples // 10))
def test_cuts_and_restarts_do_not_show(kind: pa.DataType, data: st.DataObject) -> None:
    """S4, S28: in results, late rows and those that are quarantined."""
    schema = pa.schema([("t", pa.timestamp("us")), ("x", kind)])
    marked = et.from_arrow(pa.Table.from_batches([], schema), time="t").watermark(et.ascending())
    window = marked.window(et.tumbling("5m"), allowed_lateness="1m")
    pipeline = window.aggregate(first=et.first("x"), every=et.collect("x"))
    check(pipeline, data.draw(kit.streams(pipeline, max_rows=8)))


def table(values: Any, dictionary: list[str], *, inside: bool = False) -> pa.Table:
    coded = pa.DictionaryArray.from_arrays(pa.array(values, pa.int8()), pa.array(dictionary))
    if not inside:
        return pa.table({"x": coded})
    fields = pa.StructArray.from_arrays([coded], ["a"])
    offsets = pa.array(range(len(coded) + 1), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, coded)
    others = {
        "large": pa.LargeListArray.from_arrays(offsets.cast(pa.int64()), coded),
        "fixed": pa.FixedSizeListArray.from_arrays(coded, 1),
        "m": pa.MapArray.from_arrays(offsets, pa.array(["k"] * len(coded)), coded),
    }
    return pa.table({"s": fields, "l": lists, **others})


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_dictionary_holds_besides_is_no_difference(*, inside: bool) -> None:
    one, other = table([0, None], ["a"], inside=inside), table([1, None], ["b", "a"], inside=inside)
    assert bytes_of(one) == bytes_of(other)
    assert table_differences("late", one, other) == []
    assert table_differences("late", one, table([0, None], ["b"], inside=inside))
    plain = pa.table({"x": pa.array(["a", None])})
    if not inside:
        assert table_differences("late", one, plain) == [
            "late: equal values, but other bytes or types"
        ]
