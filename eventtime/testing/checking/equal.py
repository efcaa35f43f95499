"""The engine gives what the oracle says, after every step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import AggregateOverflowError
from eventtime.testing.checking.differences import row_differences
from eventtime.testing.checking.runs import RESULTS
from eventtime.testing.reference.plain import plain_rows
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from eventtime.testing.checking.case import Case
    from eventtime.testing.checking.runs import Outcome
    from eventtime.testing.reference.spec import Time

__all__ = ("equals_oracle", "overflows")

_ORACLE: Final = ("check_oracle", "S1 to S26")
_OVERFLOW: Final = ("check_oracle", "Aggregates")


def overflows(case: Case) -> bool:
    """Tell whether a sum leaves its type: then there is an error, and nothing else to check."""
    try:
        _ = case.expected
    except AggregateOverflowError as wanted:
        try:
            _ = case.whole
        except AggregateOverflowError:
            return True
        raise case.broken(
            _OVERFLOW, "no error, and a sum leaves its type", [wanted.what]
        ) from wanted
    return False


def equals_oracle(case: Case) -> None:
    """Results, side outputs and ledger, and how many rows came out by the end of each step."""
    if overflows(case):
        return
    found = _against_oracle(case, case.whole)
    if found:
        what = "what came out is not what the rules say"
        if not _against_oracle(case, case.undisturbed):
            what += " (on three shards, restarted where the steps say so; else it is)"
        raise case.broken(_ORACLE, what, found)


def _against_oracle(case: Case, got: Outcome) -> list[str]:
    expected = case.expected
    found = row_differences(RESULTS, plain_rows(got.tables[RESULTS]), expected.results)
    for tag, wanted in expected.sides.items():
        table = got.tables[tag]
        # Columns that nothing reads are not read; what a reason is in words is left open.
        names = [name for name in table.column_names if name != "detail"]
        kept = [{name: row[name] for name in names} for row in wanted]
        found += row_differences(tag, plain_rows(table.select(names)), kept)
    return found + _ledger(got.ledger, expected.ledger) + _moments(case, got)


def _ledger(got: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    found = []
    for name, counts in wanted["partitions"].items():
        mine = {k: n for k, n in got["partitions"].get(name, {}).items() if k != "waiting"}
        if mine != counts:
            found.append(f"ledger of partition {name!r}: {mine}, not {counts}")
    for i, counts in enumerate(wanted["operators"]):
        if got["operators"][i] != counts:
            found.append(f"ledger of operator {i + 1}: {got['operators'][i]}, not {counts}")
    return found


def _moments(case: Case, got: Outcome) -> list[str]:
    """Compare watermark and counts after each step, up to the first that differs."""
    counts = dict.fromkeys([RESULTS, *case.expected.sides], 0)
    for moment in got.moments:
        counts = {name: n + moment.new[name].num_rows for name, n in counts.items()}
        if not moment.is_last:
            continue
        wanted = case.expected.after[moment.step]
        place = f"after {case.said(moment.step)}"
        if _time(moment.watermark_us) != wanted.watermark:
            told = f"the watermark is {_time(moment.watermark_us)}, not {wanted.watermark}"
            return [f"{place} {told}"]
        said = {RESULTS: wanted.results, **wanted.sides}
        odd = [
            f"{n} rows of {name}, not {said[name]}" for name, n in counts.items() if n != said[name]
        ]
        if odd:
            return [f"{place} there were {'; '.join(odd)}"]
    return []


def _time(time_us: int) -> Time:
    return {MINUS_INFINITY: -math.inf, PLUS_INFINITY: math.inf}.get(time_us, time_us)
