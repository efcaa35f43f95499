"""Slips in windows; as `Mutant` has it, by file."""

from __future__ import annotations

from typing import Final

__all__ = ("WINDOW_SLIPS",)

WINDOW_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "windows/assign_kernel.py": [
        ("lateness off by one", "first + lateness <= w", "first + lateness < w", "by hand"),
        (
            "a row that missed some of its windows is not late",
            "first + lateness <= w",
            "last + lateness <= w",
            "by hand",
        ),
        (
            "truncating division",
            "else (t - offset) // g",
            "else np.int64((t - offset) / g)",
            "live",
        ),
        (
            "a slice that changed is named again",
            "dirs[table, VERSION] = CHANGED",
            "pass",
            "checkpoints",
        ),
        (
            "some windows had expired, and nobody says so",
            "<= w or first <= config[FLOOR]",
            "<= w",
            "by hand",
        ),
    ],
    "windows/rises.py": [
        (
            "watermark by batch",
            "min(rises[i, 1], high_us)",
            "min(rises[0, 1], high_us)",
            "live",
        ),
        (
            "a filter shifts the watermark by a row",
            "np.searchsorted(kept, rises[:, 0])",
            'np.searchsorted(kept, rises[:, 0], side="right")',
            "filter",
        ),
    ],
    "windows/slices.py": [
        (
            "expires one point late",
            "if add(last, lateness_us) > watermark_us:",
            "if add(last, lateness_us) >= watermark_us:",
            "by hand",
        ),
        ("a slice is not brought back", "if index in self._cold:", "if False:", "budgets"),
        (
            "blocks are deleted too early",
            "self._cold.enter(index, row)\n        self._cold.drop(index)",
            "self._cold.drop(index)\n        self._cold.enter(index, row)",
            "budgets",
        ),
        (
            "groups of a slice come in another order",
            "return range(self._cold.divide(index, group_bytes))",
            "return range(self._cold.divide(index, group_bytes))[::-1]",
            "divided",
        ),
    ],
    "windows/cold.py": [
        (
            "rows that came since are forgotten",
            "self._fold(table, self._pending.of(index), wanted)",
            "pass",
            "by hand",
        ),
        (
            "rows that came since are folded the other way round",
            "for block in pending:",
            "for block in reversed(pending):",
            "by hand",
        ),
        (
            "the first key of a group is in none",
            "pieces.append(self._put(some_of(data, n, some), len(some), group))",
            "pieces.append(self._put(some_of(data, n, some[1:]), len(some[1:]), group))",
            "divided",
        ),
    ],
    "windows/shard.py": [
        (
            "closes one point late",
            "while (end := self._next_end(fired_us)) is not None and end <= watermark_us:",
            "while (end := self._next_end(fired_us)) is not None and end < watermark_us:",
            "by hand",
        ),
        (
            "corrections come twice",
            "self._deltas.clear()",
            "self._deltas = SortedDict() if at_end else self._deltas",
            "by hand",
        ),
        (
            "final one point early",
            "add(end, self._spec.lateness_us) <= due",
            "add(end, self._spec.lateness_us) <= due + self._grid.slice_us",
            "live",
        ),
        (
            "the last firing is not final",
            "final = at_end or self._spec.lateness_us == 0",
            "final = self._spec.lateness_us == 0",
            "live",
        ),
        ("discarding repeats everything", 'self._spec.mode != "discarding"', "True", "live"),
        (
            "stale merges after a correction",
            "self._slices.merge.forget(int(index))",
            "pass",
            "by hand",
        ),
        (
            "a correction counts in a window that is open",
            "return max(first, alive), min(last, closed)",
            "return max(first, alive), last",
            "by hand",
        ),
        (
            "a restored shard begins before its watermark",
            "self._watermark_us, self._emitted = watermark_us, emitted",
            "self._emitted = emitted",
            "savepoints",
        ),
    ],
    "windows/slice_merge.py": [
        (
            "a window on a block is folded from the right",
            "return -(-first // self._n) * self._n",
            "return (first // self._n + 1) * self._n",
            "by hand",
        ),
        (
            "corrections add up in another order than the first firing",
            "halves, cut = Halves(self._acc), self._cut_of(first)",
            "halves, cut = Halves(self._acc), first",
            "by hand",
        ),
        (
            "a slice is left out of a prefix",
            "self._slices.irange(self._end, end - 1)",
            "self._slices.irange(self._end + 1, end - 1)",
            "live",
        ),
        (
            "a suffix keeps a slice that is before the window",
            "self._halves.shorten_suffix(first)",
            "self._halves.shorten_suffix(first - 1)",
            "live",
        ),
    ],
    "windows/emission.py": [
        (
            "sign of a retraction",
            "np.full(len(replaced), -1, np.int8)",
            "np.full(len(replaced), 1, np.int8)",
            "replay",
        ),
    ],
    "windows/closed.py": [
        ("versions stand still", "self.versions[at] + 1", "self.versions[at]", "by hand"),
        ("the null key starts over", "self.null_version + 1", "1", "replay"),
        (
            "a closed window that changed is named again",
            "self.changed_at = 0\n",
            "pass\n",
            "by hand",
        ),
        ("a closed window is not copied", "self._is_shared = True", "pass", "by hand"),
    ],
    "windows/operator.py": [
        (
            "downstream watermark ahead of what may come",
            "grid.end_from(watermark_us + 1) - grid.size_us",
            "grid.end_from(watermark_us + 1)",
            "chains",
        ),
        (
            "cuts are counted anew when restored",
            'self._cuts = numbers["cuts"]',
            "self._cuts = 0",
            "checkpoints",
        ),
    ],
    "windows/contents.py": [
        (
            "closed windows are not saved",
            "yield CutPart(about, window.version(cut), window.copy)",
            "yield from ()",
            "savepoints",
        ),
        (
            "a shard takes the keys of another",
            "to_numpy(), shards, shard, mine)",
            "to_numpy(), shards, 0, mine)",
            "savepoints",
        ),
    ],
    "windows/collect.py": [
        (
            "a restored list is in the order of its tables",
            'np.argsort(pairs.field("order").to_numpy(), kind="stable")',
            "np.arange(len(pairs))",
            "restores",
        ),
        ("a list that was renumbered is named again", "self._renumberings += 1", "pass", "by hand"),
    ],
}
