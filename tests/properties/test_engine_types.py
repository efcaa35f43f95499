"""Every aggregate on every type it suits, and keys of all types, equal the oracle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import assert_ledger, assert_rows, rows_of, source_of, stream_of
from eventtime.testing.reference import Aggregate, Spec, replay
from strategies import specs

if TYPE_CHECKING:
    from eventtime.testing.reference import Row

CENTS = st.integers(-(10**7), 10**7).map(lambda n: Decimal(n).scaleb(-2))
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], str]] = {
    "i8": (pa.int8(), st.integers(-128, 127), "number"),
    "u16": (pa.uint16(), st.integers(0, 2**16 - 1), "number"),
    # Large and close together would have a spread that is not as exact as the oracle's.
    "u64": (pa.uint64(), st.integers(0, 2**10).map(lambda n: n << 30), "number"),
    "u64_high": (pa.uint64(), st.sampled_from([0, 1, 2**63, 2**64 - 1]), "order"),
    "i64_high": (pa.int64(), st.sampled_from([-(2**63), -1, 0, 2**63 - 1]), "order"),
    "f32": (pa.float32(), st.integers(-64, 64).map(lambda n: n / 8), "number"),
    "cents": (pa.decimal128(12, 2), CENTS, "number"),
    "flag": (pa.bool_(), st.booleans(), "flag"),
    "day": (pa.date32(), st.dates(date(1950, 1, 1), date(2050, 1, 1)), "order"),
    "moment": (pa.timestamp("us"), st.integers(-9, 9), "time"),
    "span": (pa.duration("us"), st.integers(-9, 9), "span"),
    "text": (pa.large_string(), st.sampled_from(["", "a", "ab", "b", "é"]), "order"),
    "raw": (pa.binary(), st.sampled_from([b"", b"\x00", b"a\xff", b"a"]), "order"),
    "word": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("xyz"), "any"),
}
ANY = ("count", "first", "last")
LISTS = ("count_distinct", "collect")
FUNCTIONS = {
    "number": (*ANY, *LISTS, "sum", "mean", "min", "max", "var", "stddev"),
    "order": (*ANY, *LISTS, "min", "max"),
    "flag": (*ANY, *LISTS, "any", "all", "sum", "mean"),
    "time": (*ANY, "min", "max", "count_distinct"),
    "span": (*ANY, "min", "max", "sum", "count_distinct"),
    "any": (*ANY, *LISTS),
}
ALL = [Aggregate(f"{f}_{name}", f, name) for name, v in VALUES.items() for f in FUNCTIONS[v[2]]]

KEYS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "k_i8": (pa.int8(), st.integers(-2, 1)),
    "k_u64": (pa.uint64(), st.sampled_from([0, 1, 2**63, 2**64 - 1])),
    "k_i64": (pa.int64(), st.sampled_from([-(2**63), -1, 0, 2**63 - 1])),
    "k_flag": (pa.bool_(), st.booleans()),
    "k_day": (pa.date32(), st.dates(date(1969, 12, 30), date(1970, 1, 2))),
    "k_moment": (pa.timestamp("us"), st.integers(-1, 1)),
    "k_text": (pa.string(), st.sampled_from(["", "a", "ab", "é", "much longer than eight bytes"])),
    "k_large": (pa.large_string(), st.sampled_from(["", "b", "c"])),
    "k_raw": (pa.binary(), st.sampled_from([b"", b"\x00", b"\xff", b"a\x00"])),
    "k_word": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["z", "y", "x"])),
}


@dataclass(frozen=True)
class Typed:
    """A replay over columns of any type."""

    spec: Spec
    schema: pa.Schema
    partitions: dict[str, list[Row]]


@st.composite
def typed_cases(draw: st.DrawFn) -> Typed:
    """Some value columns, no to three key columns, some aggregates that suit."""
    keys = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=3, unique=True))
    wanted = draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=5, unique=True))
    columns = sorted({str(a.column) for a in wanted})
    spec = replace(
        draw(specs(unit=1_000)), keys=tuple(keys), aggregates=tuple(wanted), max_future=None
    )
    cells = {"t": st.integers(-30, 30).map(lambda n: n * 1_000)}
    cells |= {"mark": st.one_of(st.none(), cells["t"]), "is_mark": st.booleans()}
    cells |= {name: st.one_of(KEYS[name][1], st.none()) for name in keys}
    cells |= {name: st.one_of(VALUES[name][1], st.none()) for name in columns}
    types = {"t": pa.timestamp("us"), "mark": pa.timestamp("us"), "is_mark": pa.bool_()}
    types |= {name: KEYS[name][0] for name in keys} | {name: VALUES[name][0] for name in columns}
    row = st.fixed_dictionaries(cells).map(lambda drawn: {name: drawn[name] for name in types})
    rows = st.lists(row, max_size=15)
    return Typed(spec, pa.schema(types), {name: draw(rows) for name in ("a", "b")})


def check_types(case: Typed) -> None:
    """Results and late rows, with types as Python has them."""
    run = stream_of(source_of(case.partitions, schema=case.schema), case.spec).run()
    oracle = replay(case.partitions, case.spec)
    assert_rows(run.table(), oracle.results)
    assert_rows(run.side("late"), oracle.late)
    assert_ledger(run.ledger, oracle)


@given(typed_cases())
def test_aggregates_and_keys_of_every_type_equal_the_oracle(case: Typed) -> None:
    check_types(case)


def check_time_types(case: Typed) -> None:
    """Event time of another unit, type or zone changes nothing but the type of the bounds."""
    spec = replace(case.spec, keys=(), aggregates=(Aggregate("rows", "count"),))
    oracle = replay(case.partitions, spec)
    for kind, unit in (
        (pa.timestamp("ns"), 1_000),
        (pa.timestamp("ms", "Europe/Berlin"), 0),
        (pa.timestamp("us", "UTC"), 1),
    ):
        scaled = {
            name: [row | {"t": row["t"] * unit if unit else row["t"] // 1_000} for row in rows]
            for name, rows in case.partitions.items()
        }
        schema = case.schema.set(case.schema.get_field_index("t"), pa.field("t", kind))
        table = stream_of(source_of(scaled, schema=schema), spec).run().table()
        assert table.schema.field("window_start").type == kind
        as_us = table.set_column(0, "window_start", _us(table.column(0)))
        assert_rows(as_us.set_column(1, "window_end", _us(table.column(1))), oracle.results)


def _us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.timestamp("us"))


@given(typed_cases())
def test_units_and_zones_of_time_do_not_show(case: Typed) -> None:
    check_time_types(case)


def test_many_keys_grow_every_table() -> None:
    n, hour = 30_000, 3_600_000_000
    numbers = np.random.default_rng(7).permutation(n) % 9_001
    keys = [None if k == 5 else int(k) - 4_000 for k in numbers]
    names = [None if k is None else f"key number {k}" for k in keys]
    times = np.sort(np.random.default_rng(8).integers(-2 * hour, 2 * hour, n)).tolist()
    batch = pa.record_batch(
        {"t": pa.array(times, pa.timestamp("us")), "k": pa.array(keys, pa.int64()), "s": names}
    )
    for columns in (["k"], ["s"], ["s", "k"]):
        stream = et.from_arrow(batch, time="t").watermark(et.ascending()).key_by(*columns)
        hourly = stream.window(et.tumbling("1h")).aggregate(rows=et.count())
        runs = [hourly.run(shards=shards).table() for shards in (1, 2, 3)]
        assert runs[0].equals(runs[1])
        assert runs[0].equals(runs[2])
        wanted = Counter((t // hour * hour, k) for t, k in zip(times, keys, strict=True))
        found = rows_of(runs[0])
        if columns != ["s"]:
            assert {(r["window_start"], r["k"]): r["rows"] for r in found} == wanted
        assert sum(row["rows"] for row in found) == n
        assert len(found) == len(wanted)
