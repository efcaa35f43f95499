"""How Hypothesis goes about examples of pipelines."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import Phase

__all__ = ("settings",)


def settings(**more: Any) -> hypothesis.settings:
    """Hypothesis' settings, the profile's but for what does not suit pipelines.

    An example may take as long as it does, for the first one compiles; one failure is looked for
    and shrunk; and the last phase is left out, which runs a failing example often, under a tracer,
    to tell which lines only failing ones run: of the lines of an engine that says nothing, and it
    takes longer than all the rest.

    Args:
        more: as `hypothesis.settings` takes it, such as `max_examples`; it comes before the above.

    >>> settings().deadline is None, settings(deadline=500).deadline is None
    (True, False)
    """
    phases = [phase for phase in hypothesis.settings().phases if phase is not Phase.explain]
    ours = {"deadline": None, "report_multiple_bugs": False, "phases": phases}
    return hypothesis.settings(**{**ours, **more})
