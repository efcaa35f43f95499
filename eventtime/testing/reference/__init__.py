"""The semantics once more, row by row in plain Python: slow, obvious, apart from the engine.

`spec` has a pipeline as plain values, `partitions` takes its rows, `operator` puts them in windows,
`aggregates` says what a window holds, and `replay` reads partitions that are all there already.
`planned` reads a pipeline off its plan, and `expected` says what comes out of it: `oracle`.
Times are integers (µs); the two infinities are floats, which Python compares exactly with integers.
The rules cited (S1 …) are those of docs/semantics.md.

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
    Ascending,
    Bounded,
    Custom,
    PunctuatedColumn,
    PunctuatedWhere,
    Row,
    Spec,
    Time,
    Window,
)

__all__ = (
    "INFINITY",
    "TIME_LIMIT",
    "Aggregate",
    "Ascending",
    "Bounded",
    "Custom",
    "Operator",
    "Oracle",
    "PunctuatedColumn",
    "PunctuatedWhere",
    "Row",
    "Spec",
    "Time",
    "Window",
    "future_rows",
    "replay",
    "windows_of",
)
