"""A pipeline compiled for many engines, none of which remembers what another has seen."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from eventtime.compiled import StagePlan, compile_plan
from eventtime.execution import QUARANTINE
from eventtime.watermark import Custom

if TYPE_CHECKING:
    from eventtime.compiled import CompiledPlan
    from eventtime.plan import Node

__all__ = ("Ready",)

_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Ready:
    """A pipeline that was compiled; stands where a stream does."""

    node: CompiledPlan

    @classmethod
    def of(cls, node: Node) -> Ready:
        """Compile a plan.

        Raises:
            PlanError: it cannot run.
        """
        return cls(compile_plan(node))

    def for_one(self) -> Ready:
        """Return it for one engine, with a copy of a generator that is one object (S3, S28).

        The object is as it was given, whatever other runs have told their copies. One that cannot
        be copied is the same for all.
        """
        watermark = self.node.watermark
        described = watermark.generator
        if not isinstance(described, Custom):
            return self
        try:
            made = copy.deepcopy(described.generator)  # classes and functions are their own copies
        except Exception:  # noqa: BLE001 - locks, connections: each says so in its own way
            return self
        mine = replace(watermark, generator=replace(described, generator=made))
        return Ready(replace(self.node, watermark=mine))

    @property
    def tags(self) -> tuple[str, ...]:
        """Of side outputs."""
        return (*self.node.side_schemas, QUARANTINE)

    @property
    def downtime_us(self) -> int:
        """How long it is down between two engines; nobody can tell, for nobody is silent then (S6).

        Not at all where the clock itself counts: with a future guard, or timers of functions.
        """
        has_windows = all(isinstance(stage, StagePlan) for stage in self.node.stages)
        return _DAY_US if has_windows and self.node.watermark.max_future_us is None else 0
