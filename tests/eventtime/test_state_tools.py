"""State looked into, exported, changed and taken back: S28 holds for what nobody changed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime import state_tools
from lives import steps_of
from saved_states import batches, changed, stream, suspended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS: dict[str, tuple[str, ...]] = {
    "none": (), "text": ("s",), "number": ("k",), "unsigned": ("u",), "day": ("day",),
    "several": ("s", "k", "day"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    with steps_of(64):
        yield


@pytest.mark.parametrize(
    ("keys", "size"), [*((keys, "20s") for keys in KEYS.values()), (KEYS["several"], "all")]
)
def test_an_export_that_nobody_changed_leaves_no_trace(
    keys: tuple[str, ...], size: str, tmp_path: Path
) -> None:
    """S28: rows, sides and ledger are those of a run never disturbed."""
    job = stream(keys, size=size)
    suspended(tmp_path / "state", job)
    state_tools.export_state(tmp_path / "state", tmp_path / "out")
    state_tools.import_state(tmp_path / "out", tmp_path / "again")
    run, wanted = job.run(start_from=tmp_path / "again", shards=3), job.run()
    assert run.table() == wanted.table()
    assert run.side("late") == wanted.side("late")
    assert run.ledger == wanted.ledger
    state_tools.export_state(tmp_path / "again", tmp_path / "twice")
    for file in sorted(tmp_path.glob("out/window-*.parquet")):
        # Empty minima are NaN, which no comparison of values takes for equal.
        assert file.read_bytes() == (tmp_path / "twice" / file.name).read_bytes()


class Counter(et.ProcessFunction):
    """Numbers the rows of each key."""

    n = et.value_state(pa.int64(), default=0)

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        self.n.value += 1
        ctx.emit(s=ctx.key[0], n=self.n.value)


def test_keyed_state_comes_back_as_it_was(tmp_path: Path) -> None:
    source = CutSource({name: batches(name) for name in "ab"})
    marked = et.Stream.read(source).watermark(et.bounded_disorder("15s"))
    output = pa.schema({"s": pa.string(), "n": pa.int64()})
    job = marked.key_by("s").process(Counter(), output=output)
    suspended(tmp_path / "state", job)
    files = state_tools.export_state(tmp_path / "state", tmp_path / "out")
    assert any("keyed" in file.name for file in files)
    assert state_tools.describe_state(tmp_path / "state").ledger.operators[0].assigned > 0
    state_tools.import_state(tmp_path / "out", tmp_path / "again")
    run, wanted = job.run(start_from=tmp_path / "again"), job.run()
    assert run.table() == wanted.table()
    assert run.ledger == wanted.ledger


def test_the_columns_are_readable(tmp_path: Path) -> None:
    suspended(tmp_path / "state", stream(("s", "day"), size="10s"))
    files = state_tools.export_state(tmp_path / "state", tmp_path / "out")
    assert {f.name for f in files} >= {"window-1-slice.parquet", "window-1-closed_window.parquet"}
    table = pq.read_table(tmp_path / "out" / "window-1-slice.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    wanted = {
        "_at": "int64", "_start": "timestamp[us, tz=UTC]", "s": "string", "day": "date32[day]",
        "_rows": "int64", "x.sum": "double", "x.nulls": "int64", "i.sum": "decimal128(38, 0)",
        "u.max": "uint64", "x.moments.mean": "double", "i.max": "int64",
    }  # fmt: skip
    assert wanted.items() <= kinds.items()
    assert {"all.contents", "kinds.contents", "word.contents"} <= set(kinds)
    starts, at = (table.column(c) for c in ("_start", "_at"))
    assert starts.cast(pa.int64()).to_pylist() == [a * 10_000_000 for a in at.to_pylist()]
    state = state_tools.describe_state(tmp_path / "state")
    held = {s.start_us: s.keys for s in state.slices}
    found = table.group_by("_start").aggregate([("_at", "count")]).to_pylist()
    assert {pa.scalar(r["_start"], starts.type).value: r["_at_count"] for r in found} == held


def test_a_changed_value_shows_in_the_result(tmp_path: Path) -> None:
    job = stream(("s",), mode="accumulating", size="10s")
    suspended(tmp_path / "state", job)
    state_tools.export_state(tmp_path / "state", tmp_path / "out")
    told: dict[str, Any] = {}

    def change(table: pa.Table) -> pa.Table:
        last = table.num_rows - 1
        row = table.slice(last).to_pylist()[0]
        told.update(row)
        big = [*table["i.sum"].to_pylist()[:last], Decimal(2) ** 63 - 1]
        sums = [*table["x.sum"].to_pylist()[:last], 1e6]
        names = ["new key" if i == last else s for i, s in enumerate(table["s"].to_pylist())]
        for name, values in (("i.sum", big), ("x.sum", sums), ("s", names)):
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
        return table

    changed(tmp_path / "out" / "window-1-slice.parquet", change)
    state_tools.import_state(tmp_path / "out", tmp_path / "again")
    run = job.run(start_from=tmp_path / "again")
    found = run.table().filter(pc.field("s") == "new key").to_pylist()
    assert [(r["window_start"], r["x"], r["n"]) for r in found] == [
        (told["_start"].replace(tzinfo=found[0]["window_start"].tzinfo), 1e6, told["_rows"])
    ]
    assert found[0]["i"] == pytest.approx((2**63 - 1) / (told["_rows"] - told["i.nulls"]))
    assert "new key" not in job.run().table()["s"].to_pylist()


def test_rows_may_be_left_out_and_added(tmp_path: Path) -> None:
    job = stream(("k",), mode="discarding", size="10s")
    suspended(tmp_path / "state", job)
    state_tools.export_state(tmp_path / "state", tmp_path / "out")

    def change(table: pa.Table) -> pa.Table:
        last = table.slice(table.num_rows - 1)
        copy = last.set_column(3, "k", pa.array([99], pa.int16()))
        return pa.concat_tables([table.slice(0, table.num_rows - 1), copy])

    changed(tmp_path / "out" / "window-1-slice.parquet", change)
    state_tools.import_state(tmp_path / "out", tmp_path / "again")
    assert 99 in job.run(start_from=tmp_path / "again").table()["k"].to_pylist()


def test_an_engine_goes_on_from_a_changed_export_too(tmp_path: Path) -> None:
    job = stream(("s",))
    engine, wanted = et.Engine(job, ["a"]), et.Engine(job, ["a"])
    pushed = batches("a")
    for batch in pushed[:4]:
        engine.push("a", batch)
        wanted.push("a", batch)
    engine.savepoint(tmp_path / "now")
    state_tools.export_state(tmp_path / "now", tmp_path / "out")
    state_tools.import_state(tmp_path / "out", tmp_path / "again")
    engine = et.Engine.restore(job, tmp_path / "again")
    for batch in pushed[4:]:
        engine.push("a", batch)
        wanted.push("a", batch)
    engine.finish_all()
    wanted.finish_all()
    assert engine.results() == wanted.results()
    with pytest.raises(et.CheckpointError, match="is of an engine, not of a replay"):
        job.run(start_from=tmp_path / "again")


def test_a_savepoint_of_a_run_is_not_one_of_an_engine(tmp_path: Path) -> None:
    suspended(tmp_path / "state", stream())
    newest = state_tools.list_states(tmp_path / "state")[0].number
    assert et.savepoint_of(tmp_path / "state", tmp_path / "now") == newest
    with pytest.raises(
        et.CheckpointError, match=r"of a replay, not of an engine\n.*\n.*start_from"
    ):
        et.Engine.restore(stream(), tmp_path / "now")


def test_a_savepoint_is_whole_and_stays(tmp_path: Path) -> None:
    job = stream()
    suspended(tmp_path / "state", job, steps=6)
    listed = state_tools.list_states(tmp_path / "state")
    assert et.savepoint_of(tmp_path / "state", tmp_path / "now", at=listed[1].number) == (
        listed[1].number
    )
    with pytest.raises(et.OutputExistsError):
        et.savepoint_of(tmp_path / "state", tmp_path / "now")
    job.run(checkpoint=et.checkpoints(tmp_path / "state", keep=1))
    assert job.run(start_from=tmp_path / "now").table() == job.run().table()
    with pytest.raises(et.CheckpointError, match="is a savepoint already"):
        et.savepoint_of(tmp_path / "now", tmp_path / "other")


def test_looking_claims_nothing(tmp_path: Path) -> None:
    """Who runs goes on; whoever looks is no newer process."""
    suspended(tmp_path / "state", stream())

    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file()}

    before = files()
    state_tools.list_states(tmp_path / "state")
    state_tools.describe_state(tmp_path / "state")
    assert [v.damage for v in state_tools.verify_state(tmp_path / "state")] == [[], [], []]
    state_tools.compare_states(tmp_path / "state", tmp_path / "state", left_at=3)
    state_tools.export_state(tmp_path / "state", tmp_path / "out")
    et.savepoint_of(tmp_path / "state", tmp_path / "now")
    assert files() == before


def test_what_is_shown_is_what_the_run_says(tmp_path: Path) -> None:
    run = suspended(tmp_path / "state", stream(size="10s"))
    state = state_tools.describe_state(tmp_path / "state")
    total = run.ledger.total
    assert state.rows == total.rows_in - total.waiting
    assert (state.watermark_us, state.results) == (run.report.watermark_us, run.report.results)
    assert {p.name for p in state.partitions} == {"a", "b"}
    assert state.outputs == {"results": "memory: held until the end"}
    kinds = {b.kind: b for b in state.blocks}
    assert kinds["slice"].rows == sum(s.keys for s in state.slices)
    assert 0 < sum(b.new_size for b in state.blocks) <= sum(b.size for b in state.blocks)
    et.savepoint_of(tmp_path / "state", tmp_path / "now")
    of_file = state_tools.describe_state(tmp_path / "now")
    assert (of_file.number, of_file.rows, of_file.slices) == (
        state.number,
        state.rows,
        state.slices,
    )


def test_differences_are_named(tmp_path: Path) -> None:
    suspended(tmp_path / "a", stream())
    suspended(tmp_path / "b", stream(("k",)))
    same = state_tools.compare_states(tmp_path / "a", tmp_path / "a")
    assert same == []
    other = state_tools.compare_states(tmp_path / "a", tmp_path / "b")
    assert state_tools.Difference("pipeline", "window 1, key", "s", "k") in other
    earlier = state_tools.compare_states(tmp_path / "a", tmp_path / "a", left_at=3, right_at=4)
    named = {(d.what, d.name) for d in earlier}
    assert ("progress", "watermark_us") in named
    assert ("partition", "a, position") in named
    assert any(what == "part" for what, _ in named)
