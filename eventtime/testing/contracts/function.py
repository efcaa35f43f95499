"""The contract of a user's process function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.readers import from_arrow
from eventtime.testing.contracts.laws import Law, check_object, hold
from eventtime.testing.given import check_schema
from eventtime.testing.harness import Harness
from eventtime.testing.steps import Checkpoint, Crash, Push
from eventtime.testing.strategies.happening import streams
from eventtime.watermark import bounded_disorder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.process.function import ProcessFunction
    from eventtime.stream import Stream
    from eventtime.testing.steps import Step, Streams
    from eventtime.watermark import WatermarkGenerator

__all__ = ("check_function",)

_RUNS: Final = Law("outputs fit", "it takes any rows, and what it emits is of the declared schema")
_AGAIN: Final = Law("deterministic", "run again over the same, it gives the same")
_CUTS: Final = Law("cuts do not show", "rows pushed one by one give what they give together (S4)")
_RESTORED: Final = Law(
    "all is in its states",
    "where each step is lost in a crash and comes again, it gives the same (S28)",
)
_FORMS: Final = Law("both forms are one", "by rows and by batches it gives the same")
_CROWDED: Final = "all rows of a partition in its first push"


def check_function(
    function: ProcessFunction | Callable[[Any, Any], object],
    schema: pa.Schema,
    *,
    time: str,
    keys: Sequence[str],
    output: pa.Schema,
    by_batch: ProcessFunction | None = None,
    watermark: WatermarkGenerator | None = None,
    time_unit: str | None = None,
    max_examples: int = 50,
    **declared: Any,
) -> None:
    """Check that a process function of yours may stand in a pipeline.

    Rows come in any order, in partitions that come, go and are silent, while the clock goes on.

    Args:
        function: as `KeyedStream.process` takes it.
        schema: of the rows that it is given.
        time: their event-time column; time_unit: of a column of integers.
        keys: columns that rows are grouped by.
        output: schema of its results.
        by_batch: the same over batches, if there is one.
        watermark: its generator; None: a bound of ten seconds.
        max_examples: for each law.
        declared: what else `process` is given, such as sides= and states=.

    Raises:
        BrokenLawError: names the law, with the smallest example; an AssertionError.
        PlanError: the pipeline cannot be declared.

    >>> import pyarrow as pa
    >>> class Numbered:
    ...     seen = 0
    ...
    ...     def __call__(self, ctx, row):
    ...         self.seen += 1  # wrong: no state, so a restart forgets it
    ...         ctx.emit(n=self.seen)
    >>> schema = pa.schema({"t": pa.timestamp("s"), "key": pa.string()})
    >>> output = pa.schema({"n": pa.int64()})
    >>> try:
    ...     check_function(Numbered(), schema, time="t", keys=["key"], output=output)
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[0])
    Numbered breaks a law: deterministic
    """
    for given in (function, by_batch):
        check_object(given, "check_function(…)")
    name = getattr(function, "__name__", type(function).__name__)
    if not isinstance(keys, list | tuple) or not keys:
        msg = f"{shown(keys)} names no key columns"
        raise PlanError(msg, place="check_function(keys=…)", remedy="such as keys=['sensor']")
    check_schema(schema, place="check_function(…, schema)")
    generator = bounded_disorder("10s") if watermark is None else watermark
    marked = from_arrow(schema.empty_table(), time=time, time_unit=time_unit).watermark(generator)
    keyed = marked.key_by(*keys)
    pipeline = keyed.process(function, output=output, **declared)
    other = None if by_batch is None else keyed.process(by_batch, output=output, **declared)
    laws = _Laws(pipeline, other, tuple(declared.get("sides") or {}))
    examples = streams(pipeline, max_rows=8, restarts=False, extreme_times=False)
    checks = [
        (_RUNS, laws.runs),
        (_AGAIN, laws.is_deterministic),
        (_CUTS, laws.cuts_do_not_show),
        (_RESTORED, laws.is_restorable),
        *([] if other is None else [(_FORMS, laws.forms_are_one)]),
    ]
    for law, check in checks:
        hold(name, law, examples, check, max_examples=max_examples)


class _Laws:
    """The laws of one function; each method returns what is wrong with an example."""

    def __init__(self, pipeline: Stream, by_batch: Stream | None, tags: tuple[str, ...]) -> None:
        self._pipeline, self._by_batch, self._tags = pipeline, by_batch, tags

    def runs(self, example: Streams) -> None:
        self._run(example)

    def is_deterministic(self, example: Streams) -> str | None:
        return _told("the second time", self._run(example), self._run(example))

    def cuts_do_not_show(self, example: Streams) -> str | None:
        def differs(example: Streams) -> str | None:
            single = replace(example, steps=tuple(_one_by_one(example.steps)))
            return _told("one by one", self._run(single), self._run(example))

        return _crowded_too(example, differs)

    def is_restorable(self, example: Streams) -> str | None:
        steps = [
            step for done in _one_by_one(example.steps) for step in (done, Crash(), Checkpoint())
        ]
        return _told(
            "after crashes", self._run(replace(example, steps=tuple(steps))), self._run(example)
        )

    def forms_are_one(self, example: Streams) -> str | None:
        by_batch = self._by_batch
        assert by_batch is not None

        def differs(example: Streams) -> str | None:
            got = _outputs(by_batch, example, self._tags)
            return _told("by batches", got, self._run(example))

        return _crowded_too(example, differs)

    def _run(self, example: Streams) -> dict[str, list[Any]]:
        return _outputs(self._pipeline, example, self._tags)


def _outputs(pipeline: Stream, example: Streams, tags: tuple[str, ...]) -> dict[str, list[Any]]:
    with Harness.of(pipeline, example) as harness:
        harness.finish_all()
        tables = {"output": harness.all_results} | {tag: harness.all_of(tag) for tag in tags}
    return {name: [repr(row) for row in table.to_pylist()] for name, table in tables.items()}


def _one_by_one(steps: Sequence[Step]) -> list[Step]:
    found: list[Step] = []
    for step in steps:
        rows = [Push(step.partition, [row]) for row in step.rows] if isinstance(step, Push) else []
        found += rows or [step]
    return found


def _crowded_too(example: Streams, differs: Callable[[Streams], str | None]) -> str | None:
    """Return what differs in an example, or where its rows are `_crowded`."""
    if found := differs(example):
        return found
    found = differs(_crowded(example))
    return found and f"{_CROWDED}, {found}"


def _crowded(example: Streams) -> Streams:
    """Put all rows of a partition into its first push: so rows of one key meet in a batch."""
    rows: dict[str, list[Any]] = {}
    for step in example.steps:
        if isinstance(step, Push):
            rows.setdefault(step.partition, []).extend(step.rows)
    steps = [
        Push(step.partition, rows.pop(step.partition, [])) if isinstance(step, Push) else step
        for step in example.steps
    ]
    return replace(example, steps=tuple(steps))


def _told(name: str, got: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> str | None:
    for output, rows in wanted.items():
        if got[output] != rows:
            return f"{name}: {output} {', '.join(got[output])}, not {', '.join(rows)}"
    return None
