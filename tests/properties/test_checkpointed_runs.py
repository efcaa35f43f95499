"""Runs with checkpoints over every kind of source, killed or suspended: no trace (S27, S28)."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import (
    SCHEMA,
    Where,
    all_null_times,
    batch_of,
    ipc_bytes,
    source_of,
    watermarked,
    windowed,
)
from eventtime.sinks.local_disk import LocalDisk
from eventtime.state.storage import SystemDisk
from eventtime.testing.reference import Aggregate
from strategies import Case, cases, cut, cuts, specs

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.stream import Stream
    from eventtime.testing.reference import Row, Spec


class KilledError(BaseException):
    """What a process that is killed sees last."""


FLAT = pa.schema(
    [pa.field(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in SCHEMA]
)
"""Times as integers, which every format holds, at any distance."""
TEXTS = {"csv", "jsonl"}
FORMATS = ("cut", "memory", "parquet", "folders", "by_column", "union", "ipc", "csv", "jsonl")
LIMITS: Final = (
    None,
    None,
    et.memory_limit(1),
    et.memory_limit(20_000),
    et.memory_limit(1, backend="rocksdb"),
)
OUTPUTS = ("memory", "parquet", "csv", "jsonl", "arrow", "parts", "sqlite")


@dataclass(frozen=True)
class Life:
    """One process.

    Args:
        places: where its partitions are cut, if they are batches.
        shards: threads.
        batch_rows: of what sources hand over; chunk_rows: of a step.
        every_rows: from one checkpoint to the next.
        dies: at which step, or system call of the storage, it dies; None: it is suspended at the
            step.
        memory: the limit on state; None: there is none.
    """

    places: dict[str, list[int]]
    shards: int
    batch_rows: int
    every_rows: int
    step: int | None
    dies: str
    memory: et.MemoryLimit | None


@dataclass(frozen=True)
class Survivor:
    """A run, its input, where its rows go, and its lives. The last one goes on to the end."""

    case: Case
    second: Spec | None
    before: str
    behind: str
    reads: str
    group_rows: int
    broken: list[int]
    writes: str
    late: bool
    chunk_rows: int
    lives: list[Life]

    def limit(self, life: Life) -> et.MemoryLimit | None:
        """Return the limit of a life; what collects over slices is refused with one."""
        specs = [self.case.spec] if self.second is None else [self.case.spec, self.second]
        collects = any(
            spec.slide is not None and any(a.function == "collect" for a in spec.aggregates)
            for spec in specs
        )
        return None if collects else life.memory


@st.composite
def a_life(draw: st.DrawFn, case: Case) -> Life:
    """How one process goes about it, and dies."""
    return Life(
        {name: draw(cuts(rows)) for name, rows in case.partitions.items()},
        draw(st.sampled_from([1, 1, 2, 3])),
        draw(st.sampled_from([1, 3, 10, 1_000])),
        draw(st.sampled_from([1, 1, 2, 5, 11])),
        draw(st.one_of(st.integers(1, 12), st.integers(1, 60))),
        draw(st.sampled_from(["step", "step", "stop", "disk"])),
        draw(st.sampled_from(LIMITS)),
    )


@st.composite
def survivors(draw: st.DrawFn) -> Survivor:
    """Windows of all kinds over all sources, in one to five lives."""
    case = draw(
        cases(floats="free", max_rows=60).filter(lambda c: not all_null_times(c.partitions))
    )
    spec, second = case.spec, None
    if draw(st.sampled_from([False, False, True])):
        spec = replace(spec, behind=Where("b"))
    if draw(st.sampled_from([False, False, True])) and spec.size is not None:
        spec = replace(spec, mode="discarding", aggregates=(Aggregate("rows", "count"),))
        over = (Aggregate("total", "sum", "rows"), Aggregate("all", "collect", "rows"))
        unit = 1 if spec.size is not None and spec.size < 1_000 else 1_000_000
        second = replace(draw(specs(unit=unit)), keys=spec.keys[:1], aggregates=over)
    writes = draw(st.sampled_from(OUTPUTS))
    case = replace(case, spec=spec)
    steps = st.sampled_from(["none", "none", "filter", "map", "column"])
    return Survivor(
        case,
        second,
        draw(steps),
        draw(steps),
        draw(st.sampled_from(FORMATS)),
        draw(st.integers(1, 9)),
        draw(st.lists(st.integers(0, 30), max_size=4)),
        writes,
        draw(st.booleans()),
        draw(st.sampled_from([1, 2, 3, 7])),
        draw(st.lists(a_life(case), min_size=1, max_size=5)),
    )


# Input


def write_input(folder: Path, survivor: Survivor) -> None:
    """Lay the rows out as files."""
    kind = survivor.reads
    for name, rows in survivor.case.partitions.items():
        table = pa.Table.from_batches([batch_of(rows)]).cast(FLAT)
        if kind in {"parquet", "by_column", "union"}:
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=survivor.group_rows)
        elif kind == "folders":
            (folder / name).mkdir()
            middle = len(rows) // 2
            for i, part in enumerate((table.slice(0, middle), table.slice(middle))):
                path = folder / name / f"{i}.parquet"
                pq.write_table(part, path, row_group_size=survivor.group_rows)
        elif kind == "ipc":
            with pa.ipc.new_file(folder / f"{name}.arrow", FLAT) as writer:
                writer.write_table(table, max_chunksize=survivor.group_rows)
        elif kind == "csv":
            sink = pa.BufferOutputStream()
            pyarrow.csv.write_csv(table, sink)
            lines = sink.getvalue().to_pybytes().decode().splitlines()
            write_lines(folder / f"{name}.csv", lines[:1], lines[1:], "1,oops", survivor.broken)
        elif kind == "jsonl":
            lines = [json.dumps(finite(row)) for row in table.to_pylist()]
            write_lines(folder / f"{name}.jsonl", [], lines, '{"t": tru', survivor.broken)


def finite(row: Row) -> Row:
    """JSON has neither infinities nor NaN."""
    return {n: None if isinstance(v, float) and v - v != 0 else v for n, v in row.items()}


def write_lines(path: Path, head: list[str], lines: list[str], odd: str, broken: list[int]) -> None:
    """Write lines with some in between that do not parse."""
    for at in sorted(broken, reverse=True):
        lines.insert(min(at, len(lines)), odd)
    path.write_text("".join(line + "\n" for line in [*head, *lines]))


def read_input(folder: Path, survivor: Survivor, places: dict[str, list[int]] | None) -> Stream:
    """Read them again."""
    partitions, kind = survivor.case.partitions, survivor.reads
    how: dict[str, Any] = {"time": "t", "time_unit": "us"}
    if kind == "cut":
        pieces = {name: cut(r, (places or {}).get(name, [])) for name, r in partitions.items()}
        return source_of({}, pieces)
    if kind == "memory":
        tables = {
            name: pa.Table.from_batches([batch_of(part) for part in cut(rows, [len(rows) // 3])])
            for name, rows in partitions.items()
        }
        return et.from_arrow(tables, time="t")
    if kind == "union":
        return et.union(
            *(et.read_parquet(folder / f"{name}.parquet", **how) for name in sorted(partitions))
        )
    if kind in TEXTS:
        how |= {"on_malformed": "quarantine", "schema": FLAT}
    if kind in PARTITIONS:
        how["partition_by"] = PARTITIONS[kind]
    read: Callable[..., Stream] = READERS.get(kind, et.read_parquet)
    return read(folder, **how)


READERS = {"ipc": et.read_ipc, "csv": et.read_csv, "jsonl": et.read_json_lines}
PARTITIONS = {"by_column": et.by_column("name"), "folders": "folder"}


# Pipeline


def turned(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Negate a column."""
    place = batch.schema.get_field_index("x")
    return batch.set_column(place, "x", pc.negate(batch.column("x")))


