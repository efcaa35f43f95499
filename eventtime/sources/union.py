"""Several sources of one schema as one; every partition stays a partition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.errors import PlanError, SchemaError, SourceError
from eventtime.sources.marks import START_ANEW
from eventtime.sources.positions import check_known, checked
from eventtime.sources.schemas import difference
from eventtime.sources.seeking import open_source, position_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from eventtime.sources.base import MalformedRows, PartitionReader, Poll, Position, Source

__all__ = ("UnionSource",)

_FIELDS = {"source": int, "partition": str, "position": dict}


@dataclass(frozen=True)
class UnionSource:
    """The partitions of all sources; made with `UnionSource.of`."""

    sources: tuple[Source, ...]

    @classmethod
    def of(cls, *sources: Source) -> UnionSource:
        """Join sources; a union within is taken apart.

        Raises:
            PlanError: there is no source, or they have different time columns or units.
        """
        flat: list[Source] = []
        for source in sources:
            flat += source.sources if isinstance(source, UnionSource) else [source]
        if not flat:
            msg = "a union needs a source"
            raise PlanError(msg, place="union()", remedy="pass at least one")
        first = flat[0]
        for other in flat[1:]:
            if (other.time, other.time_unit) != (first.time, first.time_unit):
                message = (
                    f"the sources differ in time: {first.time!r} (unit {first.time_unit}) "
                    f"and {other.time!r} (unit {other.time_unit})"
                )
                raise PlanError(
                    message,
                    place="union()",
                    remedy="rename the column, or read with the same time=",
                )
        return cls(tuple(flat))

    @property
    def time(self) -> str:
        """Name of the event-time column, the same in all."""
        return self.sources[0].time

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column, the same in all."""
        return self.sources[0].time_unit

    def schema(self) -> pa.Schema:
        """Return the schema of the first source; the others agree in any order of columns.

        Raises:
            SchemaError: a column differs; the message shows both sources.
        """
        first, *others = self.sources
        schema = first.schema()
        for number, other in enumerate(others, start=2):
            gap = difference(
                schema,
                f"source 1 ({first.describe()})",
                other.schema(),
                f"source {number} ({other.describe()})",
            )
            if gap:
                remedy = "bring them to one schema with select and with_columns before the union"
                msg = f"the sources of a union differ: {gap}"
                raise SchemaError(msg, remedy=remedy)
        return schema

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        """Open all partitions; names that clash get the number of their source: ``2:a``.

        Raises:
            SourceError: a partition of ``positions`` is gone, or has another name by now.
        """
        names = self.schema().names if columns is None else columns
        held = self._of_each(positions or {})
        readers: list[tuple[int, PartitionReader]] = []
        try:
            for number, source in enumerate(self.sources, start=1):
                opened = open_source(source, names, batch_rows, held[number])
                readers += [(number, reader) for reader in opened]
            times = Counter(reader.name for _, reader in readers)
            members: list[PartitionReader] = [
                _Member(
                    f"{number}:{reader.name}" if times[reader.name] > 1 else reader.name,
                    number,
                    reader,
                )
                for number, reader in readers
            ]
            check_known(positions or {}, [reader.name for reader in members])
        except BaseException:
            for _, reader in readers:
                reader.close()
            raise
        return sorted(members, key=lambda reader: reader.name)

    def _of_each(self, positions: Mapping[str, Position]) -> dict[int, dict[str, Position]]:
        """Give each source, by its number, the positions of its own partitions."""
        held: dict[int, dict[str, Position]] = {n: {} for n in range(1, len(self.sources) + 1)}
        for name, position in positions.items():
            own = checked(position, _FIELDS, partition=name)
            if own["source"] not in held:
                count = len(self.sources)
                message = f"partition {name!r} was that of source {own['source']} of the union"
                raise SourceError(message, place=f"a union of {count}", remedy=START_ANEW)
            held[own["source"]][own["partition"]] = own["position"]
        return held

    def total_rows(self) -> int | None:
        """Add up the sources; None if one does not know."""
        counts = [source.total_rows() for source in self.sources]
        return None if None in counts else sum(count for count in counts if count is not None)

    def describe(self) -> str:
        """Return one line with all sources."""
        return "union of " + " | ".join(source.describe() for source in self.sources)


@dataclass(frozen=True, eq=False)
class _Member:
    """A reader of one of the sources, perhaps under another name."""

    name: str
    _source: int
    _reader: PartitionReader

    @property
    def position(self) -> Position:
        # The number tells whose it is before any partition is open and names that clash are known.
        own = position_of(self._reader)
        return {"source": self._source, "partition": self._reader.name, "position": own}

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        return self._reader.read()

    def close(self) -> None:
        self._reader.close()
