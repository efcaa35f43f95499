"""What processes do with outputs on a disk, and what must hold of them at every instant (S27, S28).

Each scenario is what one process does from beginning to end; the next one does the same on what it
finds, and so recovers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from unittest.mock import patch

import pyarrow as pa

import eventtime as et
from crash.explorer import Wrong, states_after, storage_of
from eventtime.savepoint import write_savepoint
from eventtime.sinks.files import FileSink
from eventtime.sinks.folders import FolderEpochs
from eventtime.sinks.part_files import PartsWriter
from eventtime.sinks.staging import LocalFile, LocalFolder
from eventtime.state.pack import PackWriter, read_pack
from eventtime.testing.simulation.disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventtime.sinks.staging import Staging

__all__ = ("SCENARIOS", "Scenario", "explore_outputs")

FOLDER: Final = "/results"
CSV: Final = et.to_csv("file").format


class Scenario(Protocol):
    """What happens to one output."""

    def prepare(self, disk: SimulatedDisk) -> None:
        """Leave what earlier runs made."""

    def run(self, disk: SimulatedDisk, told: Callable[[int], None], known: int, life: int) -> None:
        """Do what one process does, from what the last one left.

        Args:
            disk: it works on.
            told: is to be told what is acknowledged.
            known: was acknowledged before.
            life: number of the process, from 1 on.
        """


def explore_outputs(scenario: Scenario, every: int) -> tuple[int, int]:
    """Crash everywhere, recover from all that may be found, and crash everywhere in that again.

    Args:
        scenario: of the processes.
        every: of the second crashes only so many-th are gone into.

    Returns:
        How many states were recovered from: after one crash, after two.
    """
    disk = SimulatedDisk()
    disk.mkdir(FOLDER)
    disk.sync_folder("/")
    scenario.prepare(disk)
    states = states_after(disk, partial(scenario.run, known=0, life=1), 0, kills=True)
    for state, known in states:
        scenario.run(state.copy(), lambda _: None, known, 2)
    again: dict[Any, tuple[SimulatedDisk, int]] = {}
    for state, known in states[::every]:
        work = partial(scenario.run, known=known, life=2)
        for second, then in states_after(state, work, known, kills=True):
            again[then, repr((second.files, second.tree))] = second, then
    chosen = list(again.values())[::every]
    for state, known in chosen:
        scenario.run(state, lambda _: None, known, 3)
    return len(states), len(chosen)


def _check(*, holds: bool, says: str) -> None:
    if not holds:
        raise Wrong(says)


def _found(disk: SimulatedDisk) -> dict[str, bytes]:
    """Files below the folder, by their names in it."""
    at = len(FOLDER) + 1
    found = disk.contents().items()
    return {p[at:]: data for p, data in found if p.startswith(FOLDER + "/") and data is not None}


def _put(disk: SimulatedDisk, name: str, data: bytes) -> None:
    """Write a file of an earlier run, which is durable."""
    handle = disk.create(f"{FOLDER}/{name}")
    disk.write(handle, memoryview(data))
    disk.sync(handle)
    disk.close(handle)
    disk.sync_folder(f"{FOLDER}/{name}".rpartition("/")[0])


@dataclass(frozen=True)
class _Sink(FileSink):
    """A file on a simulated disk."""

    disk: SimulatedDisk | None = None

    def _stage(self) -> Staging:
        assert self.disk is not None
        return LocalFile(self.path, overwrite=self.overwrite, disk=self.disk)


class OneFile:
    """A run with checkpoints writes one file, which is published at its end.

    Known is 1 when the run has come back.
    """

    name: Final = "hourly.csv"

    def prepare(self, disk: SimulatedDisk) -> None:
        """Nothing is there."""

    def run(self, disk: SimulatedDisk, told: Callable[[int], None], known: int, life: int) -> None:
        self._look(disk, known)
        self._run(disk)
        told(1)
        _check(holds=[*_found(disk)] == [self.name], says=f"left over: {[*_found(disk)]}")
        self._look(disk, 1)

    def _run(self, disk: SimulatedDisk) -> None:
        sink = _Sink(f"{FOLDER}/{self.name}", CSV, disk=disk)
        with (
            patch("eventtime.replay.CHUNK_ROWS", 2),
            patch("eventtime.claiming.storage_at", lambda *_: storage_of(disk)),
        ):
            _stream().run(sink, checkpoint=et.checkpoints("x", every_rows=9, keep=1))

    def _look(self, disk: SimulatedDisk, known: int) -> None:
        found = _found(disk).get(self.name)
        _check(holds=not (known and found is None), says="the file was acknowledged, and is lost")
        _check(holds=found in {None, _wanted()}, says=f"the file holds {found!r}")


def _stream() -> et.Stream:
    times = pa.array([0, 10_000_000, 20_000_000], pa.timestamp("us"))
    rows = et.from_arrow(pa.table({"t": times, "key": [1, 1, 1]}), time="t")
    marked = rows.watermark(et.bounded_disorder("1s"))
    return marked.key_by("key").window(et.tumbling("10s")).aggregate(n=et.count())


@cache
def _wanted() -> bytes:
    """The file of a run never disturbed."""
    disk = SimulatedDisk()
    disk.mkdir(FOLDER)
    one = OneFile()
    one._run(disk)
    return _found(disk)[one.name]


PARTS: Final = ("day=0/part-0.csv", "day=1/part-0.csv")


@dataclass(frozen=True)
class WholeFolder:
    """A run without checkpoints writes a folder, published whole. Known: the last run to come back.

    Args:
        replaces: the folder of an earlier run, number 0.
    """

    replaces: bool

    def prepare(self, disk: SimulatedDisk) -> None:
        if self.replaces:
            self._fill(self._open(disk), 0)

    def run(self, disk: SimulatedDisk, told: Callable[[int], None], known: int, life: int) -> None:
        self._look(disk, known, "out", ".out.replaced")
        staging = self._open(disk)
        self._look(disk, known, "out")  # what stepped aside is back
        self._fill(staging, life)
        told(life)
        self._look(disk, life, "out")
        left = {name for name in _found(disk) if not name.startswith("out/")}
        _check(holds=not left, says=f"left over: {left}")

    def _open(self, disk: SimulatedDisk) -> LocalFolder:
        return LocalFolder(f"{FOLDER}/out", overwrite=True, disk=disk)

    def _fill(self, staging: LocalFolder, number: int) -> None:
        for name in PARTS:
            with staging.stream(name) as stream:
                stream.write(_of_run(number, name))
            staging.settle(name)
        staging.publish()

    def _look(self, disk: SimulatedDisk, known: int, *places: str) -> None:
        """The first of the places that is there holds that run's folder or a newer one's, whole."""
        found = _found(disk)
        seen = [{n: data for n, data in found.items() if n.startswith(f"{at}/")} for at in places]
        there = next(filter(None, seen), {})
        is_first = not (known or self.replaces)
        fine = [_whole(run, at) for run in range(is_first + known, 4) for at in places]
        _check(
            holds=there in fine or (is_first and not there), says=f"after {known} there is {seen}"
        )


def _whole(number: int, folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": _of_run(number, name) for name in PARTS}


def _of_run(number: int, name: str) -> bytes:
    return f"part {name} of run {number}".encode()


DAYS: Final = ((0,), (0, 1), (1,), (), (0, 2), (2,))
"""Days of the rows of each epoch, and again from the first on."""
SCHEMA: Final = pa.schema({"day": pa.int64(), "epoch": pa.int64()})


class _ByDay:
    """A folder for each day."""

    no_time_folder = "day=none"
    epoch_folder = "day=0"

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        for i in range(batch.num_rows):
            yield f"day={batch.column(0)[i]}", batch.slice(i, 1)


@dataclass(frozen=True)
class Parts:
    """A folder of part files takes epochs. Known is the last one acknowledged.

    Args:
        epochs: that a process commits beyond what it finds.
        replaces: the parts of another job, which were there before.
    """

    epochs: int
    replaces: bool = False

    def prepare(self, disk: SimulatedDisk) -> None:
        if self.replaces:
            writer = self.open(disk, "another job")
            writer.recover(7)
            writer.commit(1, [self.rows(1, 100)], 7)
            writer.commit(2, [self.rows(2, 100)], 7)

    def run(self, disk: SimulatedDisk, told: Callable[[int], None], known: int, life: int) -> None:
        self._look(disk)
        writer = self.open(disk, "job")
        last = writer.recover(life)
        _check(holds=last >= known, says=f"epoch {known} was acknowledged, and is lost")
        self._check_all(disk, last)
        newest = last + (self.epochs if life == 1 else 1)
        for epoch in range(last + 1, newest + 1):
            writer.commit(epoch, [self.rows(epoch)], life)
            told(epoch)
            self._check_all(disk, epoch)
        writer.commit(newest, [], life)
        self._check_all(disk, newest)

    def open(self, disk: SimulatedDisk, job: str) -> FolderEpochs:
        """Open the folder for a job."""
        return FolderEpochs(
            f"{FOLDER}/out",
            PartsWriter(CSV, SCHEMA, _ByDay()),
            job=job,
            overwrite=self.replaces,
            disk=disk,
        )

    def rows(self, epoch: int, plus: int = 0) -> pa.RecordBatch:
        """Return the rows of an epoch, of one that writes that much more."""
        days = DAYS[(epoch - 1) % len(DAYS)]
        return pa.record_batch([days, [epoch + plus] * len(days)], schema=SCHEMA)

    def of_epoch(self, epoch: int, plus: int = 0) -> dict[str, bytes]:
        """Return the part files of these rows."""
        return {
            f"out/day={day}/part-{epoch:08d}-0.csv": b"day,epoch\n%d,%d\n" % (day, epoch + plus)
            for day in DAYS[(epoch - 1) % len(DAYS)]
        }

    def found(self, disk: SimulatedDisk) -> dict[str, bytes]:
        """Return all files but those that say who wrote the others."""
        ours = "out/_eventtime/"
        return {name: data for name, data in _found(disk).items() if not name.startswith(ours)}

    def _parts(self, epochs: int, plus: int = 0) -> dict[str, bytes]:
        parts = (self.of_epoch(epoch, plus) for epoch in range(1, epochs + 1))
        return {name: data for of_one in parts for name, data in of_one.items()}

    def _look(self, disk: SimulatedDisk) -> None:
        """What readers see is whole."""
        fine = {*self._parts(9).items(), *(self._parts(2, 100) if self.replaces else {}).items()}
        seen = {item for item in _found(disk).items() if "/part-" in item[0]}
        _check(holds=seen <= fine, says=f"readers see {sorted(seen - fine)}")

    def _check_all(self, disk: SimulatedDisk, epochs: int) -> None:
        found = self.found(disk)
        wanted = self._parts(epochs)
        _check(holds=found == wanted, says=f"of {epochs} epochs there is {found}, not {wanted}")


@dataclass(frozen=True)
class Savepoint:
    """Savepoints of one name. Known is the number of the last one acknowledged.

    Args:
        replaces: whether there is one before.
    """

    replaces: bool

    def prepare(self, disk: SimulatedDisk) -> None:
        if self.replaces:
            self._write(disk, 0)

    def run(self, disk: SimulatedDisk, told: Callable[[int], None], known: int, life: int) -> None:
        self._look(disk, known)
        self._write(disk, life)
        told(life)
        self._look(disk, life)
        _check(holds=[*_found(disk)] == ["it"], says=f"left over: {[*_found(disk)]}")

    def _write(self, disk: SimulatedDisk, number: int) -> None:
        def fill(pack: PackWriter) -> dict[str, int]:
            pack.add(pa.record_batch({"number": [number]}))
            return {"number": number}

        with patch("eventtime.savepoint.LocalFile", partial(LocalFile, disk=disk)):
            write_savepoint(f"{FOLDER}/it", None, fill, overwrite=True)

    def _look(self, disk: SimulatedDisk, known: int) -> None:
        data = _found(disk).get("it")
        if data is None:
            _check(holds=not (known or self.replaces), says=f"savepoint {known} is lost")
            return
        pack = read_pack(pa.py_buffer(data), "it")  # raises if a byte is wrong
        (rows,) = [block.batch()["number"][0].as_py() for block in pack.blocks]
        _check(holds=rows == pack.head["number"], says=f"{rows} in savepoint {pack.head['number']}")
        _check(holds=rows >= known, says=f"savepoint {known} was acknowledged, and is lost")


SCENARIOS: Final[dict[str, Scenario]] = {
    "one file": OneFile(),
    "a whole folder": WholeFolder(replaces=False),
    "a whole folder in place of another": WholeFolder(replaces=True),
    "parts": Parts(4),
    "parts in place of another job's": Parts(1, replaces=True),
    "a new savepoint": Savepoint(replaces=False),
    "a savepoint in place of another": Savepoint(replaces=True),
}
