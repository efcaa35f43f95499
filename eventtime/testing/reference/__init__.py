"""The semantics once more, row by row in plain Python: slow, obvious, apart from the engine.

Read it in this order, beside the rules of docs/semantics.md that it cites where it keeps them:
`spec`, a pipeline as plain values; `partitions`, where rows come in (S1 to S12, S26); `operator`,
which puts them in windows (S13 to S30); `aggregates`, what a window comes to. `replay` reads
partitions that are all there already (S10, S11). `planned` reads a pipeline off its plan, with the
`generators` of its watermark, and `expected` says what comes out of it: `oracle`.

Times are integers (µs); the two infinities are floats, which Python compares exactly with integers.
No cleverness is allowed here: a reader checks these files against the rules, and the property tests
check the engine against these files. Nothing of the engine is imported, and no kernel.
"""

from eventtime.testing.reference.operator import Operator, windows_of
from eventtime.testing.reference.partitions import Oracle
from eventtime.testing.reference.replay import future_rows, replay
from eventtime.testing.reference.spec import (
    INFINITY,
    TIME_LIMIT,
    Aggregate,
    Bounded,
    Marks,
    Row,
    Spec,
    Time,
)

__all__ = (
    "INFINITY",
    "TIME_LIMIT",
    "Aggregate",
    "Bounded",
    "Marks",
    "Operator",
    "Oracle",
    "Row",
    "Spec",
    "Time",
    "future_rows",
    "replay",
    "windows_of",
)
