"""The contract of an assigner."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from hypothesis import strategies as st

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.readers import from_arrow
from eventtime.testing.contracts.laws import Law, check_object, hold
from eventtime.testing.harness import Harness
from eventtime.watermark import ascending
from eventtime.windows.aggregate import count
from eventtime.windows.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.windows.assigner import GridAssigner

__all__ = ("check_assigner",)

_SAME: Final = Law(
    "one description", "it is equal to a copy of itself, and says the same each time it is asked"
)
_COVERS: Final = Law(
    "each time is in its windows",
    "a row at t is counted in every window [s, e) of the grid with s <= t < e, and in no other",
)
_SCHEMA: Final = pa.schema({"t": pa.timestamp("us")})


def check_assigner(assigner: GridAssigner, *, max_examples: int = 100) -> None:
    """Check that an assigner of yours gives each time its windows.

    An assigner of your own has a `grid`, a `describe()`, and is equal to others that say the same.

    Args:
        assigner: the object.
        max_examples: for each law.

    Raises:
        BrokenLawError: names the law, with the smallest example; an AssertionError.
        PlanError: it has no grid.

    >>> import eventtime as et
    >>> check_assigner(et.sliding("1h", slide="25m", offset="-7m"))
    """
    check_object(assigner, "check_assigner(…)")
    grid: object = getattr(assigner, "grid", None)
    if not isinstance(grid, Grid):
        msg = f"{shown(assigner)} describes no windows"
        raise PlanError(msg, place="check_assigner(assigner)", remedy="give it a grid")
    unit = max(grid.slide_us // 4, 1)
    near = st.tuples(st.integers(-12, 12), st.integers(-1, 1))
    times = near.map(lambda drawn: drawn[0] * unit + drawn[1])
    base = st.sampled_from([0, 1_383_264_000_000_000, -(2**61), 2**61])
    none: Any = st.none()
    checks: list[tuple[Law, Any, Callable[[Any], str | None]]] = [
        (_SAME, none, lambda _: _is_same(assigner)),
        (_COVERS, st.tuples(base, times).map(sum), lambda time_us: _covers(assigner, time_us)),
    ]
    for law, examples, check in checks:
        hold(type(assigner).__name__, law, examples, check, max_examples=max_examples)


def _is_same(assigner: Any) -> str | None:
    asked = [(assigner.grid, assigner.describe()) for _ in range(2)]
    if asked[0] != asked[1]:
        return f"{asked[0]}, then {asked[1]}"
    if not isinstance(asked[0][1], str):
        return f"describe() returned {shown(asked[0][1])}"
    return None if copy.deepcopy(assigner) == assigner else "a copy of it is not equal to it"


def _covers(assigner: GridAssigner, time_us: int) -> str | None:
    """Count one row, and look at the windows that it was counted in."""
    marked = from_arrow(_SCHEMA.empty_table(), time="t").watermark(ascending())
    with Harness(marked.window(assigner).aggregate(n=count())) as harness:
        harness.push("a", [{"t": time_us}])
        harness.finish_all()
        table = harness.all_results
    columns = (table.column(name).cast(pa.int64()) for name in ("window_start", "window_end"))
    got = sorted(zip(*(column.to_pylist() for column in columns), strict=True))
    wanted = _windows(assigner.grid, time_us)
    return None if got == wanted else f"windows {got}, not {wanted}"


def _windows(grid: Grid, time_us: int) -> list[tuple[int | None, int | None]]:
    if grid.everything:
        return [(None, None)]
    last = time_us - (time_us - grid.offset_us) % grid.slide_us
    first = time_us - grid.size_us
    return sorted((s, s + grid.size_us) for s in range(last, first, -grid.slide_us))
