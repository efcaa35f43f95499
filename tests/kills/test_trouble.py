"""Storage that fails, is damaged or gone: a clear error or a right answer, never a wrong one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from kills.jobs import SINKS
from kills.lives import committed
from kills.tracer import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kills.jobs import Job
    from kills.lives import Lives
    from kills.tracer import Call

NIGHTLY = os.environ.get("EVENTTIME_KILLS") == "nightly"
CLEAR = ("CheckpointError", "SinkError", "OutputExistsError", "SourceError")
ROWS = {"every_rows": 8_000, "reads": "generated"}


def goes_on(lives: Lives, job: Job) -> None:
    ended = lives.run(job)
    assert ended.is_done, ended.said
    lives.assert_equal_to_undisturbed(job, ended.said)


# In processes of their own


@pytest.mark.parametrize("limit", [5_000, 40_000])
@pytest.mark.parametrize("sink", ["parquet", "parts", "sqlite"])
def test_files_that_may_not_grow(lives: Lives, sink: str, limit: int) -> None:
    job = lives.job(sink=sink, **ROWS)
    ended = lives.run(job, limit=limit)
    assert ended.said[0] in CLEAR, ended.said
    assert "fix:" in ended.said[1]
    goes_on(lives, job)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of a given size, which can be given another; needs root."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(how: str) -> Path:
        is_there = place.is_mount()
        what = f"remount,{how}" if is_there else how
        subprocess.run(["mount", "-t", "tmpfs", "-o", what, "none", str(place)], check=True)
        return place

    try:
        sized("size=256k")
    except (OSError, subprocess.CalledProcessError):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("only root may mount a disk")
    yield sized
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("sink", ["parquet", "days", "sqlite"])
def test_a_disk_that_is_full_and_then_is_not(
    lives: Lives, sink: str, small_disk: Callable[[str], Path]
) -> None:
    job = lives.job_in(small_disk("size=256k") / "job", sink=sink, **ROWS)
    for size in (256, 256, 400, 700):
        small_disk(f"size={size}k")
        ended = lives.run(job)
        if ended.is_done:
            break
        assert ended.said[0] in CLEAR, ended.said
        assert re.search("No space left|disk is full", ended.said[1]), ended.said
    small_disk("size=50m,ro")
    ended = lives.run(job)
    assert ended.said[0] in CLEAR, ended.said
    small_disk("rw")
    goes_on(lives, job)


def from_the(n: int, name: str) -> Callable[[Call], bool]:
    """Whether it is the n-th call of this name, or a later one."""
    numbers = itertools.count(1)
    return lambda call: call.name.startswith(name) and next(numbers) >= n


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("fault", ["EACCES", "EROFS", "EIO"])
@pytest.mark.parametrize("call", ["openat", "rename", "fsync"])
def test_what_was_allowed_is_so_no_longer(lives: Lives, call: str, fault: str) -> None:
    for n in range(2, 20) if NIGHTLY else (5,):
        job = lives.job(sink="parts", **ROWS)
        ended = lives.meet(job, Fault(from_the(n, call), getattr(errno, fault)))
        if ended.is_done:  # there were fewer
            break
        assert ended.said[0] in CLEAR, ended.said
        goes_on(lives, job)


def wait_for_checkpoints(job: Job, n: int) -> None:
    manifests = Path(job.folder) / "state" / "manifests"
    while not manifests.exists() or not any(
        int(path.name.partition("-")[2].removesuffix(".tmp")) >= n for path in manifests.iterdir()
    ):
        time.sleep(0.002)


@pytest.mark.parametrize("n", [1, 3] if NIGHTLY else [2])
@pytest.mark.parametrize("sink", SINKS)
def test_a_process_that_slept_commits_nothing_more(lives: Lives, sink: str, n: int) -> None:
    job = lives.job(sink=sink, reads="generated", every_rows=2_000)
    old = lives.start(job)
    old.go()
    wait_for_checkpoints(job, n)
    old.send(signal.SIGSTOP)
    newer = lives.run(job)
    before = committed(job) if newer.is_done else {}
    if not newer.is_done:
        # The older one holds a lock on the output, which it loses when it ends.
        assert newer.said[0] == "SinkError", newer.said
        assert re.search("another|lock", newer.said[1]), newer.said
    old.send(signal.SIGCONT)
    slept = old.ended()
    assert slept.is_done or slept.said[0] == "FencedError", slept.said
    if newer.is_done:
        assert slept.said[0] == "FencedError"
        assert committed(job) == before
    goes_on(lives, job)


# In this process, on small streams


class KilledError(BaseException):
    """What a process that is killed sees last."""


@pytest.fixture
def small_chunks() -> Iterator[None]:
    with patch("eventtime.replay.CHUNK_ROWS", 64), patch("eventtime.execution._BATCH_ROWS", 50):
        yield


def table(name: str, n: int = 400) -> pa.Table:
    draw = np.random.default_rng(ord(name))
    times = (np.arange(n) - draw.integers(0, 40, n)) * 1_000_000
    return pa.table(
        {"t": pa.array(times).view(pa.timestamp("us")), "i": np.arange(n), "x": draw.normal(size=n)}
    )


def write_input(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in "ab":
        pq.write_table(table(name), folder / f"{name}.parquet", row_group_size=90)
    return folder


def stream(inputs: Path) -> et.Stream:
    marked = et.read_parquet(inputs, time="t").watermark(et.bounded_disorder("20s"))
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"), i=et.first("i"))


def every_step(folder: Path, **how: Any) -> et.Checkpoints:
    return et.checkpoints(folder / "state", every=None, every_rows=1, **how)


def run(folder: Path, sink: Any = None, dies_at: int | None = None) -> et.Run:
    left: list[int | None] = [dies_at]

    def watch(_: et.ProgressReport) -> None:
        left[0] = None if left[0] is None else left[0] - 1
        if left[0] == 0:
            raise KilledError

    return stream(folder / "in").run(sink, checkpoint=every_step(folder), progress=watch)


@pytest.fixture
def half_done(tmp_path: Path, small_chunks: None) -> Path:
    """A folder with input, and checkpoints of a run that was killed in the middle."""
    write_input(tmp_path / "in")
    with pytest.raises(KilledError):
        run(tmp_path, dies_at=8)
    return tmp_path


def assert_right_or_refused(folder: Path, wanted: pa.Table, ledger: et.Ledger) -> bool:
    """Whether it was refused, with a way out; otherwise all is as it should be."""
    refused: et.EventTimeError | None = None
    found = None
    try:
        found = run(folder)
    except et.EventTimeError as error:
        refused = error
    if refused is not None:
        assert refused.remedy, refused
        return True
    assert found is not None
    assert found.table() == wanted
    assert found.ledger == ledger
    return False


def every_damage(folder: Path, damage: Callable[[Path], Iterator[str]]) -> dict[str, int]:
    """Do each damage to each file of the checkpoints, and go on; returns how many were refused."""
    whole = stream(folder / "in").run()
    wanted, refused = whole.table(), {"claims": 0, "manifests": 0, "packs": 0}
    kept = folder / "kept"
    shutil.copytree(folder / "state", kept)
    for path in sorted(path for path in kept.rglob("*") if path.is_file()):
        again = folder / "state" / path.relative_to(kept)
        shutil.rmtree(folder / "state")
        shutil.copytree(kept, folder / "state")
        for _ in damage(again):
            is_refused = assert_right_or_refused(folder, wanted, whole.ledger)
            refused[again.parent.name] += is_refused
            shutil.rmtree(folder / "state")
            shutil.copytree(kept, folder / "state")
    return refused


def flips(path: Path) -> Iterator[str]:
    data, draw = path.read_bytes(), np.random.default_rng(len(path.name))
    for place in sorted({0, len(data) - 1, *draw.integers(0, len(data), 6).tolist()}):
        bit = 1 << int(draw.integers(8))
        path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        yield f"bit {bit} of byte {place}"


def test_a_flipped_bit_in_each_file(half_done: Path) -> None:
    refused = every_damage(half_done, flips)
    assert refused["manifests"] >= 8
    assert refused["packs"] >= 3


def cuts(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        yield f"cut to {length}"
    path.unlink()
    yield "gone"


def test_each_file_cut_short_or_gone(half_done: Path) -> None:
    refused = every_damage(half_done, cuts)
    assert refused["manifests"] >= 4
    assert refused["packs"] >= 5


def test_a_newer_format_is_refused(half_done: Path) -> None:
    newest = max(
        (half_done / "state" / "manifests").iterdir(), key=lambda path: int(path.name.split("-")[1])
    )
    fields = json.loads(newest.read_bytes()[:-33])
    fields["format"]["major"] += 1
    text = (json.dumps(fields) + "\n").encode()
    newest.write_bytes(text + hashlib.blake2b(text, digest_size=16).hexdigest().encode() + b"\n")
    with pytest.raises(et.CheckpointError, match="is of format 2; this version"):
        run(half_done)


@pytest.mark.parametrize("step", [1, 2, 5, 9])
@pytest.mark.parametrize("folder", ["", "claims", "manifests", "packs"])
def test_checkpoints_removed_while_running(
    tmp_path: Path, small_chunks: None, folder: str, step: int
) -> None:
    write_input(tmp_path / "in")
    whole = stream(tmp_path / "in").run()
    left = [step]

    def watch(_: et.ProgressReport) -> None:
        left[0] -= 1
        if left[0] == 0:
            shutil.rmtree(tmp_path / "state" / folder, ignore_errors=True)

    out = tmp_path / "out.parquet"
    with contextlib.suppress(et.EventTimeError):
        stream(tmp_path / "in").run(out, checkpoint=every_step(tmp_path), progress=watch)
    if not out.exists():
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        run(tmp_path, out)
    assert pq.read_table(out).equals(whole.table())


# Input and outputs that change between two lives


def test_input_that_changed_is_refused(half_done: Path) -> None:
    a = half_done / "in" / "a.parquet"
    for n in (399, 401):
        pq.write_table(table("a", n), a, row_group_size=90)
        with pytest.raises(et.SourceError, match="the input changed since the checkpoint"):
            run(half_done)
    a.unlink()
    with pytest.raises(et.SourceError, match="is gone"):
        run(half_done)
    write_input(half_done / "in")
    pq.write_table(table("c"), half_done / "in" / "c.parquet")
    with pytest.raises(et.CheckpointError, match=r"partition 'c\.parquet' was not there"):
        run(half_done)
    (half_done / "in" / "c.parquet").unlink()
    whole = stream(half_done / "in").run()
    assert not assert_right_or_refused(half_done, whole.table(), whole.ledger)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("sink", ["parts", "days", "sqlite", "duckdb", "delta"])
def test_an_output_that_was_removed_is_refused(tmp_path: Path, sink: str) -> None:
    write_input(tmp_path / "in")
    target = SINKS[sink](tmp_path, "")
    with pytest.raises(KilledError):
        run(tmp_path, target, dies_at=9)
    for path in tmp_path.glob("out*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(et.CheckpointError, match="has taken epoch 0 last"):
        run(tmp_path, target)


@pytest.mark.usefixtures("small_chunks")
def test_a_file_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    write_input(tmp_path / "in")
    out = tmp_path / "out.parquet"
    with pytest.raises(KilledError):
        run(tmp_path, out, dies_at=9)
    out.write_text("mine")
    with pytest.raises(et.OutputExistsError):
        run(tmp_path, out)
    assert out.read_text() == "mine"
    out.unlink()
    run(tmp_path, out)
    assert pq.read_table(out).equals(stream(tmp_path / "in").run().table())
