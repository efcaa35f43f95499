"""What holds at every moment of a run: balance, a watermark that never goes back, nothing early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.plan import DROP, Aggregated, Stepped, walk
from eventtime.testing.checking.runs import RESULTS
from eventtime.testing.reference.plain import plain_rows
from eventtime.testing.steps import Push
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, to_us
from eventtime.transform import MapBatches

if TYPE_CHECKING:
    from eventtime.plan import Node, Windowed
    from eventtime.testing.checking.case import Case
    from eventtime.testing.checking.runs import Moment

__all__ = ("ledger_balances", "nothing_is_early", "nothing_is_left", "watermark_is_monotone")

_LEDGER: Final = ("check_ledger", "S26")
_WATERMARK: Final = ("check_watermark", "S5")
_WATERMARK_END: Final = ("check_watermark", "S9")
_EARLY: Final = ("check_early", "S18, S21")
_EMPTY: Final = ("check_empty", "S30")


def ledger_balances(case: Case) -> None:
    """Every row that was pushed is somewhere; side outputs have as many as are counted (S26)."""
    found = [case.whole.imbalance] if case.whole.imbalance else []
    pushed: dict[str, int] = {}
    for step in case.streams.steps:
        if isinstance(step, Push):
            pushed[step.partition] = pushed.get(step.partition, 0) + len(step.rows)
    makes_rows = any(
        isinstance(node, Stepped) and isinstance(node.step, MapBatches)
        for node in walk(case.pipeline.node)
    )
    for name, counts in case.whole.ledger["partitions"].items():
        rows_in, there = counts["rows_in"], pushed.get(name, 0)
        if rows_in < there or (rows_in > there and not makes_rows):
            told = f"{rows_in} rows in, and {there} were pushed"
            found.append(f"partition {name!r}: {told}")
    total = case.whole.ledger["total"]
    aside = sum(total[reason] for reason in ("null_time", "future", "malformed"))
    sides = {"quarantine": aside}
    windowed = _first_window(case.pipeline.node)
    if windowed is not None and windowed.late != DROP:
        sides[windowed.late or "late"] = total["late"]
    for tag, counted in sides.items():
        rows = case.whole.tables[tag].num_rows
        if rows != counted:
            found.append(f"{rows} rows of {tag!r}, and {counted} are counted")
    if found:
        raise case.broken(_LEDGER, "rows are lost, or counted twice", found)


def watermark_is_monotone(case: Case) -> None:
    """It never goes back, row by row, and is plus infinity when all has ended (S5, S9)."""
    before = MINUS_INFINITY
    for moment in case.single.moments:
        if moment.watermark_us < before:
            found = [f"{moment.watermark_us} µs behind {before} at {case.said(moment.step)}"]
            raise case.broken(_WATERMARK, "the watermark goes back", found)
        before = moment.watermark_us
    if case.single.ledger["partitions"] and before != PLUS_INFINITY:
        found = [f"{before} µs"]
        raise case.broken(_WATERMARK_END, "all has ended, and the watermark has not", found)


def nothing_is_early(case: Case) -> None:
    """No result before the watermark passed the end of its window, none final before it expired.

    Row by row. Says nothing where the last steps leave out `window_end` or `timing`.
    """
    windowed = _last_window(case.pipeline.node)
    schema = case.single.tables[RESULTS].schema
    if windowed is None or not {"window_end", "timing", "is_final"} <= set(schema.names):
        return
    for moment in case.single.moments:
        table, watermark_us = moment.new[RESULTS], moment.watermark_us
        if not table.num_rows or watermark_us == PLUS_INFINITY:
            continue
        found = _early(table, watermark_us, windowed.lateness_us, moment)
        if found:
            what = f"results before their time at {case.said(moment.step)}"
            raise case.broken(_EARLY, what, found)


def _early(table: pa.Table, watermark_us: int, lateness_us: int, moment: Moment) -> list[str]:
    ends = table.column("window_end").combine_chunks()
    if pa.types.is_integer(ends.type):
        return []  # in a unit that only the source knows; check_oracle compares them
    end_us, _ = to_us(ends, latest=PLUS_INFINITY)
    found = []
    for row, end in zip(plain_rows(table), end_us.tolist(), strict=True):
        if row["window_end"] is None or end > watermark_us:
            found.append(f"watermark {watermark_us} µs, window until {end}: {row}")
        elif row["is_final"] and end + lateness_us > watermark_us:
            found.append(f"final at {watermark_us} µs, and the window lasts until {end}: {row}")
    return found


def nothing_is_left(case: Case) -> None:
    """When all has ended no state is held, no pair is open and no row waits (S9, S30)."""
    found = [] if case.whole.is_empty else ["the engine holds state"]
    for i, counts in enumerate(case.whole.ledger["operators"], 1):
        if counts["open"]:
            found.append(f"operator {i}: {counts['open']} (row, window) pairs are open")
    waiting = case.whole.ledger["total"]["waiting"]
    if waiting:
        found.append(f"{waiting} rows wait")
    if found and case.whole.ledger["partitions"]:
        raise case.broken(_EMPTY, "something is left when all has ended", found)


def _spine(node: Node) -> list[Any]:
    nodes: list[Any] = [node]
    while hasattr(nodes[-1], "input"):
        nodes.append(nodes[-1].input)
    return nodes


def _first_window(node: Node) -> Windowed | None:
    operators = [n for n in _spine(node) if isinstance(n, Aggregated) or hasattr(n, "function")]
    return operators[-1].input if operators and isinstance(operators[-1], Aggregated) else None


def _last_window(node: Node) -> Windowed | None:
    while isinstance(node, Stepped):
        node = node.input
    return node.input if isinstance(node, Aggregated) else None
