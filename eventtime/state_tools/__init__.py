"""Looking into checkpoints and savepoints without running anything: nothing is claimed."""

from __future__ import annotations

from eventtime.state_tools.savepoints import savepoint_of

__all__ = ("savepoint_of",)