def stepped(stream: Stream, step: str) -> Stream:
    """Add a step."""
    if step == "filter":
        return stream.filter(pc.field("n") != 3)
    if step == "map":
        return stream.map_batches(turned, schema=stream.schema)
    if step == "column":
        return stream.with_columns(x=pc.add(pc.field("x"), pc.scalar(0.5)))
    return stream


def pipeline(
    folder: Path, survivor: Survivor, places: dict[str, list[int]] | None = None
) -> Stream:
    """The whole of it."""
    stream = stepped(read_input(folder, survivor, places), survivor.before)
    marked = stepped(watermarked(stream, survivor.case.spec), survivor.behind)
    first = windowed(marked, survivor.case.spec)
    return first if survivor.second is None else windowed(first, survivor.second)


def targets(folder: Path, survivor: Survivor) -> dict[str, Any]:
    """Where rows go."""
    made: dict[str, Any] = {}
    match survivor.writes:
        case "memory":
            pass
        case "parts":
            made["sink"] = et.to_parquet(folder / "out", parts=True)
        case "sqlite":
            made["sink"] = et.to_sqlite(folder / "out.db", table="rows")
        case suffix:
            made["sink"] = folder / f"out.{suffix}"
    if survivor.late:
        made["sides"] = {"quarantine": folder / "aside.jsonl"}
    return made


