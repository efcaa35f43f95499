"""Calls of the user's function: what it is given stands ready, what it sends is taken."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import EventTimeError, UserCodeError
from eventtime.process.contexts import BatchContext, RowContext
from eventtime.process.output import outputs_of, points_of
from eventtime.state.keyed import KeyedStates
from eventtime.state.moment import NO_KEY
from eventtime.timestamp import MINUS_INFINITY
from eventtime.windows.operator import Produced, Results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventtime.process.plan import ProcessPlan
    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec

__all__ = ("Calls",)

Ints = NDArray[np.int64]


class Calls:
    """One function of the user's with its context, states and outputs.

    Calling: `timers`, `change`; `naming`, for calls elsewhere. Outputs: `settle`, `produced`,
    `forget_slots`.

    Args:
        plan: what to do.
        codec: of the keys.
        spill: where keys go that have no room in memory; None: all stay.
    """

    def __init__(self, plan: ProcessPlan, codec: KeyCodec, spill: Spill | None) -> None:
        self._known, is_batch = plan.function, plan.function.is_batch
        self.context: Any = (BatchContext if is_batch else RowContext)(plan.function)
        self.held = KeyedStates(plan.function.states, codec, self.context, spill)
        self._outputs = outputs_of(plan, self._shown_key)
        sides = {tag: output for tag, output in self._outputs.items() if tag}
        self.context.bind(self.held, self._outputs[""], sides)
        # Each run has its own copy: what it puts into attributes stays there.
        self.function: Any = copy.copy(plan.function.instance)
        for name, state in self.held.states.items():
            setattr(self.function, name, state)

    def timers(self, by_row: str, due: list[tuple[int, Ints, set[int]]], before_us: int) -> None:
        """Call for timers that are due.

        Args:
            by_row: the method, named as for one row at a time.
            due: by time: slots in order of their keys, and those whose timers are still set.
            before_us: the watermark before.
        """
        context, by_event = self.context, by_row == "on_timer"
        method = self._known.method(by_row)
        call = getattr(self.function, method)
        context.forget_keys()
        context.among = np.concatenate([slots for _, slots, _ in due])
        if self._known.is_batch:
            times = np.repeat(np.array([t for t, _, _ in due]), [len(s) for _, s, _ in due])
            context.slots, context.times_us = context.among, times
            reached = np.maximum(times, before_us) if by_event else np.full(len(times), before_us)
            context.watermarks_us, context.watermark_us = reached, int(reached[-1])
            context.firing_us = int(times[0])
            with self.naming(method):
                call(context)
                self.settle()
            context.firing_us = MINUS_INFINITY
            return
        (time_us, slots, firing), *_ = due
        context.watermark_us = max(before_us, time_us) if by_event else before_us
        context.time_us = time_us if by_event else before_us
        with self.naming(method):
            for slot in slots.tolist():
                if slot in firing:
                    context.slot, context.firing_us = slot, time_us if by_event else MINUS_INFINITY
                    call(context, time_us)
        context.firing_us = MINUS_INFINITY

    def change(self, rows: Iterable[tuple[str, dict[str, Any]]], time_us: int) -> None:
        """Let changes of broadcast state take effect whose time has come."""
        context = self.context
        context.slot, context.time_us = NO_KEY, time_us
        context.watermark_us = max(context.watermark_us, time_us)
        context.is_changing = True
        with self.naming("on_broadcast"):
            for name, row in rows:
                self.function.on_broadcast(context, name, row)
        context.is_changing = False

    @contextlib.contextmanager
    def naming(self, method: str) -> Iterator[None]:
        """Say of an error of the user's code where it was raised."""
        try:
            yield
        except EventTimeError:
            raise
        except Exception as error:
            msg = f"{self._known.name}.{method} raised {type(error).__name__}: {error}"
            place = f"{len(self.context.slots)} rows"
            if self.context.is_changing:
                place = "a row of a broadcast stream"
            elif not self._known.is_batch:
                place = f"key {self._shown_key(self.context.slot)}"
            raise UserCodeError(msg, place=place, remedy="see the cause above") from error

    def settle(self) -> None:
        """Put what a call for many rows sent into their order."""
        for output in self._outputs.values():
            output.settle()

    def forget_slots(self) -> None:
        """Prepare for slots that stand for other keys."""
        for output in self._outputs.values():
            output.convert()
        self.context.forget_keys()

    def produced(self, downstream_us: int) -> Produced:
        """Take what was sent so far."""
        results, sides = [], []
        for tag, output in self._outputs.items():
            taken = output.take()
            if taken is None:
                continue
            batch, marks = taken
            if tag:
                sides.append((tag, batch))
            else:
                results.append(Results(batch, points_of(marks)))
        return Produced(results, None, downstream_us, sides)

    def _shown_key(self, slot: int) -> str:
        key = self.context.key_of(slot)
        return repr(key[0] if len(key) == 1 else key)
