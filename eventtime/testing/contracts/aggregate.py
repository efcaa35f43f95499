"""The contract of a user's aggregate."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from eventtime.checks import check_flag, shown
from eventtime.errors import PlanError
from eventtime.testing.contracts.laws import Law, check_object, hold, is_same
from eventtime.testing.strategies.values import values
from eventtime.windows.user_aggregate import UserAccumulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.windows.user_aggregate import UserAggregate

__all__ = ("check_aggregate",)

Rows = list[tuple[Any, ...]]

_MOST: Final = 16
"""Rows in an accumulator: some do otherwise once they have many."""
_OFTEN: Final = 8
"""So often a few rows come, mixed: a sort that is not stable is so for up to sixteen."""

_FORM: Final = Law(
    "shapes and types",
    "create returns n accumulators of the same dtypes each time, no objects; result one value of "
    "result_type for each slot",
)
_CALLS: Final = Law("one call or two", "rows folded in one call give the same bits as in two (S4)")
_SLOTS: Final = Law(
    "slots repeat", "each row goes to its own slot, however they are mixed, and to no other"
)
_NEUTRAL: Final = Law(
    "create is neutral", "an empty accumulator merged into another, or the other way, is that other"
)
_FOLDED: Final = Law(
    "merge is folding", "two accumulators merged are one that got the rows of both, in order"
)
_ASSOCIATIVE: Final = Law(
    "merge is associative", "(a and b) and c give the same as a and (b and c)"
)
_COMMUTATIVE: Final = Law("merge is commutative", "a and b give the same as b and a")
_PAIRS: Final = Law(
    "pairs are merged apart", "several pairs merged in one call give the same as a call for each"
)
_SOURCE: Final = Law("merge leaves its source", "what is merged from stays as it is")
_LOOKING: Final = Law(
    "result changes nothing", "looking twice, at one slot or at several, shows the same"
)
_OUTSIDE: Final = Law(
    "all is in the state", "a copy of the aggregate reads from the same state the same results"
)


def check_aggregate(
    aggregate: UserAggregate,
    *types: pa.DataType,
    commutative: bool = False,
    tolerance: float = 1e-9,
    max_examples: int = 100,
) -> None:
    """Check that an aggregate of yours keeps the contract of `eventtime.UserAggregate`.

    Args:
        aggregate: the object.
        types: of its inputs, in order.
        commutative: whether the order of what is merged must not matter.
        tolerance: how far floats may be apart, relative and absolute, where accumulators were
            merged in another order; folding must give the same bits.
        max_examples: for each law.

    Raises:
        BrokenLawError: names the law, with the smallest example; an AssertionError.
        PlanError: it is no aggregate, or what is given is no type.

    >>> import numpy as np
    >>> class Total:
    ...     def create(self, n):
    ...         return (np.zeros(n, np.int64),)
    ...
    ...     def add(self, state, slots, values):
    ...         np.add.at(state[0], slots, values.fill_null(0).to_numpy())
    ...
    ...     def merge(self, state, into, source):
    ...         state[0][into] = state[0][source]  # wrong: `+=`
    ...
    ...     def result(self, state, slots):
    ...         return pa.array(state[0][slots])
    ...
    ...     def result_type(self, *types):
    ...         return pa.int64()
    >>> check_aggregate(Total(), pa.int64())
    Traceback (most recent call last):
    ...
    eventtime.testing.contracts.laws.BrokenLawError: Total breaks a law: create is neutral
      law:     an empty accumulator merged into another, or the other way, is that other
      found:   an empty one merged into it: [0], not [1]
      example: [(1,)]
    """
    check_flag(commutative, place="check_aggregate(commutative=…)")
    _check_given(aggregate, types)
    laws = _Laws(aggregate, types, tolerance)
    row = st.tuples(*[values(pa.field(f"x{i}", kind)) for i, kind in enumerate(types)])
    some, more = st.lists(row, max_size=_MOST), st.lists(row, min_size=1, max_size=_MOST)
    slotted = st.lists(st.tuples(st.integers(0, 2), row), min_size=1, max_size=6)
    rounded = st.lists(st.tuples(*map(_rounded, types)), min_size=1, max_size=_MOST)
    pair, three = st.tuples(more, more), st.tuples(more, more, more)
    checks: list[tuple[Law, Any, Callable[[Any], str | None]]] = [
        (_FORM, slotted, laws.has_form),
        (_CALLS, st.tuples(rounded, rounded), laws.calls_do_not_show),
        (_SLOTS, slotted, laws.slots_are_apart),
        (_LOOKING, slotted, laws.looking_changes_nothing),
        (_OUTSIDE, more, laws.nothing_is_outside),
        (_NEUTRAL, some, laws.empty_is_neutral),
        (_SOURCE, pair, laws.source_stays),
        (_FOLDED, pair, laws.merging_is_folding),
        (_PAIRS, st.tuples(*[more] * 4), laws.pairs_are_apart),
        (_ASSOCIATIVE, three, laws.is_associative),
        *([(_COMMUTATIVE, pair, laws.is_commutative)] if commutative else []),
    ]
    for law, examples, check in checks:
        hold(type(aggregate).__name__, law, examples, check, max_examples=max_examples)


def _rounded(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Draw values also of which a sum shows how it was made up."""
    drawn = values(pa.field("x", kind))
    is_rounded = pa.types.is_float64(kind) or pa.types.is_float32(kind)
    return drawn | st.sampled_from([0.1, 0.7, 1e9]) if is_rounded else drawn


