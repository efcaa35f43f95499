"""What a window operator computes, as its shards are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.windows.accumulation import AccumulationMode
    from eventtime.windows.emission import ResultShape
    from eventtime.windows.grid import Grid
    from eventtime.windows.words import Output

__all__ = ("WindowSpec",)


@dataclass(frozen=True)
class WindowSpec:
    """What a shard computes; the same for all shards of an operator."""

    grid: Grid
    lateness_us: int
    mode: AccumulationMode
    outputs: tuple[Output, ...]
    types: tuple[pa.DataType, ...]
    shape: ResultShape
    schema: pa.Schema
