"""A watermark generator of the user's at work: asked once a batch, its answers checked (S3, S4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.checks import shown
from eventtime.errors import EventTimeError, UserCodeError
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, from_us

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("BatchGenerator", "RunningCustom")

Ints = NDArray[np.int64]


@runtime_checkable
class BatchGenerator(Protocol):
    """A generator of your own: a plain object with one method, called once a batch.

    With one value for the batch the watermark moves after its last row, so cuts show; with one
    value for each row they do not (S4).

    A savepoint asks for two more: ``get_state()`` returns what it remembers, as a value that JSON
    gives back as it was (None, booleans, numbers, text, lists, dicts with text for keys), and
    ``set_state(value)`` goes on from there. One that remembers nothing returns None.
    """

    def on_batch(self, timestamps_us: Ints) -> int | Sequence[int] | Ints | None:
        """Return the watermark after the batch, one after each row, or None: no news.

        Args:
            timestamps_us: (n,) int64 event times, microseconds UTC.
        """
        ...


class RunningCustom:
    """Asks the user's object, and checks what it says.

    Args:
        generator: the object.
        partition: for messages.

    Raises:
        UserCodeError: from any method: it raised, or returned what cannot be used.
    """

    lag_us = 0

    def __init__(self, generator: BatchGenerator, partition: str) -> None:
        self._generator, self._partition = generator, partition
        self._rows = 0

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        """Return the watermark after each row, (n,) int64."""
        n = len(time_us)
        try:
            answer = self._generator.on_batch(time_us.copy())
        except EventTimeError:
            raise
        except Exception as error:
            msg = (
                f"{type(self._generator).__name__}.on_batch raised {type(error).__name__}: {error}"
            )
            raise UserCodeError(
                msg, place=self._place(time_us), remedy="see the cause above"
            ) from error
        self._rows += n
        return self._checked(answer, time_us)

    def get_state(self) -> dict[str, Any]:
        """Return what the object remembers."""
        state = self._call("get_state")
        try:
            is_same = json.loads(json.dumps(state, allow_nan=False)) == state
        except (TypeError, ValueError):
            is_same = False
        if not is_same:
            msg = f"{type(self._generator).__name__}.get_state returned {shown(state)}"
            remedy = "return what JSON gives back as it was: lists for tuples, text for keys"
            raise UserCodeError(msg, place=f"partition {self._partition!r}", remedy=remedy)
        return {"rows": self._rows, "state": state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Let the object go on from there."""
        self._rows = state["rows"]
        self._call("set_state", state["state"])

    def _call(self, method: str, *arguments: Any) -> Any:
        called, name = getattr(self._generator, method, None), type(self._generator).__name__
        place = f"partition {self._partition!r}"
        if called is None:
            msg = f"the generator {name} has no {method}: what it remembers would be lost"
            remedy = "give it get_state() and set_state(value), see eventtime.BatchGenerator"
            raise UserCodeError(msg, place=place, remedy=remedy)
        try:
            return called(*arguments)
        except Exception as error:
            msg = f"{name}.{method} raised {type(error).__name__}: {error}"
            raise UserCodeError(msg, place=place, remedy="see the cause above") from error

    def _checked(self, answer: object, time_us: Ints) -> Ints:
        n = len(time_us)
        if answer is None:
            return np.full(n, MINUS_INFINITY)
        try:
            values = np.asarray(answer)
        except ValueError:  # rows of different lengths
            values = np.empty(0, np.object_)
        if values.dtype.kind in "iu" and values.shape in {(), (n,)}:
            if values.max() > PLUS_INFINITY:
                said = f"returned {int(values.max())}, which is no int64"
                raise self._refusal(said, time_us)
            if values.shape:
                return values.astype(np.int64)
            watermark = np.full(n, MINUS_INFINITY)
            watermark[-1:] = values
            return watermark
        shape = f"shape {values.shape} of {values.dtype} for {n} timestamps"
        said = f"returned {shape}: {str(answer)[:80]}"
        raise self._refusal(said, time_us)

    def _refusal(self, said: str, time_us: Ints) -> UserCodeError:
        self._rows -= len(time_us)
        return UserCodeError(
            f"{type(self._generator).__name__}.on_batch {said}",
            place=self._place(time_us),
            remedy="return None, one integer, or one integer for each row: microseconds UTC",
        )

    def _place(self, time_us: Ints) -> str:
        ends = np.array([time_us.min(), time_us.max()])
        try:
            first, final = (str(t) for t in from_us(ends, pa.timestamp("us", "UTC")).to_pylist())
        except (ValueError, OverflowError):
            # Beyond the calendar: show the number.
            first, final = (f"{t} µs" for t in ends)
        rows = f"rows {self._rows} to {self._rows + len(time_us) - 1}"
        return f"partition {self._partition!r}, {rows}, event times {first} to {final}"
