"""Files that grow, and folders that get new files, as a live source."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.errors import PlanError, SourceError
from eventtime.sources.ahead import AheadReader
from eventtime.sources.arriving import ArrivingFiles
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.datafile import COMPRESSED, unreadable
from eventtime.sources.feed import reports_malformed
from eventtime.sources.file_tail import Lines
from eventtime.sources.filescan import FileSet, scan_partition
from eventtime.sources.growing import GrowingFile
from eventtime.sources.hive import hive_schema
from eventtime.sources.inference import overridden
from eventtime.sources.inferring import Inferred
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.locate import common_root, locate, would_locate
from eventtime.sources.open_files import FileIdentity, OpenFiles, identity
from eventtime.sources.partitions import ByColumn, FilePartition
from eventtime.sources.positions import FilePositions
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.schemas import check_columns, check_same, row_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.arriving import FileReader
    from eventtime.sources.base import PartitionReader, Position
    from eventtime.sources.datafile import DataFile
    from eventtime.sources.filesource import FileSource

__all__ = ("FollowedFiles", "FollowedPartitions")

_BATCH_ROWS = 65_536
_MOST_REST_US = 5_000_000
_DISCOVER_US = 1_000_000


@dataclass(frozen=True)
class FollowedFiles:
    """Files of one format that are followed as they grow or arrive.

    Made by the readers of files with ``follow=True``.

    Attributes:
        files: which, in what format, by what partitions.
        given: columns of files that are not there yet; None: there must be one.
        every_us: the first wait for more; it grows up to 0.5 s while nothing comes, or 5 s where
            a thousand files and more are quiet.
        before: columns as an earlier process found them; None: those of the files that are there.
    """

    files: FileSource
    given: pa.Schema | None = None
    every_us: int = 50_000
    before: Inferred | None = None
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.files.partition_by, ByColumn):
            msg = f"partition_by={self.files.partition_by} needs all values before the first row"
            remedy = "follow by 'file' or 'folder'"
            raise PlanError(msg, place="partition_by", remedy=remedy)
        packed = [path for path in self.files.paths if path.endswith(COMPRESSED)]
        if self.grows and packed:
            msg = f"{packed[0]!r} is compressed: whole lines cannot be told before it is whole"
            raise PlanError(msg, place="paths", remedy="follow the file before it is compressed")

    @property
    def grows(self) -> bool:
        """Whether files are read while they are written: those of lines."""
        return isinstance(self.files.format, JsonLinesFormat | CsvFormat)

    @property
    def time(self) -> str:
        """Name of the event-time column."""
        return self.files.time

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column."""
        return self.files.time_unit

    @property
    def reports_malformed(self) -> bool:
        """Whether rows that do not parse are set aside."""
        return reports_malformed(self.files)

    def schema(self) -> pa.Schema:
        """Return the columns of the files that are there, or those given.

        Raises:
            SourceError: there is no row yet, and no type is given.
        """
        return self._file_set().schema

    def inferred(self) -> Inferred:
        """See `Inferring`."""
        files = self._file_set()
        return Inferred(files.inside, files.in_paths)

    def as_inferred(self, columns: Inferred) -> FollowedFiles:
        """See `Inferring`."""
        return replace(self, before=columns)

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> ReaderFeed:
        """Open what is there, and look for more now and then."""
        opened = self.partitions(columns, positions, clock)
        by_file = self.files.partition_by == "file"
        return ReaderFeed(
            opened.readers(),
            clock,
            every_us=self.every_us,
            most_us=max(_MOST_REST_US, self.every_us),
            discover=opened.discover,
            discover_every_us=_DISCOVER_US,
            ends_leave=by_file and not self.grows,
        )

    def partitions(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> FollowedPartitions:
        """Open what is to be followed, without a thread."""
        files = self._file_set()
        wanted = check_columns(files.schema, columns)
        return FollowedPartitions(self, files, wanted, dict(positions or {}), clock)

    def describe(self) -> str:
        """Return one line with format, paths and partitioning."""
        return f"{self.files.describe()}; followed"

    def located(self) -> tuple[DataFile, ...]:
        """Find the files that are there now; whole ones that have a byte."""
        suffixes = self.files.format.suffixes
        if self.grows:
            suffixes = tuple(s for s in suffixes if not s.endswith(COMPRESSED))
        found = locate(
            self.files.paths,
            self.files.filesystem,
            suffixes,
            hive=self.files.hive,
            may_be_none=True,
        )
        if self.grows and found and not found[0].is_local:
            msg = "files that grow can be followed on a local disk only"
            remedy = "follow a folder of whole files (Parquet, Arrow IPC), or copy them here"
            raise SourceError(msg, place=found[0].path, remedy=remedy)
        return tuple(file for file in found if file.size or self.grows)

    def _file_set(self) -> FileSet:
        if "files" not in self._known:
            form = self.files.format
            given = self.given if self.given is not None else getattr(form, "types", None)
            looked = self._looked if self.before is None else self._recalled
            self._known["files"] = FileSet(form, *looked(given))
        known: FileSet = self._known["files"]
        return known

    def _looked(self, given: pa.Schema | None) -> tuple[tuple[DataFile, ...], pa.Schema, pa.Schema]:
        """Return the files that are there, the columns inside them and those in their paths."""
        form, overrides = self.files.format, self.files.hive_overrides
        there = tuple(file for file in self.located() if not self.grows or _has_line(file))
        if there:
            inside = row_schema(form.schema(there))
            if self.given is not None:
                inside = check_same([("schema=", self.given), (there[0].path, inside)])
            return there, inside, hive_schema(there, overrides)
        if given is None:
            msg = "there is no row yet that tells the columns"
            paths = ", ".join(self.files.paths[:3])
            raise SourceError(msg, place=paths, remedy="give their types with schema=")
        return (), given, pa.schema(list(overrides))

    def _recalled(self, given: pa.Schema | None) -> tuple[tuple[()], pa.Schema, pa.Schema]:
        """Return the same as an earlier process found them, whatever the files show by now."""
        assert self.before is not None
        inside, in_paths = self.before
        types = [field for field in self.files.hive_overrides if field[0] in in_paths.names]
        return (), overridden(inside, given), overridden(in_paths, pa.schema(types))


class FollowedPartitions:
    """The partitions of a source that is being followed."""

    def __init__(
        self,
        source: FollowedFiles,
        files: FileSet,
        wanted: pa.Schema,
        held: dict[str, Position],
        clock: Clock,
    ) -> None:
        self._source, self._files, self._wanted, self._held = source, files, wanted, held
        self._clock = clock
        self._base = common_root(source.files.paths, source.files.filesystem)
        self._shared = OpenFiles()
        self._readers: dict[str, ArrivingFiles | GrowingFile] = {}
        self._seen: set[str] = set()

    def readers(self) -> list[PartitionReader]:
        """Open what is there, and what was there before a restart."""
        return self.discover()

    def discover(self) -> list[PartitionReader]:
        """Return readers of partitions that are new; give others their new files."""
        files = self._source.located()
        try:
            return self._new(files)
        except BaseException:
            self._shared.close()  # there may be no reader to do it
            raise

    def _new(self, files: Sequence[DataFile]) -> list[PartitionReader]:
        if not self._is_by_file:
            return self._by_folder(files)
        return self._by_growing_file(files) if self._source.grows else self._by_whole_file(files)

    @property
    def _is_by_file(self) -> bool:
        return self._source.files.partition_by == "file"

    def _by_growing_file(self, files: Sequence[DataFile]) -> list[PartitionReader]:
        unseen = [file for file in files if file.path not in self._seen]
        known = self._known() if unseen else set()
        new: list[PartitionReader] = []
        for file in unseen:
            name = self._name(file.path)
            held = self._held.pop(name, None)
            # One that was rotated before a restart has more, while the new one has no byte yet.
            is_new = held is not None or (file.size and identity(file.path) not in known)
            if not is_new:
                continue
            reader = self._growing(name, file, held)
            self._readers[name] = reader
            self._seen.add(file.path)
            new.append(reader)
        return new

    def _growing(self, name: str, file: DataFile, held: Position | None) -> GrowingFile:
        lines = Lines.of(file, self._files, self._wanted, self._shared)
        return GrowingFile(name, lines, self._clock, self._is_known, held)

    def _known(self) -> set[FileIdentity]:
        """Return the files that are read, or were before a restart."""
        known = {file for reader in self._readers.values() for file in _identities(reader)}
        return known | {file for position in self._held.values() for file in _read_by(position)}

    def _is_known(self, file: FileIdentity, path: str) -> bool:
        """Tell whether a file is read by another than asks, or will be as it is found."""
        files = self._source.files
        finds = would_locate(path, files.paths, files.filesystem, files.format.suffixes)
        return finds or file in self._known()

    def _by_whole_file(self, files: Sequence[DataFile]) -> list[PartitionReader]:
        new: list[PartitionReader] = []
        for file in files:
            if file.path in self._seen:
                continue
            self._seen.add(file.path)
            name = self._name(file.path)
            held = self._held.pop(name, None)
            if held is not None and held["is_read"] and held["current"] == file.name:
                continue
            reader = ArrivingFiles(name, self._opener(name), ends=True, held=held)
            reader.take_in([file])
            new.append(reader)
        return new

    def _by_folder(self, files: Sequence[DataFile]) -> list[PartitionReader]:
        folders: dict[str, list[DataFile]] = {}
        for file in files:
            if file.size:
                folders.setdefault(self._name(posixpath.dirname(file.path)), []).append(file)
        for name in self._held:
            folders.setdefault(name, [])
        new: list[PartitionReader] = []
        for name, inside in sorted(folders.items()):
            reader = self._readers.get(name)
            if reader is None:
                held = self._held.get(name)
                reader = ArrivingFiles(name, self._opener(name), held=held)
                self._readers[name] = reader
                new.append(reader)
            assert isinstance(reader, ArrivingFiles)
            reader.take_in(inside)
        self._held.clear()
        return new

    def _opener(self, name: str) -> Callable[[DataFile, Position | None], FileReader]:
        def opened(file: DataFile, held: Position | None) -> FileReader:
            if self._source.grows:
                return self._growing(name, file, held)
            check_same(
                [("the files before it", self._files.inside), (file.path, self._inside(file))]
            )
            part = FilePartition(name, (file,))
            scan = scan_partition(self._files, part, self._wanted, _BATCH_ROWS, keep_malformed=True)
            places = FilePositions(name, (file,), self._files.format.name, keep_malformed=True)
            return AheadReader(name, scan, places, held, ahead=1)

        return opened

    def _inside(self, file: DataFile) -> pa.Schema:
        return row_schema(self._files.format.schema([file]))

    def _name(self, path: str) -> str:
        inside = posixpath.relpath(path, self._base)
        is_inside = inside != "." and not inside.startswith("..")
        return inside if is_inside else posixpath.basename(path)


def _has_line(file: DataFile) -> bool:
    """Tell whether a first line is whole: what is being written tells no columns."""
    try:
        with file.open() as stream:
            while data := stream.read(1 << 20):
                if b"\n" in data:
                    return True
    except OSError as error:
        raise unreadable(file, error) from error
    return False


def _identities(reader: ArrivingFiles | GrowingFile) -> list[FileIdentity]:
    return reader.identities if isinstance(reader, GrowingFile) else []


def _read_by(position: Position) -> list[FileIdentity]:
    current, old = position.get("current"), position.get("old", [])
    if not isinstance(current, dict):
        return []
    files = [*position["passed"], *(known["file"] for known in old), current["file"]]
    return [FileIdentity(*file) for file in files]
