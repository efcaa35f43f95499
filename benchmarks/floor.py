"""The floor: the same work as one fused compiled loop over arrays, with nothing around it.

It knows beforehand what an engine has to find out: the number of rows and keys, the types, the one
aggregate. Rows are concatenated into arrays before the clock starts, results stay arrays. It judges
lateness row by row like the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmarks import floor_kernels as kernels
from benchmarks.answer import Answer, summarise
from benchmarks.floor_merge_kernel import merge_slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

_KEY, _FIRST_ROW = 0, 2  # words of a group that name its key
_replay_integer = kernels.replay_kernel(kernels.fold_integer)
_replay_string = kernels.replay_kernel(kernels.fold_string)
_replay_sliced = kernels.replay_kernel(kernels.fold_sliced)


def _power_of_two(at_least: float) -> int:
    return 1 << max(int(np.ceil(at_least)) - 1, 1).bit_length()


@dataclass(frozen=True)
class _Rows:
    """All partitions one after the other as plain arrays."""

    times: NDArray[np.int64]
    keys: NDArray[np.int64] | NDArray[np.int32]
    """Integer keys, or the offsets of string keys."""
    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    words: NDArray[np.uint64]
    """The bytes of string keys, padded by sixteen, as 64-bit words; empty for integer keys."""


@dataclass
class _Outcome:
    """What one round leaves: columns of results and the late rows."""

    out_i: NDArray[np.int64]
    out_f: NDArray[np.float64]
    first_window: int
    late_rows: NDArray[np.int64]


def _load(files: DatasetFiles, batch_rows: int) -> _Rows:
    partitions = [pa.Table.from_batches(b) for b in files.batches(batch_rows).values()]
    stops = np.cumsum([p.num_rows for p in partitions])
    rows = pa.concat_tables(partitions).combine_chunks()
    keys = rows["key"].chunk(0)
    strings = pa.types.is_string(keys.type)
    return _Rows(
        times=rows["time"].chunk(0).cast(pa.int64()).to_numpy(),
        keys=np.frombuffer(keys.buffers()[1], np.int32) if strings else keys.to_numpy(),
        values=rows["value"].chunk(0).to_numpy(),
        starts=np.concatenate([[0], stops[:-1]]),
        stops=stops,
        words=_padded_words(keys) if strings else np.empty(0, np.uint64),
    )


def _padded_words(keys: pa.Array) -> NDArray[np.uint64]:
    data = np.frombuffer(keys.buffers()[2], np.uint8)
    words = np.zeros(data.size // 8 + 3, np.uint64)
    words.view(np.uint8)[: data.size] = data
    return words


def load(workload: Workload, files: DatasetFiles) -> Callable[[], Callable[[], Answer]]:
    """Prepare the arrays; see `Contender.load` for what is returned."""
    if workload.source != "memory":
        msg = f"the floor runs over arrays in memory, not from {workload.source}"
        raise ValueError(msg)
    rows = _load(files, workload.batch_rows)
    play = _play_tumbling if workload.tumbling else _play_sliced

    def one_round() -> Callable[[], Answer]:
        outcome = play(workload, rows)
        return lambda: _answer(workload, rows, outcome)

    return one_round


def _open_windows(workload: Workload) -> int:
    """How many tumbling windows may be open at once, with room for the gaps of small datasets."""
    data = workload.dataset
    spacing_us = data.span_us * data.partitions / data.rows
    return _power_of_two(2 + (data.disorder_us + 60 * spacing_us) / workload.slide_us)


def _groups_per_window(workload: Workload) -> int:
    """The keys seen in one window by uniform draws, with a margin of ten per cent."""
    data = workload.dataset
    rows = data.rows * min(workload.slide_us / data.span_us, 1.0)
    return min(int(data.keys * -np.expm1(-rows / data.keys) * 1.1) + 64, data.keys)


def _columns(groups: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Room for results: window, key and count; sum, min, max and mean."""
    return np.empty((3, groups), np.int64), np.empty((4, groups), np.float64)


def _window_count(workload: Workload) -> int:
    return -(-workload.dataset.span_us // workload.slide_us)


def _most_groups(workload: Workload) -> int:
    return min(workload.dataset.rows, _window_count(workload) * workload.dataset.keys)


def _play_tumbling(workload: Workload, rows: _Rows) -> _Outcome:
    tables, groups = _open_windows(workload), _groups_per_window(workload)
    strings = workload.dataset.key_type == "string"
    replay: Any = _replay_string if strings else _replay_integer
    table = np.empty((tables, groups, 8), np.int64)
    out_i, out_f = _columns(_most_groups(workload))
    late_rows = np.empty(rows.times.size, np.int64)
    written, late, _ = replay(
        *(rows.times, rows.starts.copy(), rows.stops),
        *((workload.dataset.disorder_us, workload.size_us, workload.slide_us), late_rows),
        *(rows.keys, rows.words, rows.values),
        np.zeros((tables, _power_of_two(groups * 1.4)), np.int64),
        *(table, table.view(np.float64), np.zeros(tables, np.int64)),
        *(_FIRST_ROW if strings else _KEY, out_i, out_f),
    )
    return _Outcome(out_i[:, :written], out_f[:, :written], 0, late_rows[:late])


def _play_sliced(workload: Workload, rows: _Rows) -> _Outcome:
    first_slice = int(rows.times.min()) // workload.slide_us
    slices = int(rows.times.max()) // workload.slide_us - first_slice + 1
    keys = workload.dataset.keys
    acc = np.zeros((slices, keys, 4))
    late_rows = np.empty(rows.times.size, np.int64)
    replay: Any = _replay_sliced
    no_i, no_f = _columns(0)
    _, late, partly = replay(
        *(rows.times, rows.starts.copy(), rows.stops),
        *((workload.dataset.disorder_us, workload.size_us, workload.slide_us), late_rows),
        *(rows.keys, np.empty(keys, np.uint64), rows.values),
        np.zeros((1, _power_of_two(keys * 1.4)), np.int64),
        *(acc.view(np.int64), acc, np.zeros(1, np.int64), _KEY, no_i, no_f),
    )
    if partly:
        msg = f"{partly} rows missed some of their windows; the floor knows only all or none"
        raise ValueError(msg)
    overlap = workload.size_us // workload.slide_us
    out_i, out_f = _columns((slices + overlap - 1) * keys)
    written = merge_slices(acc, overlap, out_i, out_f)
    first_window = first_slice - overlap + 1
    return _Outcome(out_i[:, :written], out_f[:, :written], first_window, late_rows[:late])


def _answer(workload: Workload, rows: _Rows, outcome: _Outcome) -> Answer:
    starts = (outcome.out_i[0] + outcome.first_window) * workload.slide_us
    columns = dict(zip(("sum", "min", "max", "mean"), outcome.out_f, strict=True))
    results = pa.table({"window_start": starts, "count": outcome.out_i[2], **columns})
    last = rows.times[outcome.late_rows] // workload.slide_us * workload.slide_us
    steps = np.arange(workload.size_us // workload.slide_us) * workload.slide_us
    return summarise(results, (last[:, None] - steps[None, :]).ravel())
