"""Hypothesis is there, or it is said what to install; imported before all that stands on it."""

from __future__ import annotations

from eventtime.errors import PlanError

try:
    import hypothesis  # noqa: F401 - to see whether it is there
except ModuleNotFoundError as error:
    msg = "eventtime.testing.strategies needs hypothesis, which is not installed"
    raise PlanError(msg, remedy="pip install 'eventtime[testing]'") from error
