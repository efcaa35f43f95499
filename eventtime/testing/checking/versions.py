"""Versions of a window's result: together they are the final answer (S21)."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from eventtime.plan import Aggregated
from eventtime.testing.checking.differences import same
from eventtime.testing.checking.runs import RESULTS
from eventtime.testing.reference.plain import plain_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.checking.case import Case
    from eventtime.testing.steps import Row
    from eventtime.windows.aggregate import Aggregate

__all__ = ("ABOUT", "versions_fold")

_VERSIONS: Final = ("check_versions", "S21")

ABOUT: Final = ("version", "timing", "is_final", "diff")
"""Columns that say when a result came, and not what it is."""
Versions = list[dict[str, Any]]


def versions_fold(case: Case) -> None:
    """Versions count up from one, the last alone is final, and together they are the answer.

    Accumulating and retracting, the answer is the last version, and what was taken back is what was
    emitted; discarding, parts add up where a function of parts is one of the whole. Says nothing
    where there are steps behind the last window.
    """
    node = case.pipeline.node
    if not isinstance(node, Aggregated):
        return
    names = [n for n in case.whole.tables[RESULTS].column_names if n not in ABOUT]
    keys = names[: names.index("window_end") + 1]
    windows: dict[str, Versions] = {}
    for row in plain_rows(case.whole.tables[RESULTS]):
        windows.setdefault(_named(row, keys), []).append(row)
    mode, found = node.input.mode, []
    for window, rows in windows.items():
        found += [f"{window}: {told}" for told in _odd(rows, mode)]
    found += _answers(case, node, keys, windows)
    if found:
        what = f"what was emitted ({mode}) does not come to the final answer"
        raise case.broken(_VERSIONS, what, found)


def _named(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(f"{name}={row[name]!r}" for name in keys)


def _odd(rows: Versions, mode: str) -> list[str]:
    """Look at the versions of one window and key."""
    new = [row for row in rows if row.get("diff") != -1]
    found = []
    versions = [row["version"] for row in new]
    if versions != list(range(1, len(new) + 1)):
        found.append(f"versions {versions}")
    if [row for row in new[:-1] if row["is_final"]]:
        found.append("a version comes behind the final one")
    if [row for row in new[1:] if row["timing"] == "on_time"]:
        found.append("a correction comes on time")
    if mode == "retracting":
        found += _net(rows, new[-1] if new else None)
    return found


def _net(rows: Versions, last: Row | None) -> list[str]:
    """What is left of rows by `diff` is the last version, once."""
    left: Counter[str] = Counter()
    for row in rows:
        left[_plain(row)] += row["diff"]
    held = {row: n for row, n in left.items() if n}
    if last is None or held != {_plain(last): 1}:
        return [f"by diff there is left: {held}"]
    return []


def _plain(row: Row) -> str:
    return str({name: value for name, value in row.items() if name != "diff"})


def _answers(
    case: Case, node: Aggregated, keys: Sequence[str], windows: dict[str, Versions]
) -> list[str]:
    """Compare with what the oracle has in each window, whatever was emitted when."""
    wanted = {_named(row, keys): row for row in case.expected.answers}
    found = [f"{window}: nothing was emitted" for window in wanted if window not in windows]
    for window, rows in windows.items():
        answer = wanted.get(window)
        if answer is None:
            found.append(f"{window}: there are no rows in it")
            continue
        for name, aggregate in node.aggregates:
            if node.input.mode != "discarding":
                mine = rows[-1][name]
                if not same(mine, answer[name]):
                    found.append(f"{window}: {name} ends as {mine!r}, not {answer[name]!r}")
                continue
            parts = [row[name] for row in rows]
            whole = _fold(aggregate, parts)
            if whole is not _UNDEFINED and not _near(whole, answer[name]):
                found.append(f"{window}: {name} {parts} come to {whole!r}, not {answer[name]!r}")
    return found


_UNDEFINED: Final = object()
_FOLDS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "count": sum,
    "sum": sum,
    "min": min,
    "max": max,
    "any": any,
    "all": all,
    "collect": lambda parts: [value for part in parts for value in part],
}


def _fold(aggregate: Aggregate, parts: list[Any]) -> Any:
    """Put parts together, where a function of them is one of the whole."""
    fold = _FOLDS.get(aggregate.function)
    known = [part for part in parts if part is not None]
    if fold is None or any(isinstance(p, float) and not math.isfinite(p) for p in known):
        return _UNDEFINED
    return fold(known) if known else None


def _near(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(mine == theirs)
