"""What a pipeline computes, in words: a savepoint of one is not restored into another (S29)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from eventtime.duration import format_us, parse_us
from eventtime.errors import CheckpointError
from eventtime.once import once
from eventtime.process.plan import ProcessPlan
from eventtime.transform import Filter, MapBatches, Select, WithColumns

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    import pyarrow.compute as pc

    from eventtime.compiled import CompiledPlan, StagePlan
    from eventtime.process.broadcast import Broadcast
    from eventtime.transform import Step

__all__ = ("check_fingerprint", "differences", "fingerprint")

_LATENESS: Final = "allowed lateness"
_MODE: Final = "mode"
_LATE: Final = "late rows"
_COUNTED: Final = "counted only"
_READ: Final = "columns read"


@once
def fingerprint(plan: CompiledPlan) -> dict[str, str]:
    """Describe all that state depends on: equal plans, equal words.

    What only says how to go on is left out: `idle_after`, `all_idle`, `max_future`, and the data
    behind the sources. Functions and objects of the user's are known by their names.
    """
    first, generator = plan.stages[0], plan.watermark.generator
    unit = f" ({first.time_unit})" if first.time_unit else ""
    words = {
        "event time": first.time + unit,
        _READ: _columns(plan.branches[0].schema),
        "steps before the watermark": _steps(plan.branches[0].steps),
        "watermark": _exact(generator.describe(), generator.columns),
    }
    for i, stage in enumerate(plan.stages, 1):
        if isinstance(stage, ProcessPlan):
            words |= {f"process {i}, {name}": text for name, text in _process(stage).items()}
        else:
            words |= {f"window {i}, {name}": text for name, text in _window(stage).items()}
    return words | {"steps on results": _steps(plan.final_steps), "results": _columns(plan.schema)}


def check_fingerprint(saved: dict[str, str], plan: CompiledPlan, what: str, place: str) -> None:
    """Refuse state of another pipeline.

    What may change is listed in docs/state-format.md.

    Args:
        saved: the words that were saved.
        plan: to go on with.
        what: holds the state, such as "the savepoint 'x'".
        place: the argument that named it.

    Raises:
        CheckpointError: lists what differs, as it was and as it is.
    """
    now = fingerprint(plan)
    if saved == now:
        return
    differing = [name for name in {**saved, **now} if not _may_become(name, saved, now)]
    if not differing:
        return
    lines = [_difference(name, saved, now, _shown(name, saved, now)) for name in differing]
    msg = "\n  ".join([f"{what} is of another pipeline:", *lines])
    may = "docs/state-format.md lists what may change"
    remedy = f"take the pipeline that was saved, or begin anew; {may}"
    raise CheckpointError(msg, place=place, remedy=remedy)


def differences(saved: dict[str, str], plan: CompiledPlan) -> list[str]:
    """Say all that is otherwise, also what may change; none: it is the same pipeline."""
    now = fingerprint(plan)
    names = [name for name in {**saved, **now} if saved.get(name) != now.get(name)]
    return [_difference(name, saved, now, now.get(name, "none")) for name in names]


def _may_become(name: str, saved: dict[str, str], now: dict[str, str]) -> bool:
    """Whether state of a pipeline with the words `saved` fits one with the words `now`."""
    before, after = saved.get(name), now.get(name)
    if before == after:
        return True
    if before is None or after is None or not name.startswith("window "):
        return False
    window, _, what = name.partition(", ")
    if what == _LATENESS:
        # What had expired by then stays so; see `windows.expiry`.
        return not _is_shorter(before, after)
    if what == _MODE:
        # Nothing was ever corrected; that rows look otherwise is said of the results.
        return saved[f"{window}, {_LATENESS}"] == format_us(0)
    # No late row was kept that would have other columns.
    return what == _LATE and before.startswith(_COUNTED)


def _difference(name: str, saved: dict[str, str], now: dict[str, str], shown: str) -> str:
    """Say how it was and is; of columns only those that differ, for there may be hundreds."""
    before, after = saved.get(name, "none"), now.get(name, "none")
    if name == _READ and (moved := _columns_moved(before, after)):
        return f"{name}: {moved}"
    return f"{name}: {before}\n    now: {shown}"


def _columns_moved(before: str, after: str) -> str:
    was, now = _listed(before), _listed(after)
    gone = ", ".join(column for column in was if column not in now)
    new = ", ".join(column for column in now if column not in was)
    return "; ".join([f"now without {gone}"] * bool(gone) + [f"now with {new}"] * bool(new))


def _listed(columns: str) -> list[str]:
    """Take a list of columns apart: what is in brackets belongs to a type.

    >>> _listed("t: timestamp[us, tz=UTC], m: map<string, int64>")
    ['t: timestamp[us, tz=UTC]', 'm: map<string, int64>']
    """
    listed, depth = [""], 0
    for part in columns.split(", "):
        listed[-1] += part
        depth = max(0, depth + sum(map(part.count, "<([")) - sum(map(part.count, ">)]")))
        if depth:
            listed[-1] += ", "
        else:
            listed.append("")
    return [column for column in listed if column]


def _shown(name: str, saved: dict[str, str], now: dict[str, str]) -> str:
    """Say how it is now, and why that is refused if it may change otherwise."""
    after = now.get(name, "none")
    if name.endswith(f", {_LATE}") and after.startswith(_COUNTED):
        return f"{_COUNTED}; they have gone to an output until then: give late=… again"
    if name.endswith(f", {_LATENESS}") and name in saved and name in now:
        return f"{after}, which is shorter: only a longer one can be gone on with"
    if name.endswith(f", {_MODE}") and name in saved and name in now:
        return f"{after}, but results have been corrected as {saved[name]}"
    return after


def _is_shorter(before: str, after: str) -> bool:
    before_us, after_us = (parse_us(text, name=_LATENESS) for text in (before, after))
    return after_us < before_us


def _window(stage: StagePlan) -> dict[str, str]:
    spec, grid = stage.spec, stage.spec.grid
    sizes = [format_us(n) for n in (grid.size_us, grid.slide_us, grid.offset_us)]
    late = _COUNTED if stage.late_tag is None else f"{stage.late_tag!r}"
    return {
        "steps before": _steps(stage.steps),
        "key": ", ".join(stage.keys) or "none",
        "bounds": "all time" if grid.everything else "size {}, slide {}, offset {}".format(*sizes),
        _LATENESS: format_us(spec.lateness_us),
        _MODE: spec.mode,
        _LATE: f"{late}: {_columns(stage.late_schema)}",
        "aggregates": ", ".join(f"{o.name}={o.aggregate.describe()}" for o in spec.outputs),
        "inputs": ", ".join(f"{c}: {t}" for c, t in zip(stage.columns, spec.types, strict=True)),
        "results": _columns(spec.schema),
    }


def _process(stage: ProcessPlan) -> dict[str, str]:
    function, time = stage.function, stage.output_time
    states = {f"state {name}": state.describe() for name, state in function.states.items()}
    sides = {f"side {tag}": _columns(schema) for tag, schema in stage.side_schemas.items()}
    told = {f"broadcast {name}": _broadcast(b) for name, b in stage.broadcast.items()}
    unit = f" ({time.unit})" if time is not None and time.unit else ""
    return {
        "steps before": _steps(stage.steps),
        "key": ", ".join(f"{k}: {t}" for k, t in zip(stage.keys, stage.key_types, strict=True)),
        "function": f"{function.name}, {'batches' if function.is_batch else 'rows'}",
        **states,
        **sides,
        **told,
        "results": _columns(stage.schema),
        "time of results": "none" if time is None else f"{time.column}{unit}",
        "results behind": "none" if time is None else format_us(time.behind_us),
    }


def _broadcast(stream: Broadcast) -> str:
    time, unit = stream.source.time, stream.source.time_unit
    steps = f", steps {_steps(stream.steps)}" if stream.steps else ""
    return f"{_columns(stream.schema)}; time {time}{f' ({unit})' if unit else ''}{steps}"


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _steps(steps: Iterable[Step]) -> str:
    return " -> ".join(map(_step, steps)) or "none"


def _step(step: Step) -> str:
    match step:
        case Filter(predicate):
            return _exact(step.describe(), [predicate])
        case WithColumns(columns):
            return _exact(step.describe(), [expression for _, expression in columns])
        case MapBatches(function):
            # Without a name, `repr` would tell where in memory it lies.
            return f"map_batches({getattr(function, '__name__', type(function).__name__)})"
        case Select():
            return step.describe()


def _exact(text: str, parts: Iterable[str | pc.Expression]) -> str:
    """Add a checksum of expressions not shown in full: Arrow elides long lists of values."""
    for part in parts:
        if "..." in str(part) and not isinstance(part, str):
            text += f" ({_checksum(part):08x})"
    return " ".join(text.split())


def _checksum(expression: Any) -> int:
    _, (serialized,) = expression.__reduce__()
    return zlib.crc32(serialized)
