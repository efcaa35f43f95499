"""List and map state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.state.keyed_cells import CellState
from eventtime.state.keyed_state import Ints, Rows, shaped
from eventtime.state.moment import Expiry
from eventtime.state.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from eventtime.state.declared import Declared
    from eventtime.state.moment import Moment, OneForAll

__all__ = ("ListState", "MapState")

_FOREVER: Final = 2**63 - 1


class ListState(CellState):
    """A list for each key, in order of arrival.

    One row at a time: `append`, `extend`, `values`, `clear`, iteration, `len`. Batches:
    `append_rows`, `get_rows`, `clear_rows`.
    """

    def append(self, value: Any) -> None:
        """Add a value to the list of this key."""
        self.extend((value,))

    def extend(self, values: Iterable[Any]) -> None:
        """Add values to the list of this key."""
        slot = self._moment.slot
        stored = [None if v is None else self._scalars.stored(v) for v in values]
        held = self._held(slot)
        if held is None:
            self._cells[slot] = stored
        else:
            held.extend(stored)
        if self._expiry is not None:
            self._expiry.renew(slot)

    def values(self) -> list[Any]:
        """Return a copy of the list of this key."""
        return list(self._held(self._moment.slot) or ())

    def clear(self) -> None:
        """Empty the list of this key."""
        self._cells[self._moment.slot] = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __len__(self) -> int:
        return len(self._held(self._moment.slot) or ())

    def append_rows(self, values: Any, rows: Rows = None) -> None:
        """Add a value of each row to the list of its key, in order."""
        numbers, slots = self._rows(rows)
        new = shaped(values, self.declared.kind, len(slots), f"state {self.name!r}").to_pylist()
        nows, thens = [0] * len(new), [0] * len(new)
        if self._expiry is not None:
            nows = self._expiry.nows_us(numbers).tolist()
            thens = self._expiry.thens_us(numbers).tolist()
        for slot, value, now, then in zip(slots.tolist(), new, nows, thens, strict=True):
            if self._expiry is not None:
                if self._expiry.until_us[slot] <= now:
                    self._cells[slot] = None
                self._expiry.until_us[slot] = then
            cell = self._cells[slot]
            if cell is None:
                self._cells[slot] = [value]
            else:
                cell.append(value)

    def get_rows(self, rows: Rows = None) -> pa.Array:
        """Return the lists of the keys of rows, (n,) lists; empty where there is none."""
        numbers, slots = self._rows(rows)
        lists = [self._cells[slot] or [] for slot in slots.tolist()]
        dead = self._dead(slots, numbers)
        if dead is not None:
            lists = [[] if d else v for v, d in zip(lists, dead.tolist(), strict=True)]
        return pa.array(lists, pa.list_(self.declared.kind))

    def clear_rows(self, rows: Rows = None) -> None:
        """Empty the lists of the keys of rows."""
        self.forget(self._rows(rows)[1])

    def _is_something(self, cell: list[Any] | None) -> bool:
        return bool(cell)

    def _saved(self, slots: Ints, held: NDArray[np.bool_]) -> pa.Array:
        pairs = zip(slots.tolist(), held.tolist(), strict=True)
        cells = [self._cells[slot] if h else None for slot, h in pairs]
        return pa.array(cells, pa.list_(self.declared.kind))

    def _fill(self, slots: Ints, values: pa.Array) -> None:
        for slot, value in zip(slots.tolist(), values.to_pylist(), strict=True):
            self._cells[slot] = value

    def _held(self, slot: int) -> list[Any] | None:
        cell: list[Any] | None = self._cells[slot]
        return None if self._expiry is not None and self._expiry.is_dead(slot) else cell


class MapState(CellState):
    """A map for each key, in order of insertion; each entry lives by itself.

    One row at a time: `get`, `[]`, `in`, `del`, `items`, `len`, `clear`. Batches: `get_rows`,
    `set_rows`, `swap_rows`, `delete_rows`, `clear_rows`.
    """

    def __init__(self, name: str, declared: Declared, moment: Moment | OneForAll) -> None:
        super().__init__(name, declared, moment)
        assert declared.key_kind is not None
        self._keys = Scalars(declared.key_kind, f"state {name!r}, as its keys,")
        # A cell has of each entry its value, and until when it lives.
        self._life = None if declared.ttl_us is None else Expiry(declared, moment)

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of an entry, or the default."""
        cell = self._cells[self._moment.slot]
        found = None if cell is None else cell.get(key)
        if found is None or (self._life is not None and found[1] <= self._life.now_us()):
            return default
        return found[0]

    def __getitem__(self, key: Any) -> Any:
        found = self.get(key, self)
        if found is self:
            raise KeyError(key)
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check_writable()
        then = _FOREVER if self._life is None else self._life.then_us()
        now = None if self._life is None else self._life.now_us()
        value = None if value is None else self._scalars.stored(value)
        self._put(self._moment.slot, self._keys.stored(key), value, now, then)

    def __delitem__(self, key: Any) -> None:
        self._check_writable()
        self[key]  # raises KeyError
        cell = self._cells[self._moment.slot]
        assert cell is not None
        del cell[key]

    def __contains__(self, key: Any) -> bool:
        return self.get(key, self) is not self

    def items(self) -> list[tuple[Any, Any]]:
        """Return the entries of this key, in order of insertion."""
        cell = self._cells[self._moment.slot] or {}
        now = None if self._life is None else self._life.now_us()
        return [(k, v) for k, (v, until) in cell.items() if now is None or until > now]

    def keys(self) -> list[Any]:
        """Return the keys of the entries."""
        return [key for key, _ in self.items()]

    def __len__(self) -> int:
        return len(self.items())

    def clear(self) -> None:
        """Forget the entries of this key."""
        self._check_writable()
        self._cells[self._moment.slot] = None

    def get_rows(self, keys: Any, rows: Rows = None) -> pa.Array:
        """Return the value of an entry for each row, (n,); null where there is none."""
        numbers, slots = self._rows(rows)
        times = self._times(numbers, len(slots))
        names = self._names(keys, len(slots))
        found = [
            self._alive(slot, key, now)
            for slot, key, (now, _) in zip(slots.tolist(), names, times, strict=True)
        ]
        return pa.array(found, self.declared.kind)

    def set_rows(self, keys: Any, values: Any, rows: Rows = None) -> None:
        """Set an entry for each row, in order."""
        self.swap_rows(keys, values, rows)

    def swap_rows(self, keys: Any, values: Any, rows: Rows = None) -> pa.Array:
        """Set an entry for each row and return what it was before, (n,).

        A row sees what earlier rows have set.
        """
        self._check_writable()
        numbers, slots = self._rows(rows)
        n = len(slots)
        new = shaped(values, self.declared.kind, n, f"state {self.name!r}").to_pylist()
        names, old, times = self._names(keys, n), [], self._times(numbers, n)
        for slot, key, value, (now, then) in zip(slots.tolist(), names, new, times, strict=True):
            old.append(self._alive(slot, key, now))
            self._put(slot, key, value, now, then)
        return pa.array(old, self.declared.kind)

    def delete_rows(self, keys: Any, rows: Rows = None) -> None:
        """Forget an entry for each row; it need not be there."""
        self._check_writable()
        _, slots = self._rows(rows)
        names = self._names(keys, len(slots))
        for slot, key in zip(slots.tolist(), names, strict=True):
            cell = self._cells[slot]
            if cell is not None:
                cell.pop(key, None)

    def clear_rows(self, rows: Rows = None) -> None:
        """Forget the entries of the keys of rows."""
        self._check_writable()
        self.forget(self._rows(rows)[1])

    def is_held(self, slots: Ints) -> NDArray[np.bool_]:
        """Return of each slot whether it has entries; forgets those that are dead."""
        now = None if self._life is None else self._life.now_us()
        for slot in slots.tolist() if now is not None else []:
            cell = self._cells[slot]
            if cell:
                self._cells[slot] = {k: v for k, v in cell.items() if v[1] > now}
        return super().is_held(slots)

    def living(self, saved: pa.RecordBatch) -> pa.Array:
        entries = saved.column(self.column)
        if self._life is None:
            return entries
        lengths = pc.fill_null(pc.list_value_length(entries), 0).to_numpy()
        flat = entries.flatten()
        alive = flat.field("until_us").to_numpy() > self._life.now_us()
        if alive.all():
            return entries
        of_rows = np.repeat(np.arange(len(entries)), lengths)[alive]
        left = np.bincount(of_rows, minlength=len(entries))
        offsets = pa.array(np.append(0, np.cumsum(left)).astype(np.int32))
        return pa.ListArray.from_arrays(
            offsets, flat.filter(pa.array(alive)), type=entries.type, mask=pa.array(left == 0)
        )

    def _is_something(self, cell: dict[Any, tuple[Any, int]] | None) -> bool:
        return bool(cell)

    def _saved(self, slots: Ints, held: NDArray[np.bool_]) -> pa.Array:
        entries = [
            [{"key": k, "value": v, "until_us": u} for k, (v, u) in self._cells[slot].items()]
            if h
            else None
            for slot, h in zip(slots.tolist(), held.tolist(), strict=True)
        ]
        return pa.array(entries, self._saved_type())

    def _saved_type(self) -> pa.DataType:
        entry = {"key": self._keys.kind, "value": self.declared.kind, "until_us": pa.int64()}
        return pa.list_(pa.struct(list(entry.items())))

    def _fill(self, slots: Ints, values: pa.Array) -> None:
        for slot, entries in zip(slots.tolist(), values.to_pylist(), strict=True):
            self._cells[slot] = {e["key"]: (e["value"], e["until_us"]) for e in entries or ()}

    def _check_writable(self) -> None:
        if self.declared.scope == "broadcast" and not self._moment.is_changing:
            msg = f"state {self.name!r} is broadcast: only on_broadcast changes it"
            raise TypeError(msg)

    def _names(self, keys: Any, n: int) -> list[Any]:
        name = f"state {self.name!r}, as its keys,"
        names: list[Any] = shaped(keys, self._keys.kind, n, name).to_pylist()
        return names

    def _times(self, rows: Ints | None, n: int) -> list[tuple[int | None, int]]:
        if self._life is None:
            return [(None, _FOREVER)] * n
        nows, thens = self._life.nows_us(rows), self._life.thens_us(rows)
        return list(zip(nows.tolist(), thens.tolist(), strict=True))

    def _alive(self, slot: int, key: Any, now_us: int | None) -> Any:
        found = (self._cells[slot] or {}).get(key)
        if found is None or (now_us is not None and found[1] <= now_us):
            return None
        return found[0]

    def _put(self, slot: int, key: Any, value: Any, now_us: int | None, until_us: int) -> None:
        cell = self._cells[slot]
        if cell is None:
            cell = self._cells[slot] = {}
        # A dead entry has no place any more: whether it was swept must not show.
        if now_us is not None and key in cell and cell[key][1] <= now_us:
            del cell[key]
        cell[key] = (value, until_us)
