"""What may not show: how rows were cut into batches, shards, restarts (S4, S24, S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.plan import Aggregated, Processed, Stepped, walk
from eventtime.sources.rebatch import one_by_one
from eventtime.testing.checking.differences import table_differences
from eventtime.testing.checking.runs import RESULTS, Way
from eventtime.testing.steps import Checkpoint, Crash, Push, Survived
from eventtime.transform import MapBatches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventtime.plan import Node
    from eventtime.testing.checking.case import Case
    from eventtime.testing.checking.runs import Laid, Outcome

__all__ = ("batches_do_not_show", "restarts_do_not_show", "shards_do_not_show")

_BATCHES: Final = ("check_batches", "S4")
_SHARDS: Final = ("check_shards", "S24")
_RESTORES: Final = ("check_restores", "S27, S28")


def batches_do_not_show(case: Case) -> None:
    """Rows pushed one by one, and pushes of one partition that follow one another in one (S4)."""
    found = _differences(case, case.single)
    if found:
        raise case.broken(_BATCHES, "rows pushed one by one give something else", found)
    joined = list(_joined(case.steps))
    if len(joined) < len(case.steps):
        found = _differences(
            case, case.run_others(joined, case.streams.partitions, Way()), is_stepwise=False
        )
        if found:
            what = "pushes joined to larger ones give something else"
            raise case.broken(_BATCHES, what, found)


def shards_do_not_show(case: Case) -> None:
    """Two shards, and three that are restored where the steps say it."""
    for shards, has_restarts in ((2, False), (3, True)):
        found = _differences(case, case.run(Way(shards=shards, has_restarts=has_restarts)))
        if found:
            how = ", restored where the steps say so," if has_restarts and case.has_restarts else ""
            what = f"{shards} shards{how} give something else than one"
            raise case.broken(_SHARDS, what, found)


def restarts_do_not_show(case: Case, *, by_row: bool = False) -> None:
    """Saved, destroyed and restored after each step, or after each row as well (S27, S28).

    Then where the steps say so, and with crashes that lose every fourth step, on real checkpoints.
    """
    each = "row" if by_row else "step"
    way = Way(one_by_one, is_restarted=True) if by_row else Way(is_restarted=True)
    found = _differences(case, case.run(way))
    if found:
        what = f"saved and restored after each {each}, it gives something else"
        raise case.broken(_RESTORES, what, found)
    if case.has_restarts:
        found = _differences(case, case.whole)
        if found:
            what = "saved, lost and restored where the steps say so, it gives something else"
            raise case.broken(_RESTORES, what, found)
    steps = list(_crashing(_singly(case.steps) if by_row else case.steps))
    crashed = case.run_others(steps, case.streams.partitions, Way(has_restarts=True))
    found = _differences(case, crashed, is_stepwise=False)
    if found:
        what = f"where every fourth {each} is lost and comes again, there is something else"
        raise case.broken(_RESTORES, what, found)


def _differences(case: Case, got: Outcome, *, is_stepwise: bool = True) -> list[str]:
    wanted = case.undisturbed
    found = table_differences(RESULTS, got.tables[RESULTS], wanted.tables[RESULTS])
    for tag in case.tags:
        found += table_differences(tag, got.tables[tag], wanted.tables[tag])
    mine, theirs = (_comparable(case, outcome.ledger) for outcome in (got, wanted))
    if mine != theirs:
        found.append(f"ledger: {mine}, not {theirs}")
    if got.watermark_us != wanted.watermark_us:
        found.append(f"watermark: {got.watermark_us} µs, not {wanted.watermark_us}")
    if got.moments and is_stepwise:
        found += _stepwise(case, got)
    return found


def _stepwise(case: Case, got: Outcome) -> list[str]:
    """Compare the watermark and the number of results after each step."""
    marks: dict[int, list[int]] = {}
    counts: dict[int, list[int]] = {}
    for outcome in (case.undisturbed, got):
        results = 0
        for moment in outcome.moments:
            results += moment.new[RESULTS].num_rows
            if moment.is_last:
                marks.setdefault(moment.step, []).append(moment.watermark_us)
                counts.setdefault(moment.step, []).append(results)
    for step, (theirs, mine) in marks.items():
        if mine != theirs:
            return [f"watermark after {case.said(step)}: {mine} µs, not {theirs}"]
    for step, (many, some) in counts.items():
        if some != many:
            return [f"results after {case.said(step)}: {some}, not {many}"]
    return []


def _comparable(case: Case, ledger: dict[str, Any]) -> dict[str, Any]:
    """Return the ledger without what `map_batches` removed and made, which counts by batch."""
    before: list[Node] = []
    for node in walk(case.pipeline.node):
        if isinstance(node, Aggregated | Processed):
            before.clear()
        before.append(node)
    if not any(isinstance(n, Stepped) and isinstance(n.step, MapBatches) for n in before):
        return ledger
    parts = {
        name: {reason: n for reason, n in counts.items() if reason not in {"rows_in", "filtered"}}
        for name, counts in ledger["partitions"].items()
    }
    return {"partitions": parts, "operators": ledger["operators"]}


def _singly(steps: Iterable[Laid]) -> Iterator[Laid]:
    for step, batch in steps:
        for piece in (None,) if batch is None else one_by_one(batch):
            yield step, piece


def _crashing(steps: Iterable[Laid]) -> Iterator[Laid]:
    """Every fourth step is lost; of the two checkpoints before it the second adds to the first."""
    for i, laid in enumerate(step for step in steps if not isinstance(step[0], Survived)):
        yield laid
        if i % 4 < 3:
            yield (Crash() if i % 4 == 1 else Checkpoint()), None


def _joined(steps: Iterable[Laid]) -> Iterator[Laid]:
    held: list[tuple[Push, pa.RecordBatch]] = []

    def push() -> Iterator[Laid]:
        if held:
            yield held[0][0], pa.concat_batches([batch for _, batch in held])
            held.clear()

    for step, batch in steps:
        if not isinstance(step, Push) or batch is None:
            yield from push()
            yield step, batch
            continue
        if held and held[0][0].partition != step.partition:
            yield from push()
        held.append((step, batch))
    yield from push()
