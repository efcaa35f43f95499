"""Hypothesis strategies: what can happen to a pipeline, its rows and their disorder, and pipelines.

Needs the extra ``eventtime[testing]``. Everything is drawn as small whole numbers, scaled to the
durations of the pipeline and moved to a base time afterwards, so that what fails shrinks to a few
rows near the origin.

- what happens to a pipeline: `streams`; the same cut elsewhere or broken off: `recut`, `restarted`;
  partitions given as lists: `interleaved`
- rows: `rows`, `values`, `keys`; of what: `schemas`, `types`
- their disorder: `in_order`, `bounded`, `heavy_tailed`, `bursty`, `adversarial`
- pipelines: `pipelines`; parts of them: `generators`, `windows`, `lateness`, `modes`, `aggregates`
- how Hypothesis goes about it: `settings`
"""

import eventtime.testing.strategies.needed as _needed  # noqa: F401 - first, to say what to install

# isort: split

from eventtime.testing.strategies.arrival import (
    Arrival,
    adversarial,
    bounded,
    bursty,
    heavy_tailed,
    in_order,
)
from eventtime.testing.strategies.cuts import interleaved, recut, restarted
from eventtime.testing.strategies.happening import streams
from eventtime.testing.strategies.parts import (
    aggregates,
    generators,
    lateness,
    modes,
    pipelines,
    windows,
)
from eventtime.testing.strategies.schemas import schemas, types
from eventtime.testing.strategies.settings import settings
from eventtime.testing.strategies.values import keys, rows, values

__all__ = (
    "Arrival",
    "adversarial",
    "aggregates",
    "bounded",
    "bursty",
    "generators",
    "heavy_tailed",
    "in_order",
    "interleaved",
    "keys",
    "lateness",
    "modes",
    "pipelines",
    "recut",
    "restarted",
    "rows",
    "schemas",
    "settings",
    "streams",
    "types",
    "values",
    "windows",
)
