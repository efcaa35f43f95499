"""Laws that hold for the oracle itself on generated streams; they guard it against its slips."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings

from eventtime.testing.reference import Oracle, replay, windows_of
from eventtime.testing.reference.expected import tell
from eventtime.testing.steps import Push
from strategies import Case, Schedule, cases, schedules


def check_balance(oracle: Oracle) -> None:
    """Every row and every (row, window) pair is accounted for (S26)."""
    for counts in oracle.ledger.values():
        rows_in = counts["rows_in"]
        assert rows_in == sum(n for reason, n in counts.items() if reason != "rows_in")
    pairs = oracle.operator.ledger
    assert pairs["assigned"] == pairs["emitted"] + pairs["open"] + pairs["missed"]
    assert pairs["open"] == sum(len(c.fresh) for c in oracle.operator.state.values())


@given(cases())
@settings(max_examples=150, deadline=None)
def test_the_ledger_balances_and_nothing_is_left_after_plus_infinity(case: Case) -> None:
    oracle = replay(case.partitions, case.spec)
    check_balance(oracle)
    assert sum(c["rows_in"] for c in oracle.ledger.values()) == sum(
        map(len, case.partitions.values())
    )
    assert oracle.operator.state == {}
    assert oracle.operator.watermark == math.inf
    assert sum(c["late"] for c in oracle.ledger.values()) == len(oracle.late)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_versions_of_a_window_count_up_from_one_and_only_the_last_can_be_final(case: Case) -> None:
    oracle = replay(case.partitions, case.spec)
    seen: dict[object, list[tuple[int, bool]]] = {}
    for row in oracle.results:
        if row.get("diff") != -1:
            key = (*(row[name] for name in case.spec.keys), row["window_start"])
            seen.setdefault(key, []).append((row["version"], row["is_final"]))
    for versions in seen.values():
        assert [version for version, _ in versions] == list(range(1, len(versions) + 1))
        assert not any(is_final for _, is_final in versions[:-1])


@given(cases(has_global=False))
@settings(max_examples=100, deadline=None)
def test_every_window_of_every_admitted_row_is_assigned_and_missed_ones_are_told(
    case: Case,
) -> None:
    oracle = replay(case.partitions, case.spec)
    times = Counter(row["t"] for rows in case.partitions.values() for row in rows)
    times.subtract(row["t"] for row in oracle.quarantine)
    pairs = oracle.operator.ledger
    assert pairs["assigned"] == sum(
        n * len(windows_of(t, case.spec)) for t, n in times.items() if n
    )
    assert pairs["missed"] == sum(row["windows_missed"] for row in oracle.late)


@given(schedules())
@settings(max_examples=150, deadline=None)
def test_a_live_run_balances_at_every_step_and_its_watermark_never_goes_back(
    schedule: Schedule,
) -> None:
    oracle = Oracle(schedule.spec, schedule.names)
    watermarks = []
    for step in schedule.steps:
        tell(oracle, step)
        check_balance(oracle)
        watermarks.append(oracle.operator.watermark)
    assert all(before <= after for before, after in pairwise(watermarks))
    pushed = sum(len(step.rows) for step in schedule.steps if isinstance(step, Push))
    assert pushed == sum(counts["rows_in"] for counts in oracle.ledger.values())
