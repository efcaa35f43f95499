"""JSON lines: one object a line, read block by block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from eventtime.errors import SchemaError
from eventtime.sources.datafile import DataFile, each_file
from eventtime.sources.inference import overridden, readable, timed, widened, without_times
from eventtime.sources.rebatch import join
from eventtime.sources.schemas import agreed
from eventtime.sources.textblocks import (
    PARSE_ERRORS,
    OnMalformed,
    block_bytes,
    first_block,
    parse_blocks,
    read_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventtime.errors import TimeColumnError
    from eventtime.sources.format import Only
    from eventtime.sources.marks import Mark, Marked

__all__ = ("JsonLinesFormat", "parse_objects", "parse_together")

LINE_FEED, CARRIAGE_RETURN, OPENING_BRACE, CLOSING_BRACE = b"\n\r{}"
_NUMBER: Final = re.compile(r"Column\(/(.+)\) changed from string to number")


@dataclass(frozen=True)
class JsonLinesFormat:
    """One JSON object a line; a field a line does not have is null.

    The columns are the fields of the first megabyte of each file and those of ``types``. A field
    that comes up only later is not read unless ``types`` names it.

    Attributes:
        time: the event-time field; it has the type of most of its values, not of all.
        on_malformed: what to do with a line that is not one object with values of these types.
        types: types of fields that are rare or whose first megabyte misleads; the others are
            inferred.
    """

    time: str
    on_malformed: OnMalformed = "error"
    types: pa.Schema | None = None
    name: str = "json lines"
    suffixes: tuple[str, ...] = (
        ".jsonl",
        ".ndjson",
        ".json",
        ".jsonl.gz",
        ".ndjson.gz",
        ".json.gz",
    )

    def schema(self, files: Sequence[DataFile]) -> pa.Schema:
        """Infer types from the first lines of every file; those with a line must agree."""
        schema = self._types(files)
        if not schema.names:
            message = f"there is no JSON object in {len(files)} file(s), so no column is known"
            raise SchemaError(
                message, place=files[0].path, remedy="write one object a line, or pass schema="
            )
        return readable(schema)

    def untimed(self, files: Sequence[DataFile]) -> TimeColumnError | None:
        """Tell whether the rows that types come from have no time."""
        rows = sum(piece.num_rows for file in files for piece in self._sample(file))
        return without_times(self._types(files), self.time, rows, files)

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
        """Parse block by block; fields that are not wanted are skipped by the parser."""
        del only
        parse = self.parser(schema, columns)
        blocks = read_blocks(file, block_bytes(batch_rows), start)
        yield from parse_blocks(file.path, blocks, parse, self.on_malformed)

    def parser(
        self, schema: pa.Schema, columns: Sequence[str]
    ) -> Callable[[bytes], pa.RecordBatch]:
        """Return what parses whole lines."""
        wanted = pa.schema([schema.field(name) for name in columns])
        return lambda data: parse_objects(data, wanted)

    def _types(self, files: Sequence[DataFile]) -> pa.Schema:
        """Return the types given, and those that all files agree in."""
        looked = zip(files, each_file(self._inferred, files), strict=True)
        inferred = [(file.path, schema) for file, schema in looked if schema is not None]
        return overridden(agreed(inferred) if inferred else pa.schema([]), self.types)

    def _inferred(self, file: DataFile) -> pa.Schema | None:
        """Infer the fields that ``types`` leaves open from the lines of the first block."""
        pieces = self._sample(file)
        if not pieces:
            return None
        times = [piece.column(self.time) for piece in pieces if self.time in piece.column_names]
        schema = timed(widened(pieces), self.time, times, numbers_are_text=False)
        known = self.types.names if self.types is not None else []
        return pa.schema([field for field in schema if field.name not in known])

    def _sample(self, file: DataFile) -> list[pa.Table]:
        """Parse the first block without types; lines that contradict each other apart."""
        block = first_block(file)
        return [
            pa.Table.from_batches([rows])
            for _, rows in parse_blocks(
                file.path, iter([block] if block else []), parse_objects, "quarantine"
            )
            if isinstance(rows, pa.RecordBatch)
        ]


def parse_objects(data: bytes, wanted: pa.Schema | None = None) -> pa.RecordBatch:
    """Parse lines of one object each; there is at least one.

    Args:
        data: whole lines.
        wanted: fields to read, and their types; None: all, as they look.

    Raises:
        pa.ArrowException: one of `PARSE_ERRORS`: a line is no object with values of these types.
    """
    from pyarrow import json

    _require_utf8(data)
    lines = _count_objects(data)
    try:
        table = json.read_json(
            pa.py_buffer(data),
            json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            json.ParseOptions(
                explicit_schema=wanted,
                unexpected_field_behavior="infer" if wanted is None else "ignore",
            ),
        )
    except pa.ArrowInvalid as error:
        if message := _time_as_number(str(error), wanted):
            raise pa.ArrowInvalid(message) from error
        raise
    if table.num_rows != lines:
        objects = table.num_rows
        message = f"{objects} JSON object(s) in {lines} line(s); each line must hold exactly one"
        raise pa.ArrowInvalid(message)
    batches = table.to_batches()
    return join(batches)


def _time_as_number(message: str, wanted: pa.Schema | None) -> str:
    """Say it if a number stands where a time is wanted, which the parser reads of text only."""
    told = _NUMBER.search(message)
    name = told[1] if told else ""
    if wanted is None or name not in wanted.names:
        return ""
    kind = wanted.field(name).type
    if not pa.types.is_timestamp(kind):
        return ""
    return (
        f"{name!r} is a number, and a {kind} is written as text; of numbers the type is int64, and "
        f"if they are the event time, their unit is given: time_unit={kind.unit!r}"
    )


def parse_together(texts: Sequence[bytes], wanted: pa.Schema) -> list[pa.RecordBatch] | None:
    """Parse several texts in one parse, which costs the most by far where they are short.

    Args:
        texts: of whole lines; at least one.
        wanted: fields to read, and their types.

    Returns:
        The rows of each; None: one does not parse, or is not plain lines of objects alone.
    """
    data = b"".join(texts)
    counts = [text.count(b"\n") for text in texts]
    if _plain_lines(data) != sum(counts):
        return None
    try:
        rows = parse_objects(data, wanted)
    except PARSE_ERRORS:
        return None
    ends = accumulate(counts)
    return [rows.slice(end - n, n) for n, end in zip(counts, ends, strict=True)]


def _require_utf8(data: bytes) -> None:
    """Refuse text that the parser would hand on as it is."""
    if data.isascii():
        return
    try:
        pa.scalar(data, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid as error:
        message = "it is no UTF-8 text"
        raise pa.ArrowInvalid(message) from error


def _count_objects(data: bytes) -> int:
    """Count the lines that are not blank, and refuse such as are no object by their ends.

    The parser takes ``null`` for a row, and a first one ends the process. It also takes two objects
    in a line, and one over several, so that a line would be good or bad depending on where blocks
    are cut. With braces at both ends of all lines no line end is inside an object: as many rows as
    lines then are one for each.
    """
    if lines := _plain_lines(data):
        return lines
    filled = [*filter(None, map(bytes.strip, data.split(b"\n")))]
    if lines := _plain_lines(b"\n".join(filled)):
        return lines
    if not all(line.startswith(b"{") for line in filled):
        message = "it is no JSON object"
        raise pa.ArrowInvalid(message)
    if len(filled) > 1:
        message = "a line does not end its JSON object"
        raise pa.ArrowInvalid(message)
    # Of a line that stands alone the parser says better what is wrong.
    return 1


def _plain_lines(data: bytes) -> int:
    """Count lines if all begin and end with a brace, without any space around; 0 if one does not.

    A fiftieth of the time of the parser, where looking at each line takes a third.
    """
    if not (data.startswith(b"{") and data.rstrip(b"\r\n").endswith(b"}")):
        return 0
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == LINE_FEED)
    inner = ends[:-1] if data.endswith(b"\n") else ends
    last = inner - 1
    if data.endswith(b"\r\n"):
        if (text[last] != CARRIAGE_RETURN).any():
            return 0
        last -= 1
    is_plain = (text[last] == CLOSING_BRACE).all() and (text[inner + 1] == OPENING_BRACE).all()
    return len(inner) + 1 if is_plain else 0