def _check_given(aggregate: object, types: Sequence[object]) -> None:
    check_object(aggregate, "check_aggregate(…)")
    for method in ("create", "add", "merge", "result", "result_type"):
        if not callable(getattr(aggregate, method, None)):
            msg = f"{shown(aggregate)} has no {method}"
            raise PlanError(msg, place="check_aggregate(…)", remedy="see eventtime.UserAggregate")
    for kind in types:
        if not isinstance(kind, pa.DataType):
            remedy = "name those of its inputs, such as pa.int64()"
            msg = f"{shown(kind)} is no type of Arrow's"
            raise PlanError(msg, place="check_aggregate(types)", remedy=remedy)


class _Laws:
    """The laws of one aggregate; each method returns what is wrong with an example."""

    def __init__(
        self, aggregate: UserAggregate, types: Sequence[pa.DataType], tolerance: float
    ) -> None:
        self._aggregate, self._types, self._tolerance = aggregate, types, tolerance
        self._untouched = copy.deepcopy(aggregate)

    def has_form(self, slotted: list[tuple[int, tuple[Any, ...]]]) -> None:
        folded = self._folded([row for _, row in slotted], [slot for slot, _ in slotted])
        folded.result(np.arange(3))
        folded.reset(np.array([9, 1]))
        folded.check_invariants()

    def calls_do_not_show(self, pair: tuple[Rows, Rows]) -> str | None:
        first, second = pair
        folded = self._folded(first)
        self._add(folded, second, [0] * len(second))
        return _told("in two calls", folded.result(_ONE), self._result(first + second))

    def slots_are_apart(self, slotted: list[tuple[int, tuple[Any, ...]]]) -> str | None:
        how = f" of the example {_OFTEN} times over"
        return self._apart_among(slotted) or self._apart_among(slotted * _OFTEN, how)

    def _apart_among(self, slotted: list[tuple[int, tuple[Any, ...]]], how: str = "") -> str | None:
        folded = self._folded([row for _, row in slotted], [slot for slot, _ in slotted])
        for slot in range(3):
            own = [row for at, row in slotted if at == slot]
            found = _told(f"slot {slot}{how}", folded.result(np.array([slot])), self._result(own))
            if found:
                return found
        return None

    def looking_changes_nothing(self, slotted: list[tuple[int, tuple[Any, ...]]]) -> str | None:
        folded = self._folded([row for _, row in slotted], [slot for slot, _ in slotted])
        together = folded.result(np.array([2, 0, 1]))
        for at, slot in enumerate((2, 0, 1)):
            found = _told(
                f"slot {slot} by itself", folded.result(np.array([slot])), together[at:][:1]
            )
            if found:
                return found
        return _told("the second time", folded.result(np.array([2, 0, 1])), together)

    def nothing_is_outside(self, rows: Rows) -> str | None:
        folded = self._folded(rows)
        other = UserAccumulator("copy", copy.deepcopy(self._untouched), list(self._types))
        other.reset(_ONE)
        other.restore(_ONE, folded.save(_ONE)())
        return _told("a new object", other.result(_ONE), folded.result(_ONE))

    def empty_is_neutral(self, rows: Rows) -> str | None:
        wanted = self._result(rows)
        for name, parts in (("into it", (rows, [])), ("with it", ([], rows))):
            found = self._near(f"an empty one merged {name}", self._merged(*parts), wanted)
            if found:
                return found
        return None

    def source_stays(self, pair: tuple[Rows, Rows]) -> str | None:
        first, second = pair
        folded = self._folded(first + second, [0] * len(first) + [1] * len(second))
        before = folded.result(np.array([1]))
        folded.merge(_ONE, np.array([1]))
        return _told("the source", folded.result(np.array([1])), before)

    def merging_is_folding(self, pair: tuple[Rows, Rows]) -> str | None:
        return self._near("merged", self._merged(*pair), self._result(pair[0] + pair[1]))

    def pairs_are_apart(self, four: tuple[Rows, Rows, Rows, Rows]) -> str | None:
        together, apart, into = self._apart(four), self._apart(four), np.array([0, 1])
        together.merge(into, np.array([2, 3]))
        for slot in into:
            apart.merge(np.array([slot]), np.array([slot + 2]))
        return self._near("two pairs in one call", together.result(into), apart.result(into))

    def is_associative(self, three: tuple[Rows, Rows, Rows]) -> str | None:
        left, right = self._apart(three), self._apart(three)
        left.merge(_ONE, np.array([1]))
        left.merge(_ONE, np.array([2]))
        right.merge(np.array([1]), np.array([2]))
        right.merge(_ONE, np.array([1]))
        return self._near("(a and b) and c", left.result(_ONE), right.result(_ONE))

    def is_commutative(self, pair: tuple[Rows, Rows]) -> str | None:
        return self._near("b and a", self._merged(pair[1], pair[0]), self._merged(*pair))

    def _near(self, name: str, got: pa.Array, wanted: pa.Array) -> str | None:
        return _told(name, got, wanted, self._tolerance)

    def _merged(self, *parts: Rows) -> pa.Array:
        folded = self._apart(parts)
        folded.merge(_ONE, np.array([1]))
        return folded.result(_ONE)

    def _apart(self, parts: Sequence[Rows]) -> UserAccumulator:
        slots = [slot for slot, rows in enumerate(parts) for _ in rows]
        return self._folded([row for rows in parts for row in rows], slots)

    def _result(self, rows: Rows) -> pa.Array:
        return self._folded(rows).result(_ONE)

    def _folded(self, rows: Rows, slots: Sequence[int] | None = None) -> UserAccumulator:
        name = type(self._aggregate).__name__
        made = UserAccumulator(name, self._aggregate, list(self._types))
        made.reset(np.arange(4))
        self._add(made, rows, [0] * len(rows) if slots is None else slots)
        return made

    def _add(self, into: UserAccumulator, rows: Rows, slots: Sequence[int]) -> None:
        columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(self._types)]
        into.add(np.array(slots, np.int64), columns, np.zeros(len(rows), np.int64))


_ONE: Final = np.array([0])


def _told(name: str, got: pa.Array, wanted: pa.Array, tolerance: float = 0.0) -> str | None:
    if is_same(got, wanted, tolerance):
        return None
    return f"{name}: {got.to_pylist()}, not {wanted.to_pylist()}"