# Lives


def watching(life: Life) -> dict[str, Any]:
    """What ends a life at a step."""
    left = [life.step]

    def is_over(*_: object) -> bool:
        left[0] = None if left[0] is None else left[0] - 1
        if left[0] == 0 and life.dies == "step":
            raise KilledError
        return left[0] == 0

    if life.step is None or life.dies == "disk":
        return {}
    return {"stop": is_over} if life.dies == "stop" else {"progress": is_over}


def dying(life: Life) -> Callable[[Any], Any]:
    """Make system calls of the storage of which one is the last."""
    left = [life.step]

    def wrapped(call: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            if life.dies == "disk" and left[0] is not None:
                left[0] -= 1
                if left[0] <= 0:
                    raise KilledError
            return call(*arguments)

        return counted

    return wrapped


CALLS = ("create", "write", "sync", "rename", "unlink", "mkdir", "sync_folder", "list")


def live(folder: Path, survivor: Survivor, life: Life) -> et.Run | None:
    """Run one life; None if it was killed."""
    with ExitStack() as stack:
        stack.enter_context(patch("eventtime.replay.CHUNK_ROWS", survivor.chunk_rows))
        stack.enter_context(patch("eventtime.execution._BATCH_ROWS", life.batch_rows))
        for text in ("csvfile", "jsonlines"):
            name = f"eventtime.sources.{text}.block_bytes"
            stack.enter_context(patch(name, return_value=30 * life.batch_rows))
        wrapped = dying(life)
        # Outputs clean up after themselves, which nobody does who is dead: their calls all work.
        for call in CALLS:
            stack.enter_context(patch.object(LocalDisk, call, getattr(LocalDisk, call)))
        for call in CALLS:
            stack.enter_context(patch.object(SystemDisk, call, wrapped(getattr(SystemDisk, call))))
        where = et.checkpoints(folder / "state", every=None, every_rows=life.every_rows)
        try:
            run = pipeline(folder / "in", survivor, life.places).run(
                checkpoint=where,
                shards=life.shards,
                memory=survivor.limit(life),
                **targets(folder, survivor),
                **watching(life),
            )
        except KilledError:
            return None
        run.assert_balanced()
        return run if run.is_finished else None


def left_by(folder: Path, survivor: Survivor, run: et.Run) -> dict[str, object]:
    """Everything that shows, to the byte."""
    found: dict[str, object] = {
        tag: ipc_bytes(run.side(tag)) for tag in run.tags if tag not in run.taken
    }
    found["ledger"] = run.ledger.to_dict()
    if survivor.writes == "memory":
        found["results"] = ipc_bytes(run.table())
    elif survivor.writes == "parts":
        paths = sorted((folder / "out").glob("part-*"))
        tables = [pq.read_table(path, partitioning=None) for path in paths]
        found["results"] = ipc_bytes(pa.concat_tables(tables)) if tables else None
        if tables and not sum(map(len, tables)):
            found["results"] = None
    elif survivor.writes == "sqlite":
        with sqlite3.connect(folder / "out.db") as db:
            found["results"] = db.execute("SELECT * FROM rows ORDER BY rowid").fetchall()
        db.close()
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".db":
            found[path.name] = path.read_bytes()
    return found


def check(survivor: Survivor) -> None:
    """Compare a run that dies several times with one that does not."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        folder, quiet = Path(one), Path(other)
        (folder / "in").mkdir()
        write_input(folder / "in", survivor)
        try:
            whole = pipeline(folder / "in", survivor).run(**targets(quiet, survivor))
        except et.EventTimeError:
            return
        run = None
        for life in survivor.lives:
            run = live(folder, survivor, life)
        last = replace(survivor.lives[-1], step=None)
        run = run or live(folder, survivor, last)
        assert run is not None
        assert left_by(folder, survivor, run) == left_by(quiet, survivor, whole)


@settings(max_examples=settings().max_examples // 4)  # each is several runs
@given(survivors())
def test_a_run_that_died_is_one_that_did_not(survivor: Survivor) -> None:
    with patch("os.fsync"):
        check(survivor)
