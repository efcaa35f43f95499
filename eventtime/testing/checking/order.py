"""Where nothing is late, the order of rows within the bound does not show (S2, S4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import AggregateOverflowError
from eventtime.plan import Aggregated, Stepped, Watermarked, walk
from eventtime.testing.checking.differences import row_differences
from eventtime.testing.checking.runs import RESULTS, Way
from eventtime.testing.checking.versions import ABOUT
from eventtime.testing.reference.plain import plain_rows
from eventtime.testing.steps import Finish, Push
from eventtime.transform import MapBatches
from eventtime.watermark import BoundedDisorder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.plan import Node
    from eventtime.testing.checking.case import Case
    from eventtime.testing.checking.runs import Laid, Outcome
    from eventtime.testing.steps import Row
    from eventtime.windows.aggregate import Aggregate

__all__ = ("order_does_not_show",)

_ORDER: Final = ("check_order", "S2, S4")

_FREE: Final = ("count", "min", "max", "any", "all", "count_distinct")
"""Functions of the values, whatever their order."""
Timed = list[tuple[int, pa.RecordBatch]]


def order_does_not_show(case: Case) -> None:
    """Each partition in order of time, and as far out of it as the bound allows: one answer.

    Rows are taken as they are, without what else happened to the pipeline. Says nothing of other
    generators than bounded disorder, of pipelines with `map_batches` or a future guard, and where
    a sum leaves its type in another order.
    """
    bound_us = _bound(case.pipeline.node)
    aggregates = _last_aggregates(case.pipeline.node)
    if bound_us is None or aggregates is None:
        return
    timed = _timed(case)
    if not any(timed.values()):
        return
    ordered = {name: sorted(rows, key=_time) for name, rows in timed.items()}
    disordered = {name: _disordered(rows, bound_us) for name, rows in ordered.items()}
    # The first rows of all partitions, then the second: and one partition behind the other.
    ways = (_in_turns(ordered), _behind_one_another(disordered))
    try:
        runs = [case.run_others(steps, tuple(timed), Way()) for steps in ways]
    except AggregateOverflowError:
        return  # What was late counts in another order, and a sum may leave its type.
    found = []
    for name, outcome in zip(("in order", "out of order"), runs, strict=True):
        late = outcome.ledger["total"]["late"]
        found += [f"{name}: {late} rows are late, and none is behind the bound"] if late else []
    answers = [_answers(outcome, aggregates, timed) for outcome in runs]
    if not found:
        found = row_differences("out of order", answers[1], answers[0])
        whole = case.whole.ledger
        if (
            not found
            and _is_complete(case.whole)
            and whole["operators"] == runs[0].ledger["operators"]
        ):
            given = _answers(case.whole, aggregates, timed)
            found = row_differences("as it was given", given, answers[0])
    if found:
        what = "rows in another order within the bound give something else"
        raise case.broken(_ORDER, what, found)


def _bound(node: Node) -> int | None:
    """Return the bound, where one is declared and rows can be taken apart."""
    behind = list(walk(node))
    marked = next(n for n in behind if isinstance(n, Watermarked))
    has_map = any(isinstance(n, Stepped) and isinstance(n.step, MapBatches) for n in behind)
    if has_map or marked.max_future_us is not None:
        return None
    return marked.generator.lag_us if isinstance(marked.generator, BoundedDisorder) else None


def _last_aggregates(node: Node) -> tuple[tuple[str, Aggregate], ...] | None:
    """Return the last aggregates, if those before them do not depend on an order either."""
    if not isinstance(node, Aggregated):
        return None
    before = [a for n in walk(node.input) if isinstance(n, Aggregated) for _, a in n.aggregates]
    return node.aggregates if all(a.function in _FREE for a in before) else None


def _timed(case: Case) -> dict[str, Timed]:
    """Return the rows of each partition that have a time, each by itself."""
    rows: dict[str, Timed] = {name: [] for name in case.streams.partitions}
    limit = case.plan.specs[0].limit
    for step, batch in case.steps:
        if isinstance(step, Push) and batch is not None:
            times = case.plan.times(step.rows)
            mine = rows.setdefault(step.partition, [])
            mine += [
                (t, batch.slice(i, 1))
                for i, t in enumerate(times)
                if t is not None and abs(t) <= limit
            ]
    return rows


def _time(row: tuple[int, pa.RecordBatch]) -> int:
    return row[0]


def _disordered(ordered: Timed, bound_us: int) -> Timed:
    """Return rows so that each time the latest comes that no row left is too far behind."""
    rest, taken = list(ordered), []
    while rest:
        last = max(i for i, row in enumerate(rest) if row[0] <= rest[0][0] + bound_us)
        taken.append(rest.pop(last))
    return taken


def _in_turns(rows: dict[str, Timed]) -> list[Laid]:
    steps: list[Laid] = []
    for i in range(max(map(len, rows.values()), default=0)):
        steps += [(Push(n, []), mine[i][1]) for n, mine in rows.items() if i < len(mine)]
    return [*steps, *((Finish(name), None) for name in rows)]


def _behind_one_another(rows: dict[str, Timed]) -> list[Laid]:
    steps: list[Laid] = []
    for name, mine in rows.items():
        if mine:
            steps.append((Push(name, []), pa.concat_batches([batch for _, batch in mine])))
        steps.append((Finish(name), None))
    return steps


def _is_complete(outcome: Outcome) -> bool:
    """Whether each window came once and on time, with all of its rows."""
    timings = outcome.tables[RESULTS].column("timing").to_pylist()
    return not outcome.ledger["total"]["late"] and set(timings) <= {"on_time"}


def _answers(
    outcome: Outcome, aggregates: Sequence[tuple[str, Aggregate]], timed: dict[str, Timed]
) -> list[Row]:
    """Return results with only those values that no order can change."""
    times = Counter(t for rows in timed.values() for t, _ in rows)
    has_ties = any(n > 1 for n in times.values())
    answers = []
    for row in plain_rows(outcome.tables[RESULTS]):
        kept = {column: value for column, value in row.items() if column not in ABOUT}
        for name, aggregate in aggregates:
            is_free, value = _free(aggregate, row[name], has_ties=has_ties)
            if is_free:
                kept[name] = value
            else:
                del kept[name]
        answers.append(kept)
    return answers


def _free(aggregate: Aggregate, value: Any, *, has_ties: bool) -> tuple[bool, Any]:
    """Tell whether a value is the same in any order, and in what form."""
    if aggregate.function in _FREE:
        # Of equal zeros the first is the least: its sign goes by the order.
        return True, value + 0.0 if isinstance(value, float) else value
    if aggregate.function == "collect":
        return True, None if value is None else sorted(map(repr, value))
    if aggregate.function in {"first", "last"}:
        return not has_ties, value
    if aggregate.function == "sum" and not isinstance(value, float):
        return True, value
    # Floats that are added up in another order are rounded otherwise.
    return False, None
