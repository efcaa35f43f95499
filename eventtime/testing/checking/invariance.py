"""What may not show: how rows were cut into batches, shards, restarts (S4, S24, S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventtime.plan import Aggregated, Processed, Stepped, walk
from eventtime.testing.checking.differences import table_differences
from eventtime.testing.checking.runs import RESULTS, Way
from eventtime.testing.checking.turns import restarting, turns_of
from eventtime.transform import MapBatches

if TYPE_CHECKING:
    from eventtime.plan import Node
    from eventtime.testing.checking.case import Case
    from eventtime.testing.checking.runs import Outcome

__all__ = ("batches_do_not_show", "compared", "restarts_do_not_show", "shards_do_not_show")

_BATCHES: Final = ("check_batches", "S4")
_SHARDS: Final = ("check_shards", "S24")
_RESTORES: Final = ("check_restores", "S27, S28")


def batches_do_not_show(case: Case) -> None:
    """Rows pushed one by one, and pushes of one partition that follow one another in one (S4)."""
    if compared(case, case.single, case.whole):
        found = compared(case, case.single, case.undisturbed)
        if found:
            raise case.broken(_BATCHES, "rows pushed one by one give something else", found)
    if len(case.joined_steps) < len(case.steps):
        joined = case.run_others(case.joined_steps, case.streams.partitions, Way())
        found = _differences(case, joined, is_stepwise=False)
        if found:
            what = "pushes joined to larger ones give something else"
            raise case.broken(_BATCHES, what, found)


def shards_do_not_show(case: Case) -> None:
    """Three shards, which lose work and are restored where the steps say it."""
    # Restarts are more, of which another check speaks; that is looked at apart.
    found = _differences(case, case.whole)
    if found and not (case.has_restarts and _is_of_restarts(case)):
        how = ", restored where the steps say so," if case.has_restarts else ""
        raise case.broken(_SHARDS, f"3 shards{how} give something else than one", found)


def _is_of_restarts(case: Case) -> bool:
    """Whether what the steps say gives something else on one shard, and three alone do not."""
    return not _on_shards(case, 3) and bool(_differences(case, case.run(Way(has_restarts=True))))


def _on_shards(case: Case, shards: int) -> list[str]:
    return _differences(case, case.run(Way(shards=shards)))


def restarts_do_not_show(case: Case, *, by_row: bool = False) -> None:
    """Saved, destroyed and restored after each push; or after each row and each step (S27, S28).

    Then where the steps say so, and with crashes in which every fourth of these is lost, on real
    checkpoints.
    """
    each = "row" if by_row else "push"
    steps = list(restarting(turns_of(case.steps, by_row=by_row)))
    restarted = case.run_others(steps, case.streams.partitions, Way(has_restarts=True))
    found = _differences(case, restarted, is_stepwise=False)
    if found:
        what = f"saved and restored after each {each}, it gives something else"
        raise case.broken(_RESTORES, what, found)
    if case.has_restarts:
        found = _differences(case, case.whole)
        if found and not _on_shards(case, 3):
            what = "saved, lost and restored where the steps say so, it gives something else"
            raise case.broken(_RESTORES, what, found)
    crashing = case.run_crashing(by_row=by_row)
    found = _differences(case, crashing, is_stepwise=False)
    if found:
        what = f"where every fourth {each} is lost and comes again, there is something else"
        raise case.broken(_RESTORES, what, found)


def _differences(case: Case, got: Outcome, *, is_stepwise: bool = True) -> list[str]:
    """Compare with a run that nobody disturbed: whose rows came one by one, or as they are."""
    if not compared(case, got, case.single, is_stepwise=is_stepwise):
        return []
    return compared(case, got, case.undisturbed, is_stepwise=is_stepwise)


def compared(case: Case, got: Outcome, wanted: Outcome, *, is_stepwise: bool = True) -> list[str]:
    """Return what differs between two runs: outputs, ledger, watermark, and those step by step."""
    found = table_differences(RESULTS, got.tables[RESULTS], wanted.tables[RESULTS])
    for tag in case.tags:
        found += table_differences(tag, got.tables[tag], wanted.tables[tag])
    if got.ledger != wanted.ledger:
        mine, theirs = (_comparable(case, outcome.ledger) for outcome in (got, wanted))
        found += [f"ledger: {mine}, not {theirs}"] if mine != theirs else []
    if got.watermark_us != wanted.watermark_us:
        found.append(f"watermark: {got.watermark_us} µs, not {wanted.watermark_us}")
    if got.moments and is_stepwise:
        found += _stepwise(case, got, wanted)
    return found


def _stepwise(case: Case, got: Outcome, wanted: Outcome) -> list[str]:
    """Compare the watermark and the number of results after each step."""
    marks: dict[int, list[int]] = {}
    counts: dict[int, list[int]] = {}
    for outcome in (wanted, got):
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
