"""CSV files with a header line, read block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import SchemaError, SourceError
from eventtime.expressions import check_unique
from eventtime.sources.datafile import DataFile, each_file, unreadable
from eventtime.sources.inference import overridden, readable, timed, widened, without_times
from eventtime.sources.marks import FILE_START, Mark
from eventtime.sources.rebatch import join
from eventtime.sources.schemas import check_same
from eventtime.sources.textblocks import (
    Block,
    OnMalformed,
    block_bytes,
    first_block,
    parse_blocks,
    read_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyarrow import csv

    from eventtime.errors import TimeColumnError
    from eventtime.sources.format import Only
    from eventtime.sources.marks import Marked

__all__ = ("CsvFormat",)

HEADER_BYTES = 64 << 10


@dataclass(frozen=True)
class CsvFormat:
    """Comma-separated values; each file begins with the names of its columns, in any order.

    An empty field is null, and ``""`` is the empty text. In columns that are not text ``NA``,
    ``NULL``, ``NaN`` and the like are null too.

    Attributes:
        time: the event-time column; it has the type of most of its values, not of all.
        on_malformed: what to do with a row that has the wrong number of values or one of the wrong
            type.
        types: types of columns whose first megabyte misleads; the others are inferred.
        delimiter: one character; None takes a tab for ``.tsv`` and a comma otherwise.
        newlines_in_values: whether quoted values may hold line ends. A stray quote then swallows
            rows.
    """

    time: str
    on_malformed: OnMalformed = "error"
    types: pa.Schema | None = None
    delimiter: str | None = None
    newlines_in_values: bool = False
    name: str = "csv"
    suffixes: tuple[str, ...] = (".csv", ".tsv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv.gz")

    def schema(self, files: Sequence[DataFile]) -> pa.Schema:
        """Infer types from the first file with rows; all headers must have the same names."""
        headers = each_file(self.header, files)
        types = readable(self._types(files, headers)[0])
        for name in types.names:
            if name not in headers[0]:
                message = f"schema= names a column {name!r} that the header does not have"
                remedy = f"the columns are {', '.join(headers[0])}"
                raise SchemaError(message, place=files[0].path, remedy=remedy)
        named = [
            (file.path, self._named(types, file, names))
            for file, names in zip(files, headers, strict=True)
        ]
        return check_same(named)

    def untimed(self, files: Sequence[DataFile]) -> TimeColumnError | None:
        """Tell whether the rows that types come from have no time."""
        types, rows = self._types(files, each_file(self.header, files))
        return without_times(types, self.time, rows, files)

    def rows(self, files: Sequence[DataFile]) -> int | None:
        """Return None: only reading the file tells."""
        del files
        return None

    def scan(
        self,
        file: DataFile,
        schema: pa.Schema,
        columns: Sequence[str],
        batch_rows: int,
        only: Only | None,
        start: Mark,
    ) -> Iterator[Marked]:
        """Parse block by block; the header is line 1."""
        del only
        names = self.header(file) if start.offset else []
        parse = self.parser(schema, columns, file.path, names)

        def headless() -> Iterator[Block]:
            for block in self._blocks(file, block_bytes(batch_rows), start):
                rows = block
                if not names:
                    names[:], rows = self.cut_header(file.path, block)
                yield rows

        yield from parse_blocks(
            file.path, headless(), parse, self.on_malformed, quoted_newlines=self.newlines_in_values
        )

    def parser(
        self, schema: pa.Schema, columns: Sequence[str], path: str, names: list[str]
    ) -> Callable[[bytes], pa.RecordBatch]:
        """Return what parses whole lines.

        Args:
            schema: of all columns.
            columns: those to read.
            path: of the file, or what is read instead.
            names: of the header; filled in before the first rows are parsed.
        """
        types = {name: schema.field(name).type for name in columns}
        return lambda data: self._parse(data, path, names, types)

    def _blocks(self, file: DataFile, size: int, start: Mark = FILE_START) -> Iterator[Block]:
        return read_blocks(file, size, start, quoted_newlines=self.newlines_in_values)

    def header(self, file: DataFile) -> list[str]:
        """Return the names of the columns in their order."""
        file.require_bytes()
        try:
            for block in self._blocks(file, HEADER_BYTES):
                names = self.cut_header(file.path, block)[0]
                check_unique(pa.schema([(name, pa.null()) for name in names]), place=file.path)
                return names
        except (pa.ArrowException, OSError) as error:
            raise unreadable(file, error) from error
        msg = "the file is empty"
        raise SourceError(msg, place=file.path, remedy="leave it out of the paths")

    def cut_header(self, path: str, block: Block) -> tuple[list[str], Block]:
        """Return the names in the first line, and what is behind it."""
        from pyarrow import csv

        line, end, rest = block.data.partition(b"\n")
        try:
            options = csv.ReadOptions(use_threads=False)
            table = csv.read_csv(pa.py_buffer(line + b"\n"), options, self._parse_options(path))
            names = table.column_names
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            message = f"the header line does not parse: {' '.join(str(error).split())}"
            remedy = "the first line must name the columns, in UTF-8"
            raise SourceError(message, place=f"{path}, line 1", remedy=remedy) from error
        behind = Mark(block.mark.offset + len(line) + len(end), block.mark.line + 1)
        return names, Block(behind, rest)

    def _types(
        self, files: Sequence[DataFile], headers: Sequence[list[str]]
    ) -> tuple[pa.Schema, int]:
        """Return the types given and those of the first file with rows, and how many these are."""
        for file, names in zip(files, headers, strict=True):
            sample = self._sample(file, names)
            if sample.num_rows:
                types = self._inferred(file, names, sample)
                return overridden(types, self.types), sample.num_rows
        return overridden(pa.schema({name: pa.null() for name in headers[0]}), self.types), 0

    def _named(self, types: pa.Schema, file: DataFile, names: list[str]) -> pa.Schema:
        """Return the columns of a file; others than those of ``types`` by what they hold."""
        if not set(names) <= set(types.names):
            own = self._inferred(file, names, self._sample(file, names))
            types = readable(overridden(own, types))
        return pa.schema([types.field(name) for name in names])

    def _inferred(self, file: DataFile, names: list[str], sample: pa.Table) -> pa.Schema:
        return timed(widened([sample]), self.time, self._times(file, names))

    def _sample(
        self, file: DataFile, names: list[str], convert: csv.ConvertOptions | None = None
    ) -> pa.Table:
        """Parse the first block without types, leaving out rows with the wrong number of values."""
        from pyarrow import csv

        block = first_block(file, quoted_newlines=self.newlines_in_values)
        assert block is not None  # the file has a header
        _, rows = self.cut_header(file.path, block)
        parse = self._parse_options(file.path)
        parse.invalid_row_handler = lambda row: "skip"
        options = csv.ReadOptions(use_threads=False, column_names=names)
        try:
            return csv.read_csv(pa.py_buffer(rows.data), options, parse, convert)
        except pa.ArrowInvalid as error:
            # A block without any row; everything else is found with its line when it is read.
            if "Empty CSV" in str(error):
                return pa.table({name: pa.nulls(0) for name in names})
            raise unreadable(file, error) from error

    def _times(self, file: DataFile, names: list[str]) -> list[pa.ChunkedArray]:
        """Return the first values of the time column as they are written."""
        from pyarrow import csv

        if self.time not in names:
            return []
        as_text = csv.ConvertOptions(
            include_columns=[self.time],
            column_types={self.time: pa.string()},
            strings_can_be_null=True,
        )
        return [self._sample(file, names, as_text).column(self.time)]

    def _parse(
        self, data: bytes, path: str, names: list[str], types: dict[str, pa.DataType]
    ) -> pa.RecordBatch:

        delimiter = self._parse_options(path).delimiter
        probe = b"" if b'"' not in data else self._probe(data, names, delimiter)
        table = self._table(data + probe if probe else data, path, names, types)
        if probe:
            table = table.slice(0, table.num_rows - 1)
            _require_one_row_a_line(data, table.num_rows)
        batches = table.to_batches()
        if not batches:
            return pa.RecordBatch.from_pylist([], schema=table.schema)
        return self._with_nulls(join(batches), data, path, names)

    def _table(
        self,
        data: bytes,
        path: str,
        names: list[str],
        types: dict[str, pa.DataType],
        **nulls: Any,
    ) -> pa.Table:
        from pyarrow import csv

        return csv.read_csv(
            pa.py_buffer(data),
            csv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1),
            self._parse_options(path),
            csv.ConvertOptions(column_types=types, include_columns=list(types), **nulls),
        )

    def _with_nulls(
        self, rows: pa.RecordBatch, data: bytes, path: str, names: list[str]
    ) -> pa.RecordBatch:
        """Make empty text null, but not ``""``.

        The parser has one list of nulls for all columns: with it, numbers could not be ``NA``, or
        texts of these letters would be lost. So it is told only where the block has both ``""`` and
        empty text, which then costs a second parse.
        """
        told: pa.RecordBatch | None = None
        empty = [f for f, c in zip(rows.schema, rows.columns, strict=True) if _has_empty_text(c)]
        # The first test is quicker by far, and mostly all there is.
        if empty and b'"' in data and b'""' in data:
            types = {field.name: field.type for field in empty}
            nulls = {"null_values": [""], "strings_can_be_null": True}
            table = self._table(data, path, names, types, quoted_strings_can_be_null=False, **nulls)
            told = join(table.to_batches())
        for field in empty:
            own = rows.column(field.name)
            column = _nulled(own) if told is None else told.column(field.name)
            rows = rows.set_column(rows.schema.get_field_index(field.name), field, column)
        return rows

    def _probe(self, data: bytes, names: list[str], delimiter: str) -> bytes:
        """Return an empty row to parse after the others: a quote left open would swallow it."""
        if not self.newlines_in_values:
            start = b"" if data.endswith(b"\n") else b"\n"
            return start + (delimiter.encode() * (len(names) - 1) or b'""') + b"\n"
        if data.count(b'"') % 2:
            message = "a quote is not closed before the end of the file"
            raise pa.ArrowInvalid(message)
        return b""

    def _parse_options(self, path: str) -> csv.ParseOptions:
        from pyarrow import csv

        tab = path.lower().endswith((".tsv", ".tsv.gz"))
        delimiter = self.delimiter or ("\t" if tab else ",")
        return csv.ParseOptions(delimiter=delimiter, newlines_in_values=self.newlines_in_values)


def _require_one_row_a_line(data: bytes, rows: int) -> None:
    """Refuse a quoted line end, which the parser accepts unless a block is cut there."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if lines != rows and rows != sum(1 for line in data.split(b"\n") if line.strip(b"\r")):
        message = "a quote is not closed in its line (newlines_in_values=True allows that)"
        raise pa.ArrowInvalid(message)


def _has_empty_text(column: pa.Array) -> bool:
    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    if not (_is_text(values.type) and len(values)):
        return False
    return bool(pc.min(pc.binary_length(values)).as_py() == 0)


def _is_text(data_type: pa.DataType) -> bool:
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(is_kind(data_type) for is_kind in kinds)


def _nulled(column: pa.Array) -> pa.Array:
    """Make empty texts null; the texts themselves are not copied."""
    if isinstance(column, pa.DictionaryArray):
        is_filled = _nulled(column.dictionary).is_valid().take(column.indices)
        indices = pc.if_else(is_filled, column.indices, pa.scalar(None, column.indices.type))
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)
    # As the parser made it: of text, which has no nulls unless it is told to find them.
    assert column.offset == column.null_count == 0
    is_filled = pc.greater(pc.binary_length(column), 0)
    buffers = [is_filled.buffers()[1], *column.buffers()[1:]]
    return pa.Array.from_buffers(column.type, len(column), buffers)
