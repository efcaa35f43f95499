"""Aggregates that users write: the protocol they keep, and what runs and checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.errors import UserCodeError
from eventtime.timestamp import from_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("UserAccumulator", "UserAggregate")

Ints = NDArray[np.int64]
State = tuple[NDArray[Any], ...]


@runtime_checkable
class UserAggregate(Protocol):
    """What an aggregate of your own must offer; no base class is needed.

    The *state* is a tuple of numpy arrays whose first dimension counts slots: row `s` of each array
    is the accumulator of slot `s`. You say how empty ones look, how rows are folded in, how two
    become one, and what comes out. Everything works on columns; nothing is called for each row.

    The same slot occurs many times in one `add`, so ``state[0][slots] += x`` is wrong: numpy would
    keep only one of the additions for each slot. Use one of:

    - ``np.add.at(total, slots, x)``; likewise ``np.minimum.at``, ``np.maximum.at``;
    - ``total += np.bincount(slots, x, minlength=len(total))`` where there are few slots;
    - ``order = np.argsort(slots, kind="stable")``, then ``np.add.reduceat`` over the runs.

    So that results do not depend on how the input was cut into batches (S4), folding rows ``a``
    then ``b`` in one call must equal folding them in two. The `ufunc.at` functions work row by row
    and do; `bincount` and `reduceat` do for integers, but round floats by the cuts.

    >>> import numpy as np, pyarrow as pa
    >>> class GeometricMean:
    ...     def create(self, n):
    ...         return np.zeros(n), np.zeros(n, np.int64)
    ...
    ...     def add(self, state, slots, values):
    ...         known = values.is_valid().to_numpy(zero_copy_only=False)
    ...         logs = np.log(values.drop_null().to_numpy())
    ...         np.add.at(state[0], slots[known], logs)
    ...         np.add.at(state[1], slots[known], 1)
    ...
    ...     def merge(self, state, into, source):
    ...         for part in state:
    ...             part[into] += part[source]
    ...
    ...     def result(self, state, slots):
    ...         total, count = state[0][slots], state[1][slots]
    ...         return pa.array(np.exp(total / np.maximum(count, 1)), mask=count == 0)
    ...
    ...     def result_type(self, *types):
    ...         return pa.float64()
    >>> means = UserAccumulator("mean", GeometricMean(), [pa.float64()])
    >>> means.reset(np.array([0, 1]))
    >>> means.add(np.array([0, 0]), [pa.array([1.0, 4.0])], np.array([0, 0]))
    >>> means.result(np.array([0, 1])).to_pylist()
    [2.0, None]
    """

    def create(self, n: int) -> tuple[NDArray[Any], ...]:
        """Return `n` empty accumulators: arrays (n, …), the same dtypes each time, no objects."""
        ...

    def add(self, state: State, slots: Ints, *columns: pa.Array) -> None:
        """Fold rows into the state, in place.

        Args:
            state: the arrays made by `create`, for all slots there are.
            slots: (m,) int64, read-only, the slot of each row; repeats.
            columns: the inputs, (m,) each, in order of arrival; nulls are yours to judge.
        """
        ...

    def merge(self, state: State, into: Ints, source: Ints) -> None:
        """Add slots `source` to slots `into`, in place; (n,) each, `into` without repeats.

        The rows of `into` came first. `source` must stay as it is.
        """
        ...

    def result(self, state: State, slots: Ints) -> pa.Array:
        """Return one value for each of the slots, (n,) of the `result_type`, and change nothing."""
        ...

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        """Return the type of the results over inputs of the given types."""
        ...


class UserAccumulator:
    """Runs a `UserAggregate`, and says where it went wrong when it does.

    Args:
        name: of the result column.
        aggregate: the user's object.
        input_types: types of its columns.

    Raises:
        UserCodeError: from any method: the user's code raised, or returned the wrong thing; the
            message shows what was wanted and got, and names the rows and event times given.
    """

    def __init__(
        self, name: str, aggregate: UserAggregate, input_types: Sequence[pa.DataType]
    ) -> None:
        self._name, self._aggregate = name, aggregate
        for method in ("create", "add", "merge", "result", "result_type"):
            if not callable(getattr(aggregate, method, None)):
                self._refuse(method, "is missing", "", "implement eventtime.UserAggregate")
        place = f"inputs {', '.join(map(str, input_types)) or 'none'}"
        self.result_type = self._call("result_type", place, *input_types)
        if not isinstance(self.result_type, pa.DataType):
            self._refuse(
                "result_type",
                f"returned {_kind(self.result_type)}",
                place,
                "return a pyarrow.DataType",
            )
        self._empty = self._checked(self._call("create", "for 1 slot", 1), 1, None)
        self._state: State = tuple(array[:0] for array in self._empty)

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._state)

    def reset(self, slots: Ints) -> None:
        if len(slots) == 0:
            return
        have, want = len(self._state[0]), int(slots.max()) + 1
        if want > have:
            more = self._create(max(want - have, have))
            self._state = tuple(
                np.concatenate(pair) for pair in zip(self._state, more, strict=True)
            )
        for array, empty in zip(self._state, self._create(len(slots)), strict=True):
            array[slots] = empty

    def add(self, slots: Ints, columns: Sequence[pa.Array], time_us: Ints) -> None:
        if len(slots):
            place = f"{len(slots)} rows of event time {_span(time_us)}"
            self._call("add", place, self._state, _read_only(slots), *columns)

    def copy(self, into: Ints, source: Ints) -> None:
        self.reset(into)
        for array in self._state:
            array[into] = array[source]

    def merge(self, into: Ints, source: Ints) -> None:
        if len(into):
            place = f"{len(into)} pairs of slots"
            self._call("merge", place, self._state, _read_only(into), _read_only(source))

    def result(self, slots: Ints) -> pa.Array:
        place = f"{len(slots)} slots"
        if len(slots) == 0:
            return pa.nulls(0, self.result_type)
        values = self._call("result", place, self._state, _read_only(slots))
        remedy = f"return a pyarrow.Array of {len(slots)} values of type {self.result_type}"
        if not isinstance(values, pa.Array):
            self._refuse("result", f"returned {_kind(values)}", place, remedy)
        if len(values) != len(slots) or values.type != self.result_type:
            self._refuse(
                "result", f"returned {len(values)} values of type {values.type}", place, remedy
            )
        return values

    def release(self, slots: Ints) -> None:
        """Do nothing: a reset writes over what is left."""

    @property
    def saved_type(self) -> pa.DataType:
        # A name says what the bytes are: numpy's type and the shape of one accumulator.
        return pa.struct(
            [
                pa.field(f"{i} {a.dtype.descr if a.dtype.names else a.dtype.str} {a.shape[1:]}", w)
                for i, (a, w) in enumerate(zip(self._empty, self._widths, strict=True))
            ]
        )

    @property
    def _widths(self) -> list[pa.DataType]:
        return [pa.binary(array.nbytes) for array in self._empty]

    def save(self, slots: Ints) -> Callable[[], pa.Array]:
        columns = [
            pa.Array.from_buffers(
                width, len(slots), [None, pa.py_buffer(np.ascontiguousarray(array[slots]))]
            )
            for width, array in zip(self._widths, self._state, strict=True)
        ]
        saved = pa.StructArray.from_arrays(columns, fields=list(self.saved_type))
        return lambda: saved

    @property
    def renumberings(self) -> int:
        return 0

    def restore(self, slots: Ints, saved: pa.Array) -> None:
        for i, array in enumerate(self._state):
            # Copied, so that it begins at its first value.
            column = saved.field(i).take(pa.array(np.arange(len(slots))))
            values = np.frombuffer(column.buffers()[1], array.dtype, count=array[slots].size)
            array[slots] = values.reshape(len(slots), *array.shape[1:])

    def check_invariants(self) -> None:
        lengths = {len(array) for array in self._state}
        assert len(lengths) == 1, "the arrays of the state differ in length"

    def _create(self, n: int) -> State:
        return self._checked(self._call("create", f"for {n} slots", n), n, self._empty)

    def _checked(self, made: object, n: int, like: State | None) -> State:
        """Check what `create` returned against the wanted length and what it returned before."""
        place, remedy = (
            f"create({n})",
            f"return a tuple of numpy arrays of shape ({n}, …), always of the same dtypes",
        )
        if (
            not isinstance(made, tuple | list)
            or not made
            or not all(isinstance(a, np.ndarray) for a in made)
        ):
            self._refuse("create", f"returned {_kind(made)}", place, remedy)
        if any(array.ndim == 0 or len(array) != n or array.dtype.hasobject for array in made):
            self._refuse("create", f"returned {_shapes(made)}", place, remedy)
        if like is not None and [_form(a) for a in made] != [_form(a) for a in like]:
            got = f"returned {_shapes(made)}, before it was {_shapes(like)}"
            self._refuse("create", got, place, remedy)
        return tuple(made)

    def _call(self, method: str, place: str, *arguments: Any) -> Any:
        try:
            return getattr(self._aggregate, method)(*arguments)
        except Exception as error:
            msg = f"{self._who(method)} raised {type(error).__name__}: {error}"
            remedy = "mend the aggregate; the traceback above shows the line"
            raise UserCodeError(msg, place=place, remedy=remedy) from error

    def _who(self, method: str) -> str:
        return f"aggregate {self._name!r}: {type(self._aggregate).__name__}.{method}"

    def _refuse(self, method: str, got: str, place: str, remedy: str) -> NoReturn:
        msg = f"{self._who(method)} {got}"
        raise UserCodeError(msg, place=place, remedy=remedy)


def _read_only(slots: Ints) -> Ints:
    # The same slots go to the other aggregates: nobody may sort them in place.
    view = slots.view()
    view.flags.writeable = False
    return view


def _form(array: NDArray[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    return array.dtype, array.shape[1:]


def _shapes(arrays: Sequence[NDArray[Any]]) -> str:
    return ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays)


def _kind(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of ({', '.join(type(item).__name__ for item in value)})"
    return f"{type(value).__name__} {value!r}"[:80]


def _span(time_us: Ints) -> str:
    ends = np.array([time_us.min(), time_us.max()])
    try:
        first, last = (str(t) for t in from_us(ends, pa.timestamp("us", "UTC")).to_pylist())
    except (ValueError, OverflowError):
        # Beyond the calendar: show the number.
        first, last = (f"{t} µs" for t in ends)
    return f"{first} to {last}"
