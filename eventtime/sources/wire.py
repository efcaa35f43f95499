"""How rows come over a wire: JSON lines, CSV or a stream of Arrow IPC, from pieces of bytes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

from eventtime.checks import is_one_of, shown
from eventtime.errors import MalformedRowError, PlanError, SourceError
from eventtime.sources.arrow_decoding import ArrowDecoder
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.decoding import LineDecoder
from eventtime.sources.inference import as_schema
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.schemas import check_columns, row_schema
from eventtime.sources.textblocks import malformed
from eventtime.sources.unsettled import Unsettled
from eventtime.timestamp import check_time, check_time_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from eventtime.sources.base import MalformedRows, Position, Rows
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("Decoder", "Wire", "WireFormat", "WireSource", "wire")

WireFormat = Literal["jsonl", "csv", "arrow"]

_FORMATS: Final = ("jsonl", "csv", "arrow")
_LINE_BYTES_MAX: Final = 8 << 20


class Decoder(Protocol):
    """Rows out of bytes that come in pieces."""

    def feed(self, data: bytes) -> list[Rows]:
        """Return the rows that are whole now; SourceError if nothing more can be read."""
        ...

    def end(self) -> list[Rows]:
        """Return what is left when no more bytes come."""
        ...


@dataclass(frozen=True)
class Wire:
    """What comes over a wire: columns, their format, and what is done with rows that are not read.

    Made by `wire`.
    """

    format: WireFormat
    columns: pa.Schema
    time: str
    time_unit: str | None
    on_malformed: OnMalformed

    def wanted(self, columns: Sequence[str] | None) -> pa.Schema:
        """Return the columns to deliver; None: all.

        Raises:
            PlanError: there is no such column.
        """
        return check_columns(self.columns, columns)

    def decoder(self, columns: Sequence[str] | None, place: str) -> Decoder:
        """Begin to decode; `place` says what is read."""
        wanted = self.wanted(columns)
        if self.format == "arrow":
            return ArrowDecoder(wanted, place)
        form = (
            JsonLinesFormat(self.time, self.on_malformed)
            if self.format == "jsonl"
            else CsvFormat(self.time, self.on_malformed)
        )
        decoder = LineDecoder(form, self.columns, wanted.names, place)
        decoder.line_bytes_max = _LINE_BYTES_MAX
        # Half an object is none; half a number is another one.
        decoder.may_be_cut = self.format == "csv"
        return decoder

    def set_aside(self, error: SourceError) -> MalformedRows:
        """Tell of what cannot be read, as a row of the quarantine.

        Raises:
            SourceError: the error, if such rows are one.
        """
        if self.on_malformed == "error" or isinstance(error, MalformedRowError):
            raise error
        return malformed([(1, "", f"{error.place}: {error.what}")])


@dataclass(frozen=True)
class WireSource:
    """What sources share whose rows come over a wire; each says how to follow it.

    Attributes:
        wire: what comes.
        unsettled: keeps rows for another attempt of the run, as nobody sends them again.
    """

    wire: Wire
    unsettled: Unsettled | None = field(default=None, kw_only=True, repr=False, compare=False)

    def keeping(self, unsettled: Unsettled) -> Self:
        """See `Unrepeated`."""
        return replace(self, unsettled=unsettled)

    def rows_before(self, positions: Mapping[str, Position] | None) -> dict[str, int]:
        """Return how many rows of each partition came already, for another feed goes on."""
        return (self.unsettled or Unsettled()).resume(positions)

    @property
    def time(self) -> str:
        """Name of the event-time column."""
        return self.wire.time

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column."""
        return self.wire.time_unit

    @property
    def reports_malformed(self) -> bool:
        """Always: what cannot be read is set aside."""
        return True

    def schema(self) -> pa.Schema:
        """Return the columns as they were given."""
        return self.wire.columns


def wire(
    format: str,  # noqa: A002 - the public argument
    schema: pa.Schema | Mapping[str, pa.DataType] | None,
    time: str,
    time_unit: str | None,
    on_malformed: OnMalformed,
    *,
    place: str,
) -> Wire:
    """Check what was given to a reader.

    Raises:
        PlanError: a format, a schema or a policy is none.
        TimeColumnError: the time column is missing or holds no time.
    """
    if not is_one_of(format, _FORMATS):
        msg = f"format={shown(format)} is unknown"
        raise PlanError(msg, place=place, remedy=f"one of {', '.join(_FORMATS)}")
    if not is_one_of(on_malformed, ("error", "quarantine")):
        msg = f"on_malformed={shown(on_malformed)} is unknown"
        raise PlanError(msg, place=place, remedy="use 'error' or 'quarantine'")
    check_time(time, time_unit)
    known = as_schema(schema)
    if known is None or not known.names:
        msg = f"schema={shown(schema)} names no column"
        remedy = "give the types of all columns, such as {'t': pa.timestamp('us')}"
        raise PlanError(msg, place=place, remedy=remedy)
    known = row_schema(known)
    check_columns(known, [time])
    check_time_type(time, known.field(time).type, time_unit)
    return Wire(_FORMAT_OF[format], known, time, time_unit, on_malformed)


_FORMAT_OF: Final[dict[str, WireFormat]] = {"jsonl": "jsonl", "csv": "csv", "arrow": "arrow"}
