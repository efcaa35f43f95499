"""Saved, destroyed and restored anywhere, a replay is that of one never disturbed (S27, S28)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from engine_runs import all_null_times, ipc_bytes, source_of, stream_of, windowed
from eventtime.compiled import compile_plan
from eventtime.state.pack import Pack, read_pack
from eventtime.testing.reference import Aggregate
from lives import Life
from strategies import Case, cases, cut, cuts, specs

if TYPE_CHECKING:
    from eventtime.execution import Execution
    from eventtime.stream import Stream
    from eventtime.testing.reference import Spec


@dataclass(frozen=True)
class Disturbed:
    """A replay that is killed several times.

    Args:
        case: spec and partitions.
        second: a window over the results of the first; None: there is none.
        lives: of each life: where its partitions are cut, its shards, and after how many steps it
            is saved and killed. The last life goes on to the end.
        chunk_rows: rows of a step at most.
    """

    case: Case
    second: Spec | None
    lives: list[tuple[dict[str, list[int]], int, int]]
    chunk_rows: int

    def stream(self, places: dict[str, list[int]]) -> Stream:
        """The pipeline over the same rows, cut in other places."""
        pieces = {name: cut(rows, places[name]) for name, rows in self.case.partitions.items()}
        first = stream_of(source_of({}, pieces), self.case.spec)
        return first if self.second is None else windowed(first, self.second)


@st.composite
def disturbed(draw: st.DrawFn) -> Disturbed:
    """Replays of one window or two, with guard, filter and quarantine, killed up to four times."""
    case = draw(
        cases(floats="free", max_rows=50).filter(lambda c: not all_null_times(c.partitions))
    )
    spec, second = case.spec, None
    listed = (*spec.aggregates[:2], Aggregate("listed", "collect", "x"))
    spec = replace(spec, aggregates=listed)
    if draw(st.sampled_from([False, False, True])) and spec.size is not None:
        spec = replace(spec, mode="discarding", aggregates=(Aggregate("rows", "count"),))
        over = (Aggregate("total", "sum", "rows"), Aggregate("all", "collect", "rows"))
        unit = 1 if spec.size is not None and spec.size < 1_000 else 1_000_000
        second = replace(draw(specs(unit=unit)), keys=spec.keys[:1], aggregates=over)
    lives = [
        (
            {name: draw(cuts(rows)) for name, rows in case.partitions.items()},
            draw(st.sampled_from([1, 1, 2, 4])),
            draw(st.integers(1, 6)),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]
    return Disturbed(replace(case, spec=spec), second, lives, draw(st.sampled_from([1, 2, 3, 7])))


def live(case: Disturbed, i: int, saved: Pack | None, out: dict[str, list[pa.RecordBatch]]) -> Life:
    """Run one life to its end, or to its death."""
    places, shards, steps = case.lives[i]
    one = Life(steps if i + 1 < len(case.lives) else None, out)
    plan = compile_plan(case.stream(places).node)
    one.live(plan, shards, saved)
    return one


def state(execution: Execution, out: dict[str, list[pa.RecordBatch]]) -> dict[str, object]:
    """Everything that shows, to the byte."""
    tables = {tag: ipc_bytes(pa.Table.from_batches(parts)) for tag, parts in out.items()}
    return {**tables, "ledger": execution.ledger().to_dict()}


@given(disturbed())
def test_a_replay_that_was_killed_is_one_that_was_not(case: Disturbed) -> None:
    check(case)


def check(case: Disturbed) -> None:
    whole: dict[str, list[pa.RecordBatch]] = {}
    quiet = live(replace(case, lives=case.lives[:1]), 0, None, whole)
    out: dict[str, list[pa.RecordBatch]] = {}
    with patch("eventtime.replay.CHUNK_ROWS", case.chunk_rows):
        i, life = 0, live(case, 0, None, out)
        while life.saved:
            i += 1
            life = live(case, i, read_pack(pa.py_buffer(life.saved), "memory"), out)
    assert state(life.execution, out) == state(quiet.execution, whole)
