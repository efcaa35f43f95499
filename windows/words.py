"""What the words of a slot hold of the aggregates of a window, worked out once for all shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.windows.aggregate import Aggregate, result_type
from eventtime.windows.layout import Fold, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from eventtime.windows.readout import Reader

__all__ = ("Output", "Words", "output_types")


@dataclass(frozen=True)
class Output:
    """One aggregate of a window: its name in the result, and the indices of its input columns."""

    name: str
    aggregate: Aggregate
    columns: tuple[int, ...]


def output_types(outputs: Sequence[Output], types: Sequence[pa.DataType]) -> list[pa.DataType]:
    """Return the result type of each output over input columns of the given types."""
    return [result_type(o.aggregate, tuple(types[c] for c in o.columns)) for o in outputs]


@dataclass(frozen=True)
class Words:
    """How aggregates lie in words; nobody changes any of it.

    Args:
        outputs: the aggregates.
        inputs: Arrow types of the input columns.
        types: of the results.
        readers: by index of the output, of those that words hold; the others are objects.
        folds: one for each input column that words hold.
        program: what a merge does; see `Layout`.
        neutral: (width,) int64, the words of an empty accumulator.
        null_words: words that count nulls.
        names: of the words behind the head.
        saved: the columns of what is saved, up to those of objects.
    """

    outputs: tuple[Output, ...]
    inputs: tuple[pa.DataType, ...]
    types: tuple[pa.DataType, ...]
    readers: dict[int, Reader]
    folds: list[Fold]
    program: NDArray[np.int64]
    neutral: NDArray[np.int64]
    null_words: list[int]
    names: list[str]
    saved: pa.Schema

    @classmethod
    def of(cls, outputs: Sequence[Output], types: Sequence[pa.DataType]) -> Words:
        """Lay aggregates out.

        Args:
            outputs: the aggregates.
            types: Arrow types of the input columns.
        """
        layout, results = Layout(), output_types(outputs, types)
        readers: dict[int, Reader] = {}
        for i, output in enumerate(outputs):
            inputs = [types[c] for c in output.columns]
            if layout.holds(output.aggregate, inputs):
                column, kind = (output.columns[0], inputs[0]) if inputs else (-1, pa.null())
                readers[i] = layout.add(output.aggregate, column, kind, results[i])
        fields = [pa.field("key", pa.int64()), pa.field("is_null", pa.bool_())]
        fields += [pa.field(name, pa.int64()) for name in ("rows", *layout.names)]
        return cls(
            tuple(outputs),
            tuple(types),
            tuple(results),
            readers,
            layout.folds(),
            layout.program,
            layout.neutral,
            layout.null_words,
            layout.names,
            pa.schema(fields),
        )
