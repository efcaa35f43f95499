"""Text in blocks of whole lines, so that one bad line costs the parser its block and nobody a row.

```
 bytes ─► Block(mark, whole lines) ─► parse ──ok──► batch
                                        └─fails─► halve, again ─► batches | bad lines
```
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa

from eventtime.errors import MalformedRowError, SourceError
from eventtime.sources.base import MALFORMED_SCHEMA, MalformedRows, Rows
from eventtime.sources.datafile import DataFile, unreadable
from eventtime.sources.marks import FILE_START, Mark, Marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = (
    "BLOCK_BYTES_MAX",
    "LINE_BYTES_MAX",
    "PARSE_ERRORS",
    "UTF8_BOM",
    "Block",
    "OnMalformed",
    "block_bytes",
    "first_block",
    "last_row_end",
    "malformed",
    "parse_blocks",
    "read_blocks",
    "why_not",
)

OnMalformed = Literal["error", "quarantine"]

BLOCK_BYTES_MIN = 64 << 10
BLOCK_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = 64 << 20
SHOWN_CHARS = 200

UTF8_BOM = b"\xef\xbb\xbf"
# The row number counts from the start of the piece being parsed; the line number says it rightly.
_ROW_NUMBER = re.compile(r"(?:Row #\d+: )|(?: in row \d+$)")
PARSE_ERRORS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)


@dataclass(frozen=True)
class Block:
    """Whole lines of a file; ``mark`` is where the first begins and its number."""

    mark: Mark
    data: bytes


class _Row(NamedTuple):
    line: int
    data: bytes


def block_bytes(batch_rows: int) -> int:
    """Return how much text to parse at once for batches of that size, within sane limits."""
    return max(BLOCK_BYTES_MIN, min(BLOCK_BYTES_MAX, 32 * batch_rows))


def read_blocks(
    file: DataFile, size: int, start: Mark = FILE_START, *, quoted_newlines: bool = False
) -> Iterator[Block]:
    """Cut a file into blocks of about ``size`` bytes that end with a line end, or with the file.

    Args:
        file: opened at the first step, closed at the end; decompressed by its suffix.
        size: bytes to read at once; a longer line makes a longer block.
        start: where a row begins.
        quoted_newlines: whether a line end inside double quotes belongs to the row.

    Raises:
        SourceError: a line is longer than 64 MiB, so this is hardly a file of lines.
    """
    (offset, line, _), rest = start, b""
    with file.open_stream(offset) as stream:
        data = stream.read(size)
        if not offset and data.startswith(UTF8_BOM):
            data, offset = data.removeprefix(UTF8_BOM), len(UTF8_BOM)
        while data:
            following = stream.read(size)
            whole = rest + data if rest else data
            # The last line may lack its end; it belongs to the last block all the same.
            is_cut = bool(following)
            cut = last_row_end(whole, quoted_newlines=quoted_newlines) if is_cut else len(whole)
            if cut:
                yield Block(Mark(offset, line), whole[:cut])
                line += whole.count(b"\n", 0, cut)
                offset += cut
            rest, data = whole[cut:], following
            if len(rest) > LINE_BYTES_MAX:
                message = f"line {line:,} is longer than {LINE_BYTES_MAX >> 20} MiB"
                remedy = "check the line ends and the quotes of the file"
                raise SourceError(message, place=file.path, remedy=remedy)


def last_row_end(data: bytes, *, quoted_newlines: bool) -> int:
    """Return where the last whole row ends, 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if quoted_newlines:
        # A line end is inside quotes iff an odd number of quotes stands before it (doubled quotes
        # count twice).
        while end and data.count(b'"', 0, end) % 2:
            end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def first_block(file: DataFile, *, quoted_newlines: bool = False) -> Block | None:
    """Return what the types of columns are inferred from: a megabyte; None of a file of nothing.

    Raises:
        SourceError: the file cannot be read.
    """
    file.require_bytes()
    try:
        blocks = read_blocks(file, BLOCK_BYTES_MAX, quoted_newlines=quoted_newlines)
        return next(blocks, None)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from error


