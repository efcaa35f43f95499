"""What jobs leave behind that were killed and started again until they were done."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from engine_runs import ipc_bytes
from kills.jobs import FOLDERS, Job, table_in
from kills.tracer import Tracer

if TYPE_CHECKING:
    from kills.nursery import Ended, Life, Nursery
    from kills.tracer import Call, Fault

__all__ = ("Lives", "assert_nothing_is_left", "committed", "part_files")

_KEPT: Final = 2
_SECONDS: Final = 280


class Lives:
    """Runs jobs in processes of their own.

    Args:
        nursery: starts them.
        folders: for them to work in.
        dsn: of a PostgreSQL server; '': there is none.
    """

    def __init__(self, nursery: Nursery, folders: pytest.TempPathFactory, dsn: str) -> None:
        self.nursery = nursery
        self._dsn = dsn
        self._folders = folders
        self._says = folders.mktemp("says")
        self._numbers = itertools.count()
        self._undisturbed: dict[Job, tuple[Job, Any, float]] = {}
        self._calls: dict[Job, list[Call]] = {}

    def job(self, **how: Any) -> Job:
        """A job in a folder of its own."""
        return self.job_in(self._folders.mktemp("job"), **how)

    def job_in(self, folder: Path, **how: Any) -> Job:
        """A job in this folder."""
        folder.mkdir(exist_ok=True)
        if how.get("sink") == "postgres" and not self._dsn:
            missing = "no PostgreSQL server is installed"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
        return Job(str(folder), dsn=self._dsn, **how)

    def undisturbed(self, job: Job) -> tuple[Job, Any, float]:
        """The same job when nobody disturbs it, what it says, and the seconds that it takes."""
        like = replace(job, folder="", shards=1)
        if like not in self._undisturbed:
            whole = replace(like, folder=self.job().folder)
            life = self.start(whole)
            began = time.perf_counter()
            life.go()
            ended = life.ended()
            assert ended.is_done, ended.said
            assert bool(ended.said["blocks"]) == bool(job.backend)
            self._undisturbed[like] = whole, ended.said, time.perf_counter() - began
        return self._undisturbed[like]

    def without_checkpoints(self, job: Job) -> Job:
        """The same job without any, and all in memory."""
        return self.undisturbed(replace(job, every_rows=None, every_ms=None, backend=""))[0]

    def start(self, job: Job, **how: Any) -> Life:
        """Start a process, which waits."""
        says = self._says / f"{next(self._numbers)}.json"
        return self.nursery.start(job, says, **how)

    def run(self, job: Job, *, kill_after: float | None = None, **how: Any) -> Ended:
        """Run a process to its end, or kill it after so many seconds."""
        life = self.start(job, **how)
        life.go()
        seconds = _SECONDS if kill_after is None else kill_after
        killer = threading.Timer(seconds, life.send, [signal.SIGKILL])
        killer.start()
        try:
            return life.ended()
        finally:
            killer.cancel()
            killer.join()

    def meet(self, job: Job, fault: Fault | None) -> Ended:
        """Run a process that this befalls."""
        return self._traced(job, fault)[0]

    def calls(self, job: Job) -> list[Call]:
        """The system calls on files, in order, of the same job when nobody disturbs it."""
        like = replace(job, folder="")
        if like not in self._calls:
            whole = replace(like, folder=self.job().folder)
            ended, self._calls[like] = self._traced(whole, None)
            assert ended.is_done, ended.said
        return self._calls[like]

    def _traced(self, job: Job, fault: Fault | None) -> tuple[Ended, list[Call]]:
        life = self.start(job)
        tracer = Tracer(life.pid, Path(job.folder), fault)
        tracer.attach()
        life.go()
        ended = life.ended()
        tracer.join()
        return ended, tracer.calls

    def assert_equal_to_undisturbed(self, job: Job, said: Any) -> None:
        """What is committed, the ledger and what is left over are those of a quiet run."""
        whole = self.without_checkpoints(job)
        assert committed(job) == committed(whole)
        assert {**said, "blocks": 0} == {**self.undisturbed(whole)[1], "blocks": 0}
        if job.sink in FOLDERS and job.every_ms is None:
            in_memory = self.undisturbed(replace(job, backend=""))[0]
            assert part_files(job) == part_files(in_memory)
        assert_nothing_is_left(job)


def committed(job: Job) -> dict[str, bytes]:
    """The rows that readers see, by output and folder, in order; of single files each byte."""
    folder = Path(job.folder)
    found = {"late": job.late.read_bytes()}
    if job.sink in _TABLES:
        return found | {"windows": repr(_TABLES[job.sink](job, folder)).encode()}
    if job.sink not in FOLDERS:
        (file,) = folder.glob("out.*")
        return found | {file.name: file.read_bytes()}
    parts: dict[str, list[Path]] = {}
    for path in sorted((folder / "out").rglob("part-*")):
        parts.setdefault(path.parent.name, []).append(path)
    return found | {day: _rows(paths) for day, paths in parts.items()}


def _of_sqlite(_: Job, folder: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(folder / "out.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute("SELECT * FROM windows ORDER BY rowid").fetchall()


def _of_duckdb(_: Job, folder: Path) -> list[Any]:
    with duckdb.connect(folder / "out.duckdb") as db:
        # As Arrow: Python's times of DuckDB need pytz.
        rows: list[Any] = (
            db.sql("SELECT * FROM windows ORDER BY rowid").to_arrow_table().to_pylist()
        )
        return rows


def _of_delta(_: Job, folder: Path) -> list[Any]:
    # A table without an order.
    rows = DeltaTable(folder / "out").to_pyarrow_table().to_pylist()
    return sorted(repr(row) for row in rows)


def _of_postgres(job: Job, folder: Path) -> list[Any]:
    # The place of a row says nothing of its order: room of what was not committed is used again.
    with psycopg.connect(job.dsn) as db:
        rows = db.execute(f'SELECT * FROM "{table_in(folder)}"'.encode()).fetchall()
    return sorted(repr(row) for row in rows)


_TABLES: Final = {
    "sqlite": _of_sqlite,
    "duckdb": _of_duckdb,
    "delta": _of_delta,
    "postgres": _of_postgres,
}


def _rows(paths: list[Path]) -> bytes:
    if paths[0].suffix == ".parquet":
        tables = [pq.read_table(path, partitioning=None) for path in paths]
        return ipc_bytes(pa.concat_tables(tables))
    texts = [path.read_bytes().split(b"\n", 1) for path in paths]
    assert len({header for header, _ in texts}) == 1
    return texts[0][0] + b"\n" + b"".join(text for _, text in texts)


def part_files(job: Job) -> dict[str, bytes]:
    """The part files of a folder, each byte."""
    out = Path(job.folder) / "out"
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("part-*")}


def assert_nothing_is_left(job: Job) -> None:
    """Nothing is in the folder but outputs and what checkpoints need."""
    folder = Path(job.folder)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    manifests = sorted((folder / "state" / "manifests").iterdir())
    assert 1 <= len(manifests) <= _KEPT, manifests
    packs = {
        pack["name"] for path in manifests for pack in json.loads(path.read_bytes()[:-33])["packs"]
    }
    assert {path.name for path in (folder / "state" / "packs").iterdir()} == packs
    claims = [path.name for path in (folder / "state" / "claims").iterdir()]
    assert len(claims) == 1, claims
    known = (
        r"state/.*|late\.csv|out\.(parquet|csv\.gz|db|duckdb)|out/_eventtime/(epochs\.json|lock)"
    )
    known += r"|out/([^/]+=[^/]+/)?part-\d{8}-\d+\.[a-z]+"
    if job.sink == "delta":  # whose log, not the names in the folder, says what is in the table
        known += r"|out/.*"
    odd = sorted(name for name in files if not re.fullmatch(known, name))
    assert not odd
