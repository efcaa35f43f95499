"""Small slips that somebody could make, each of which a test must notice."""

from __future__ import annotations

from dataclasses import dataclass

from mutants.late_slips import LATE_SLIPS
from mutants.process_slips import PROCESS_SLIPS

__all__ = ("MUTANTS", "Mutant")


@dataclass(frozen=True)
class Mutant:
    """One slip: in `file`, `old` stands exactly once, and `new` in its place."""

    name: str
    file: str
    old: str
    new: str


def _in(file: str, *slips: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(name, file, old, new) for name, old, new in slips]


MUTANTS = (
    # Compiled: each file is compiled anew.
    *_in(
        "windows/assign_kernel.py",
        ("lateness off by one", "first + lateness <= w", "first + lateness < w"),
        (
            "a row that missed some of its windows is not late",
            "first + lateness <= w",
            "last + lateness <= w",
        ),
        ("truncating division", "else (t - offset) // g", "else np.int64((t - offset) / g)"),
    ),
    *_in(
        "eventtime/time_kernels.py",
        (
            "replay takes a row too many of a partition",
            "if p < second else watermarks[second] - 1",
            "if True else watermarks[second] - 1",
        ),
    ),
    # Partitions and their watermarks.
    *_in(
        "eventtime/partition.py",
        (
            "own watermark by batch",
            "rises = rises[:n_rises].copy()",
            "rises = rises[:1].copy()",
        ),
        (
            "forgotten clamp",
            "rises = rises[:n_rises].copy()",
            "self.watermark_us = int(raw[-1]); rises = rises[:n_rises].copy()",
        ),
        ("rows from the future go on", "rows = rows.where(~future)", "pass"),
        (
            "rows without a time are not counted",
            "self.ledger.null_time +=",
            "self.ledger.null_time = 0 *",
        ),
    ),
    *_in(
        "eventtime/progress.py",
        ("minimum replaced by maximum", "reached = min(counting)", "reached = max(counting)"),
        (
            "idle partitions hold back the rows of others",
            "if i != index and p.counts",
            "if i != index",
        ),
        ("idle flag ignored", "not self.idle and not self.finished", "not self.finished"),
        ("finished flag ignored", "not self.idle and not self.finished", "not self.idle"),
        (
            "a partition that returns stays idle",
            "partition.idle, partition.empty_since_us, partition.silent_us = False, None, 0",
            "partition.empty_since_us, partition.silent_us = None, 0",
        ),
        (
            "any empty poll is silence",
            "partition.silent_us > self.idle_after_us",
            "partition.silent_us >= 0",
        ),
        (
            "all idle flushes to the minimum",
            "reached = max(p.watermark_us",
            "reached = min(p.watermark_us",
        ),
        (
            "a partition found later starts at minus infinity",
            "if known_at_start or historical else self.combined_us",
            "if True else self.combined_us",
        ),
        (
            "the combined watermark goes back",
            "self.combined_us = max(self.combined_us, reached)",
            "self.combined_us = reached",
        ),
    ),
    # Windows.
    *_in(
        "windows/rises.py",
        (
            "watermark by batch",
            "np.minimum(rises[:, 1], high_us)",
            "np.minimum(rises[0, 1], high_us)",
        ),
        (
            "a filter shifts the watermark by a row",
            "np.searchsorted(kept, rises[:, 0])",
            'np.searchsorted(kept, rises[:, 0], side="right")',
        ),
    ),
    *_in(
        "windows/slices.py",
        (
            "expires one point late",
            "if add(last, lateness_us) > watermark_us:",
            "if add(last, lateness_us) >= watermark_us:",
        ),
        ("a slice is not brought back", "if index in self._cold:", "if False:"),
        (
            "blocks are deleted too early",
            "self._cold.enter(index, row)\n        self._cold.drop(index)",
            "self._cold.drop(index)\n        self._cold.enter(index, row)",
        ),
        (
            "groups of a slice come in another order",
            "return range(self._cold.divide(index, group_bytes))",
            "return range(self._cold.divide(index, group_bytes))[::-1]",
        ),
    ),
    *_in(
        "windows/cold.py",
        (
            "rows that came since are forgotten",
            "self._fold(table, self._pending.of(index), wanted)",
            "pass",
        ),
        (
            "rows that came since are folded the other way round",
            "for block in pending:",
            "for block in reversed(pending):",
        ),
        (
            "the first key of a group is in none",
            "pieces.append(self._put(some_of(data, n, some), len(some), group))",
            "pieces.append(self._put(some_of(data, n, some[1:]), len(some[1:]), group))",
        ),
    ),
    *_in(
        "windows/shard.py",
        ("closes one point late", "end <= watermark_us:", "end < watermark_us:"),
        (
            "corrections come twice",
            "self._deltas.clear()",
            "self._deltas = SortedDict() if at_end else self._deltas",
        ),
        (
            "final one point early",
            "add(end, self._spec.lateness_us) <= due",
            "add(end, self._spec.lateness_us) <= due + self._grid.slice_us",
        ),
        (
            "the last firing is not final",
            "final = at_end or self._spec.lateness_us == 0",
            "final = self._spec.lateness_us == 0",
        ),
        ("discarding repeats everything", 'self._spec.mode != "discarding"', "True"),
        ("stale merges after a correction", "self._slices.merge.forget(int(index))", "pass"),
        (
            "a correction counts in a window that is open",
            "return max(first, alive), min(last, closed)",
            "return max(first, alive), last",
        ),
    ),
    *_in(
        "windows/slice_merge.py",
        (
            "a window on a block is folded from the right",
            "return -(-first // self._n) * self._n",
            "return (first // self._n + 1) * self._n",
        ),
        (
            "corrections add up in another order than the first firing",
            "halves, cut = Halves(self._acc), self._cut_of(first)",
            "halves, cut = Halves(self._acc), first",
        ),
        (
            "a slice is left out of a prefix",
            "self._slices.irange(self._end, end - 1)",
            "self._slices.irange(self._end + 1, end - 1)",
        ),
        (
            "a suffix keeps a slice that is before the window",
            "self._halves.shorten_suffix(first)",
            "self._halves.shorten_suffix(first - 1)",
        ),
    ),
    *_in(
        "windows/emission.py",
        (
            "sign of a retraction",
            "np.full(len(replaced), -1, np.int8)",
            "np.full(len(replaced), 1, np.int8)",
        ),
    ),
    *_in(
        "windows/closed.py",
        ("versions stand still", "self.versions[at] + 1", "self.versions[at]"),
        ("the null key starts over", "self.null_version + 1", "1"),
    ),
    *_in(
        "windows/operator.py",
        (
            "downstream watermark ahead of what may come",
            "grid.end_from(watermark_us + 1) - grid.size_us",
            "grid.end_from(watermark_us + 1)",
        ),
    ),
    *_in(
        "eventtime/engine.py",
        ("late row not counted", "ledger.late += len(late)", "ledger.late += 0"),
    ),
    # Savepoints.
    *_in(
        "windows/contents.py",
        (
            "closed windows are not saved",
            "yield CutPart(about, window.version(cut), window.copy)",
            "yield from ()",
        ),
        (
            "a shard takes the keys of another",
            "to_numpy(), shards, shard, mine)",
            "to_numpy(), shards, 0, mine)",
        ),
    ),
    # Checkpoints of what changed.
    *_in(
        "windows/assign_kernel.py",
        ("a slice that changed is named again", "dirs[table, VERSION] = CHANGED", "pass"),
    ),
    *_in(
        "state/tables.py",
        (
            "corrections that changed are named again",
            "self.dirs[row, k.VERSION] = k.CHANGED",
            "pass",
        ),
    ),
    *_in(
        "windows/closed.py",
        ("a closed window that changed is named again", "self.changed_at = 0\n", "pass\n"),
        ("a closed window is not copied", "self._is_shared = True", "pass"),
    ),
    *_in(
        "state/interner.py",
        (
            "keys without the new ones are named again",
            "self._changed_at[self.free[self._counts[2] : n_free] // RANGE_IDS] = 0",
            "pass",
        ),
        (
            "keys with those forgotten are named again",
            "self._changed_at[used[~alive[used]] // RANGE_IDS] = 0",
            "pass",
        ),
        (
            "keys are not copied",
            "partial(_values, self.spans[ids], self.blob, np.arange(len(ids)), kind)",
            "partial(_values, self.spans, self.blob, ids, kind)",
        ),
    ),
    *_in(
        "state/copies.py",
        (
            "memory of a copy is used again before it is read",
            "finalize(self._last, self._free.append, rows).atexit = False",
            "self._free.append(rows)",
        ),
    ),
    *_in(
        "windows/operator.py",
        ("cuts are counted anew when restored", 'self._cuts = numbers["cuts"]', "self._cuts = 0"),
    ),
    *_in(
        "eventtime/progress.py",
        (
            "partitions start anew when restored",
            'p["watermark_us"],',
            "MINUS_INFINITY,",
        ),
        (
            "downtime and the time since the last poll are lost",
            'None if p["empty_for_us"] is None else now_us - p["empty_for_us"]',
            "None",
        ),
    ),
    *_in(
        "windows/collect.py",
        (
            "a restored list is in the order of its tables",
            'np.argsort(pairs.field("order").to_numpy(), kind="stable")',
            "np.arange(len(pairs))",
        ),
        ("a list that was renumbered is named again", "self._renumberings += 1", "pass"),
    ),
    *_in(
        "windows/shard.py",
        (
            "a restored shard begins before its watermark",
            "self._watermark_us, self._emitted = watermark_us, emitted",
            "self._emitted = emitted",
        ),
    ),
    *_in(
        "state/keys.py",
        ("nulls first", "np.lexsort((sortable, nulls))", "np.lexsort((sortable, ~nulls))"),
    ),
    # Replays that are killed and taken up again.
    *_in(
        "eventtime/replay.py",
        (
            "the last row that was taken comes again",
            "else ready.numbers[at - 1]) + 1",
            "else ready.numbers[at - 1])",
        ),
    ),
    *_in(
        "eventtime/bookmarks.py",
        (
            "rows set aside before the bookmark are lost",
            "self.first <= needed.row and self.next_read <= needed.aside",
            "self.first <= needed.row",
        ),
        (
            "rows held back at the bookmark come twice",
            "self.first <= needed.row and self.next_read <= needed.aside",
            "self.next_read <= needed.row",
        ),
    ),
    *_in(
        "eventtime/execution.py",
        (
            "rows read again are windowed again",
            'intake.resume_at = known["next_row"]',
            "intake.resume_at = 0",
        ),
        (
            "chunks under way are not in the cut",
            "0 if sweep or is_pause or step.chunk is None",
            "0 if sweep or step.chunk is None",
        ),
        (
            "late rows gathered are not in the cut",
            "                self._stages.flush()\n                self._pauses",
            "                self._pauses",
        ),
        (
            "rows held back are lost",
            'intake.restore(known["intake"], *held)',
            'intake.restore(known["intake"])',
        ),
    ),
    *_in(
        "eventtime/ledger.py",
        (
            "late rows are counted as of the bookmark",
            '"late": self.late',
            '"late": earlier["late"]',
        ),
    ),
    *(
        mutant
        for file, slips in [*LATE_SLIPS.items(), *PROCESS_SLIPS.items()]
        for mutant in _in(file, *slips)
    ),
)
