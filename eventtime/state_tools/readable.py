"""The blocks of a window as a table that people read and change, and back, to the bit.

Keys have their values instead of numbers, slices their times, accumulators their names and types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from eventtime.errors import CheckpointError
from eventtime.lanes import UINT64, lane_kind
from eventtime.state.schemas import schema_from_text
from eventtime.windows.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.state.keys import KeyCodec
    from eventtime.state_tools.opening import StoredBlock

__all__ = ("WINDOW_KINDS", "WindowTables")

WINDOW_KINDS: Final = ("slice", "corrections", "closed_window")
_INSTANT: Final = pa.timestamp("us", "UTC")
_WORD: Final = re.compile(
    r"(nulls|sum_int|sum_float|min_int|max_int|min_float|max_float|moments|first|last"
    r"|decimal_sum|decimal_min|decimal_max)_(\d+)(?:_(\d+))?"
)
_OBJECT: Final = re.compile(r"output_(\d+)")
_PARTS: Final = {
    "moments": ("count", "mean", "squares"),
    "first": ("is_set", "time_us", "bits"),
    "last": ("is_set", "time_us", "bits"),
}
_SIGN: Final = np.uint64(1 << 63)


@dataclass(frozen=True)
class _Column:
    """A readable column, made of one or two columns of a block.

    Args:
        name: of it; kind: its type.
        sources: columns of the block.
        read: from these to the readable one; write: back.
    """

    name: str
    kind: pa.DataType
    sources: tuple[str, ...]
    read: Callable[[list[pa.Array]], pa.Array]
    write: Callable[[pa.Array], list[pa.Array]]


class WindowTables:
    """Turns the blocks of one window operator into tables, and back.

    Reading: `know_keys`, then `table` for each kind. Writing: `blocks` for each kind, `key_blocks`.

    Args:
        shape: of the window, as the head of a checkpoint says it.
    """

    def __init__(self, shape: dict[str, Any]) -> None:
        from eventtime.state.keys import KeyCodec

        self._grid = Grid(shape["size_us"], shape["slide_us"], shape["offset_us"])
        keys, self._inputs = schema_from_text(shape["keys"]), schema_from_text(shape["inputs"])
        self._outputs: list[str] = shape["outputs"]
        self._codec: KeyCodec = KeyCodec(keys.types)
        self._ids: np.ndarray | None = None
        # What stands beside the keys has a name that begins with '_' or holds a dot.
        taken = {"_at", "_start", "_end", "_rows", "_version", "_emitted"}
        self._keys = [
            pa.field(f"key.{name}" if name in taken or "." in name else name, kind)
            for name, kind in zip(keys.names, self._codec.types, strict=True)
        ]

    def know_keys(self, blocks: Sequence[StoredBlock]) -> None:
        """Take in what ids of keys stand for."""
        if blocks:
            self._ids = self._codec.restore([block.batch() for block in blocks])

    def table(self, kind: str, blocks: Sequence[StoredBlock]) -> pa.Table:
        """Return the blocks of one kind as one table, which tells in `_at` of which each row is.

        Args:
            kind: one of `WINDOW_KINDS`.
            blocks: at least one.
        """
        pieces = [self._piece(kind, block) for block in blocks]
        return pa.Table.from_batches(pieces).sort_by([("_at", "ascending")])

    def blocks(
        self, kind: str, table: pa.Table, saved: pa.Schema, place: str
    ) -> list[tuple[int, pa.RecordBatch]]:
        """Return the blocks that a table stands for, by the slice or end that they are of.

        Args:
            kind: one of `WINDOW_KINDS`.
            table: maybe changed: other values, rows, keys.
            saved: schema of the blocks.
            place: for messages.

        Raises:
            CheckpointError: it has other columns, a key twice in one place, or times of another.
        """
        columns = self._columns(saved)
        schema = self._schema(columns)
        table = _cast(table, schema, place)
        self._check_times(kind, table, place)
        table = table.sort_by([("_at", "ascending")]).combine_chunks()
        words, nulls = self._encoded(table)
        at = table.column("_at").to_numpy()
        _check_once(at, words, nulls, place)
        arrays: dict[str, pa.Array] = {"key": pa.array(words), "is_null": pa.array(nulls)}
        for column in columns:
            given = _array(table.column(column.name))
            arrays |= dict(zip(column.sources, column.write(given), strict=True))
        whole = pa.RecordBatch.from_arrays([arrays[n] for n in saved.names], schema=saved)
        places, starts = np.unique(at, return_index=True)
        ends = [*starts[1:].tolist(), len(at)]
        cuts = zip(places.tolist(), starts.tolist(), ends, strict=True)
        # Picked, not sliced: a block has nothing of its neighbours in its padding.
        picks = [(place_at, np.arange(start, end)) for place_at, start, end in cuts]
        return [(place_at, whole.take(pa.array(rows))) for place_at, rows in picks]

    def key_blocks(self) -> list[tuple[dict[str, str | int], pa.RecordBatch]]:
        """Return the blocks that say what ids of keys stand for, of all `blocks` so far."""
        if not self._codec.interned:
            return []
        return [(part.about, part.copy()()) for part in self._codec.save(1)]

    def _piece(self, kind: str, block: StoredBlock) -> pa.RecordBatch:
        batch, at = block.batch(), int(block.about["at"])
        n = batch.num_rows
        nulls = batch.column("is_null").to_numpy(zero_copy_only=False)
        words = batch.column("key").to_numpy()
        if self._ids is not None:
            words = np.where(nulls, 0, self._ids[np.where(nulls, 0, words)])
        start_us, end_us = self._bounds(kind, at)
        times = [pa.array([us] * n, pa.int64()).cast(_INSTANT) for us in (start_us, end_us)]
        columns = self._columns(batch.schema)
        arrays = [pa.array(np.full(n, at, np.int64)), *times, *self._codec.decode(words, nulls)]
        arrays += [c.read([batch.column(name) for name in c.sources]) for c in columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema(columns))

    def _bounds(self, kind: str, at: int) -> tuple[int | None, int | None]:
        grid = self._grid
        if grid.everything:
            return None, None
        if kind == "closed_window":
            return grid.start_of(at), at
        return grid.slice_start(at), grid.slice_start(at + 1)

    def _check_times(self, kind: str, table: pa.Table, place: str) -> None:
        shown = zip(*(table.column(c).to_pylist() for c in ("_at", "_start", "_end")), strict=True)
        for at, start, end in set(shown):
            there = tuple(
                None if t is None else int(pa.scalar(t, _INSTANT).value) for t in (start, end)
            )
            if there != self._bounds(kind, at):
                msg = f"_start and _end ({start} to {end}) are not those of _at {at}"
                remedy = "rows are moved by _at; give them the times of the others there"
                raise CheckpointError(msg, place=place, remedy=remedy)

    def _encoded(self, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        n = table.num_rows
        if not self._keys:
            return np.zeros(n, np.int64), np.zeros(n, np.bool_)
        words, nulls = self._codec.encode([_array(table.column(f.name)) for f in self._keys])
        nulls = nulls.astype(np.bool_) if nulls.size else np.zeros(n, np.bool_)
        return np.where(nulls, 0, words), nulls

    def _schema(self, columns: Sequence[_Column]) -> pa.Schema:
        fixed = [pa.field("_at", pa.int64(), nullable=False)]
        fixed += [pa.field(name, _INSTANT) for name in ("_start", "_end")]
        return pa.schema([*fixed, *self._keys, *(pa.field(c.name, c.kind) for c in columns)])

    def _columns(self, saved: pa.Schema) -> list[_Column]:
        columns = []
        for field in saved:
            if field.name in {"key", "is_null"}:
                continue
            word = _WORD.fullmatch(field.name)
            if word is None or not pa.types.is_int64(field.type):
                columns.append(_as_it_is(self._name(field.name), field))
            elif word[1] != "sum_int":
                columns.append(self._word(field, word[1], int(word[2]), word[3]))
            elif word[3] == "0":
                name = self._inputs.names[int(word[2])]
                columns.append(_wide(f"{name}.sum", field.name, field.name[:-1] + "1"))
        return columns

    def _name(self, name: str) -> str:
        found = _OBJECT.fullmatch(name)
        return f"_{name}" if found is None else f"{self._outputs[int(found[1])]}.contents"

    def _word(self, field: pa.Field, primitive: str, column: int, part: str | None) -> _Column:
        source = self._inputs.field(column)
        suffix = primitive.removesuffix("_int").removesuffix("_float")
        if part is not None:
            parts = _PARTS.get(primitive)
            suffix += f".{part if parts is None else parts[int(part)]}"
        name = f"{source.name}.{suffix}"
        is_float = primitive.endswith("_float") or suffix in {"moments.mean", "moments.squares"}
        if is_float:
            return _viewed(name, field, pa.float64())
        if primitive in {"min_int", "max_int"} and lane_kind(source.type) == UINT64:
            return _flipped(name, field)
        return _as_it_is(name, field)


def _array(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.chunks
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks or [pa.nulls(0, column.type)])


def _as_it_is(name: str, field: pa.Field) -> _Column:
    return _Column(name, field.type, (field.name,), lambda given: given[0], lambda given: [given])


def _viewed(name: str, field: pa.Field, kind: pa.DataType) -> _Column:
    return _Column(
        name,
        kind,
        (field.name,),
        lambda given: given[0].view(kind),
        lambda given: [given.view(field.type)],
    )


def _flipped(name: str, field: pa.Field) -> _Column:
    """Unsigned values, which are kept with their first bit turned, so that they sort as signed."""

    def read(given: list[pa.Array]) -> pa.Array:
        return pa.array(given[0].to_numpy().view(np.uint64) ^ _SIGN)

    def write(given: pa.Array) -> list[pa.Array]:
        return [pa.array((given.to_numpy() ^ _SIGN).view(np.int64))]

    return _Column(name, pa.uint64(), (field.name,), read, write)


def _wide(name: str, low: str, carry: str) -> _Column:
    """A sum of 128 bits: a low word, signed, and how often it went past its end."""
    kind = pa.decimal128(38)

    def read(given: list[pa.Array]) -> pa.Array:
        words = np.stack([column.to_numpy() for column in given], axis=1)
        words[:, 1] -= words[:, 0] < 0
        return pa.Array.from_buffers(kind, len(words), [None, pa.py_buffer(words)])

    def write(given: pa.Array) -> list[pa.Array]:
        words = np.frombuffer(given.buffers()[1], np.int64, count=2 * (given.offset + len(given)))
        words = words.reshape(-1, 2)[given.offset :]
        return [pa.array(words[:, 0].copy()), pa.array(words[:, 1] + (words[:, 0] < 0))]

    return _Column(name, kind, (low, carry), read, write)


def _cast(table: pa.Table, schema: pa.Schema, place: str) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    more = [name for name in table.column_names if name not in schema.names]
    if missing or more:
        which = f"no column {missing[0]!r}" if missing else f"a column {more[0]!r} too many"
        msg = f"the table has {which}"
        raise CheckpointError(msg, place=place, remedy=f"keep to {', '.join(schema.names)}")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        msg = f"the table has other types than before: {error}"
        raise CheckpointError(msg, place=place, remedy=f"cast it to {_words(schema)}") from error
    for field in schema:
        column = table.column(field.name)
        is_ours = "." in field.name or field.name in {"_at", "_rows", "_version"}
        if is_ours and column.null_count:
            msg = f"{column.null_count} values of {field.name!r} are null"
            raise CheckpointError(msg, place=place, remedy="give each a value")
    return table


def _words(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _check_once(at: np.ndarray, words: np.ndarray, nulls: np.ndarray, place: str) -> None:
    order = np.lexsort((words, nulls, at))
    same = np.ones(max(len(at) - 1, 0), np.bool_)
    for column in (at, words, nulls):
        same &= column[order][1:] == column[order][:-1]
    if same.any():
        row = int(order[1:][same][0])
        msg = f"row {row} has a key that is there already, of the same _at {at[row]}"
        raise CheckpointError(msg, place=place, remedy="keep each key once in each place")
