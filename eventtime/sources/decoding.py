"""Pieces of text, as they come, to rows: whole lines only, the rest waits for its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from eventtime.checks import shown
from eventtime.errors import MalformedRowError, SchemaError, SourceError
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.marks import FILE_START, Mark
from eventtime.sources.textblocks import (
    LINE_BYTES_MAX,
    UTF8_BOM,
    Block,
    last_row_end,
    malformed,
    parse_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.sources.base import Rows

__all__ = ("LineDecoder", "TextFormat")

TextFormat: TypeAlias = JsonLinesFormat | CsvFormat


class LineDecoder:
    """Rows of text that comes in pieces; however it is cut, the rows are the same (S4).

    Args:
        form: how lines are to be read.
        schema: of all columns.
        columns: those to deliver.
        place: what is read, for errors.
        start: where the first line stands.
        header: names in the header of CSV, if it was read before.
    """

    def __init__(
        self,
        form: TextFormat,
        schema: pa.Schema,
        columns: Sequence[str],
        place: str,
        start: Mark = FILE_START,
        header: Sequence[str] = (),
    ) -> None:
        self._form, self._place, self._columns = form, place, columns
        self.header = list(header)
        self.mark = start
        """Just behind the lines that were decoded."""
        self.line_bytes_max = LINE_BYTES_MAX
        self.may_be_cut = False
        """Whether a last line without its end is no row."""
        self._pieces: list[bytes] = []
        self.waiting = 0
        """Bytes of the line that is not whole yet."""
        self._parse: Callable[[bytes], pa.RecordBatch]
        if isinstance(form, CsvFormat):
            self._quoted = form.newlines_in_values
            self._parse = form.parser(schema, columns, place, self.header)
        else:
            self._quoted = False
            self._parse = form.parser(schema, columns)

    def feed(self, data: bytes) -> list[Rows]:
        """Decode the lines that are whole now.

        Raises:
            MalformedRowError: one does not parse, and that is an error.
            SourceError: a line is too long, or the header is not one.
        """
        return self.decoded(self.whole(data))

    def whole(self, data: bytes) -> bytes:
        """Return the lines that are whole now, undecoded.

        Raises:
            SourceError: a line is too long.
        """
        # First, as the rows before a line that is too long were handed over.
        self._check_length()
        self._pieces.append(data)
        self.waiting += len(data)
        if b"\n" not in data:
            self._check_length()
            return b""
        whole = b"".join(self._pieces)
        cut = last_row_end(whole, quoted_newlines=self._quoted)
        self._pieces = [whole[cut:]] if cut < len(whole) else []
        self.waiting = len(whole) - cut
        return whole[:cut]

    def decoded(self, data: bytes) -> list[Rows]:
        """Decode whole lines, those that follow the ones before.

        Raises:
            MalformedRowError: one does not parse, and that is an error.
            SourceError: the header is not one.
        """
        block = self._block(data)
        if isinstance(self._form, CsvFormat) and not self.header and block.data:
            block = self._behind_header(self._form, block)
        malformed = self._form.on_malformed
        blocks = parse_blocks(
            self._place, iter([block]), self._parse, malformed, quoted_newlines=self._quoted
        )
        return [rows for _, rows in blocks]

    def passed(self, data: bytes) -> None:
        """Note that whole lines were decoded elsewhere (see `parse_together`)."""
        self._block(data)

    def end(self) -> list[Rows]:
        """Decode the last line, which lacks its end.

        Raises:
            MalformedRowError: it may have been cut short, and that is an error.
        """
        rest, self._pieces, self.waiting = b"".join(self._pieces), [], 0
        if rest.strip() and self.may_be_cut:
            return [self._cut_short(rest)]
        return self.decoded(rest)

    def _block(self, data: bytes) -> Block:
        block = Block(self.mark, data)
        self.mark = Mark(self.mark.offset + len(data), self.mark.line + data.count(b"\n"))
        if not block.mark.offset and data.startswith(UTF8_BOM):
            size = len(UTF8_BOM)
            block = Block(Mark(size, block.mark.line), data[size:])
        return block

    def _behind_header(self, form: CsvFormat, block: Block) -> Block:
        names, rest = form.cut_header(self._place, block)
        missing = [name for name in self._columns if name not in names]
        if missing:
            msg = f"the header has no column {missing[0]!r}: it is {shown(', '.join(names))}"
            raise SchemaError(msg, place=self._place, remedy="begin with the names of all columns")
        self.header[:] = names
        return rest

    def _cut_short(self, rest: bytes) -> Rows:
        text, where = (
            rest.decode("utf-8", errors="replace"),
            f"{self._place}, line {self.mark.line}",
        )
        why = "the line has no end: it may have been cut short"
        if self._form.on_malformed == "error":
            raise MalformedRowError(why, place=where, remedy="end each row with a line end")
        return malformed([(self.mark.line, text, f"{where}: {why}")])

    def _check_length(self) -> None:
        if self.waiting > self.line_bytes_max:
            msg = f"line {self.mark.line:,} is longer than {self.line_bytes_max:,} bytes"
            remedy = "end each row with a line end; check the quotes"
            raise SourceError(msg, place=self._place, remedy=remedy)