def parse_blocks(
    place: str,
    blocks: Iterator[Block],
    parse: Callable[[bytes], pa.RecordBatch],
    on_malformed: OnMalformed,
    *,
    quoted_newlines: bool = False,
) -> Iterator[Marked]:
    """Parse blocks; one that fails is halved until the bad rows stand alone.

    Cost: one parse for a good block; for each bad row about two more of its block at most.

    Args:
        place: what is read, such as the path of the file.

    Raises:
        MalformedRowError: a row does not parse and ``on_malformed`` is ``"error"``; names place and
            line.
    """
    for block in blocks:
        try:
            rows = [parse(block.data)] if block.data.strip() else []
        except PARSE_ERRORS:
            pieces = _halve(_split_rows(block, quoted_newlines=quoted_newlines), parse)
            yield from ((block.mark, rows) for rows in _told_apart(place, pieces, on_malformed))
        else:
            yield from ((block.mark, batch) for batch in rows)


def _told_apart(
    place: str,
    pieces: Iterator[pa.RecordBatch | tuple[int, str, str]],
    on_malformed: OnMalformed,
) -> Iterator[Rows]:
    bad: list[tuple[int, str, str]] = []
    for piece in pieces:
        if isinstance(piece, pa.RecordBatch):
            if bad:
                yield malformed(bad)
                bad = []
            yield piece
            continue
        line, text, reason = piece
        if on_malformed == "error":
            shown = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
            message = f"the row does not parse: {reason}; the line is {shown!r}"
            remedy = "mend it, pass schema= if the type is wrong, or on_malformed='quarantine'"
            raise MalformedRowError(message, place=f"{place}, line {line}", remedy=remedy)
        bad.append((line, text, f"{place}, line {line}: {reason}"))
    if bad:
        yield malformed(bad)


def _split_rows(block: Block, *, quoted_newlines: bool) -> list[_Row]:
    rows: list[_Row] = []
    line = start = block.mark.line
    held = b""
    for text in _lines(block.data):
        held += text
        line += 1
        if not quoted_newlines or held.count(b'"') % 2 == 0:
            rows.append(_Row(start, held))
            held, start = b"", line
    if held:
        rows.append(_Row(start, held))
    return rows


def _lines(data: bytes) -> list[bytes]:
    # Not bytes.splitlines: it also cuts at a lone carriage return, which is no line end here.
    return [text + b"\n" for text in data.removesuffix(b"\n").split(b"\n")]


def why_not(error: Exception) -> str:
    """Say in one line why a row that stands alone did not parse."""
    return _ROW_NUMBER.sub("", " ".join(str(error).split()))


def _halve(
    rows: list[_Row], parse: Callable[[bytes], pa.RecordBatch]
) -> Iterator[pa.RecordBatch | tuple[int, str, str]]:
    data = b"".join(row.data for row in rows)
    if not data.strip():
        return
    try:
        yield parse(data)
    except PARSE_ERRORS as error:
        if len(rows) == 1:
            text = data.rstrip(b"\r\n").decode("utf-8", errors="replace")
            yield rows[0].line, text, why_not(error)
            return
        middle = len(rows) // 2
        yield from _halve(rows[:middle], parse)
        yield from _halve(rows[middle:], parse)


def malformed(bad: list[tuple[int, str, str]]) -> MalformedRows:
    """Make rows of what does not parse: line, text, and why; at least one."""
    lines, raw, reasons = zip(*bad, strict=True)
    arrays = [
        pa.array(lines, pa.int64()),
        pa.array(raw, pa.string()),
        pa.array(reasons, pa.string()),
    ]
    return MalformedRows(pa.RecordBatch.from_arrays(arrays, schema=MALFORMED_SCHEMA))
