"""What all states of a process function have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.encodings import laid_out
from eventtime.state.exact import array_of, scalar_of
from eventtime.state.moment import Expiry, Moment, OneForAll
from eventtime.state.scalars import Scalars

if TYPE_CHECKING:
    from eventtime.state.declared import Declared

__all__ = ("Ints", "Rows", "State", "row_numbers", "shaped")

Ints = NDArray[np.int64]
Rows: TypeAlias = "NDArray[Any] | list[int] | None"


class State(ABC):
    """Values of one declared state, by slot.

    For the function's author: what subclasses add. For the engine: `grow`, `is_held`, `forget`,
    `save`, `fill`, `living`, `slot_bytes`.

    Args:
        name: of the attribute.
        declared: what it is.
        moment: says for which key, and at what time.
    """

    def __init__(self, name: str, declared: Declared, moment: Moment | OneForAll) -> None:
        self.name, self.declared = name, declared
        self._moment = moment
        self._scalars = Scalars(declared.kind, f"state {name!r}")
        per_slot = declared.ttl_us is not None and declared.form != "map"
        self._expiry = Expiry(declared, moment) if per_slot else None

    def grow(self, capacity: int) -> None:
        """Make room for slots up to `capacity`."""
        if self._expiry is not None:
            until = self._expiry.until_us
            more = np.zeros(capacity - len(until), np.int64)
            self._expiry.until_us = np.concatenate([until, more])

    @abstractmethod
    def is_held(self, slots: Ints) -> NDArray[np.bool_]:
        """Return of each slot whether it holds something that lives."""

    @abstractmethod
    def forget(self, slots: Ints) -> None:
        """Hold nothing for these slots."""

    @property
    def column(self) -> str:
        """Name of the column of values that are saved."""
        return f"{self.declared.form}:{self.name}"

    def save(self, slots: Ints) -> dict[str, pa.Array]:
        """Return what slots hold that live, as columns by name; null: nothing."""
        held = self.is_held(slots)
        columns = {self.column: self._saved(slots, held)}
        if self._expiry is not None:
            until_us = np.where(held, self._expiry.until_us[slots], 0)
            columns[f"until:{self.name}"] = pa.array(until_us)
        return columns

    def fill(self, slots: Ints, saved: pa.RecordBatch) -> None:
        """Hold what was saved."""
        self._fill(slots, saved.column(self.column))
        if self._expiry is not None:
            self._expiry.until_us[slots] = saved.column(f"until:{self.name}").to_numpy()

    def living(self, saved: pa.RecordBatch) -> pa.Array:
        """Return the column of values without those that have died since they were saved."""
        values = saved.column(self.column)
        if self._expiry is None:
            return values
        dead = saved.column(f"until:{self.name}").to_numpy() <= self._expiry.now_us()
        return values.take(pa.array(np.arange(len(values)), mask=dead)) if dead.any() else values

    @property
    @abstractmethod
    def slot_bytes(self) -> int:
        """Bytes of memory for each slot, whatever it holds."""

    @abstractmethod
    def _saved(self, slots: Ints, held: NDArray[np.bool_]) -> pa.Array:
        """Return the values of slots; null where nothing is held."""

    @abstractmethod
    def _fill(self, slots: Ints, values: pa.Array) -> None:
        """Hold values."""

    def _rows(self, rows: Rows) -> tuple[Ints | None, Ints]:
        """Return row numbers (None: all) and their slots."""
        if self._moment.is_changing:
            msg = f"state {self.name!r}: on_broadcast has no rows; use what takes one at a time"
            raise TypeError(msg)
        slots = self._moment.slots
        if rows is None:
            return None, slots
        numbers = row_numbers(rows, len(slots))
        return numbers, slots[numbers]

    def _dead(self, slots: Ints, rows: Ints | None) -> NDArray[np.bool_] | None:
        if self._expiry is None:
            return None
        dead: NDArray[np.bool_] = self._expiry.until_us[slots] <= self._expiry.nows_us(rows)
        return dead

    def _dead_now(self, slots: Ints) -> NDArray[np.bool_]:
        if self._expiry is None:
            return np.zeros(len(slots), np.bool_)
        dead: NDArray[np.bool_] = self._expiry.until_us[slots] <= self._expiry.now_us()
        return dead


def shaped(values: Any, kind: pa.DataType, n: int, name: str) -> pa.Array:
    """Return values for `n` rows as an array of a type.

    Args:
        values: an Arrow or numpy array, a list, or one value for all.
        kind: the type wanted; values are cast to it where nothing is lost.
        n: rows.
        name: of the state, for errors.

    Raises:
        TypeError: they are of another type.
        ValueError: there are more or fewer.
    """
    try:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if isinstance(values, pa.Array):
            array = laid_out(values, kind)
        elif isinstance(values, np.ndarray | list):
            array = array_of(values, kind)
        else:
            array = pa.repeat(scalar_of(values, kind), n)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        msg = f"{name} holds {kind}: {error}"
        raise TypeError(msg) from error
    if len(array) != n:
        msg = f"{name}: {len(array)} values for {n} rows"
        raise ValueError(msg)
    return array


def row_numbers(rows: Any, n: int) -> Ints:
    """Return numbers of rows of a batch of `n`, given as numbers or as a mask.

    Raises:
        IndexError: there is no such row, or the mask is of another length.
    """
    numbers = np.asarray(rows)
    if numbers.dtype == np.bool_:
        if len(numbers) != n:
            msg = f"a mask of {len(numbers)} rows for {n}"
            raise IndexError(msg)
        return np.flatnonzero(numbers)
    numbers = numbers.astype(np.int64, copy=False)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= n):
        msg = f"row numbers go from {numbers.min()} to {numbers.max()}; there are {n}"
        raise IndexError(msg)
    return numbers
