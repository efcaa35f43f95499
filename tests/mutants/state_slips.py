"""Slips in keys, tables and copies of state; as `Mutant` has it, by file."""

from __future__ import annotations

from typing import Final

__all__ = ("STATE_SLIPS",)

STATE_SLIPS: Final[dict[str, list[tuple[str, str, str, str]]]] = {
    "state/tables.py": [
        (
            "corrections that changed are named again",
            "self.dirs[row, k.VERSION] = k.CHANGED",
            "pass",
            "checkpoints",
        ),
    ],
    "state/interner.py": [
        (
            "keys without the new ones are named again",
            "self._changed_at[self.free[self._counts[2] : n_free] // RANGE_IDS] = 0",
            "pass",
            "checkpoints",
        ),
        (
            "keys with those forgotten are named again",
            "self._changed_at[used[~alive[used]] // RANGE_IDS] = 0",
            "pass",
            "by hand",
        ),
        (
            "keys are not copied",
            "partial(_values, self.spans[ids], self.blob, np.arange(len(ids)), kind, valid)",
            "partial(_values, self.spans, self.blob, ids, kind, valid)",
            "by hand",
        ),
    ],
    "state/copies.py": [
        (
            "memory of a copy is used again before it is read",
            "finalize(self._last, self._free.append, rows).atexit = False",
            "self._free.append(rows)",
            "by hand",
        ),
    ],
    "state/keys.py": [
        ("nulls first", "np.lexsort((sortable, nulls))", "np.lexsort((sortable, ~nulls))", "live"),
    ],
}
