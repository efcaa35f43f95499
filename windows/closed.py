"""What is kept of a closed window until it expires: for each key the last version (S21)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("ClosedWindow",)

Ints = NDArray[np.int64]


@dataclass
class ClosedWindow:
    """Versions by key, and in retracting mode the result rows themselves.

    Firing: `next_versions`, `retracted`. Surviving: `version`, `copy`, `restored`.

    Args:
        words: (keys,) int64 key words, ascending as stored integers.
        versions: (keys,) int32.
        rows: (keys,) row in `emitted` of each key's last version.
        null_version: version of the null key; 0: none yet.
        null_row: its row.
        emitted: results that a retraction may have to repeat; empty unless retracting.
        n_emitted: how many there were.
        changed_at: the cut that first saw it as it is now; 0: none yet.
    """

    words: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    versions: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    null_version: int = 0
    null_row: int = -1
    emitted: list[pa.RecordBatch] = field(default_factory=list)
    n_emitted: int = 0
    changed_at: int = 0
    _is_shared: bool = False

    def next_versions(
        self, words: Ints, nulls: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], Ints]:
        """Count the versions of keys on by one.

        Args:
            words: (n,) int64, each key once.
            nulls: (n,) bool, true for the null key.

        Returns:
            ``versions`` (n,) int32 from 1 and ``old_rows`` (n,) of the version before (-1: none).
            The new rows are taken to be the next ones of `emitted`, in this order.
        """
        versions = np.ones(len(words), np.int32)
        old_rows = np.full(len(words), -1, np.int64)
        new_rows = self.n_emitted + np.arange(len(words))
        self._change()
        self.n_emitted += len(words)
        if not len(self.words) and not nulls.any():
            self._insert(words, versions, new_rows)
            return versions, old_rows
        plain = ~nulls
        places = np.searchsorted(self.words, words)
        known = plain & (places < len(self.words))
        known[known] = self.words[places[known]] == words[known]
        at = places[known]
        old_rows[known], versions[known] = self.rows[at], self.versions[at] + 1
        self.versions[at], self.rows[at] = versions[known], new_rows[known]
        fresh = plain & ~known
        self._insert(words[fresh], versions[fresh], new_rows[fresh])
        for i in np.flatnonzero(nulls):
            versions[i], old_rows[i] = self.null_version + 1, self.null_row
            self.null_version, self.null_row = int(versions[i]), int(new_rows[i])
        return versions, old_rows

    def retracted(self, old_rows: Ints) -> pa.Table:
        """Return the result rows that are taken back."""
        return pa.Table.from_batches(self.emitted).take(pa.array(old_rows))

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        arrays = self.words.nbytes + self.versions.nbytes + self.rows.nbytes
        return arrays + sum(int(batch.nbytes) for batch in self.emitted)

    def version(self, cut: int) -> int:
        """Return the cut that first saw it as it is now; `cut` is the one under way."""
        self.changed_at = self.changed_at or cut
        return self.changed_at

    def copy(self) -> Callable[[], pa.RecordBatch]:
        """Return what gives the rows of now, whenever it is called.

        One row for each key: word, whether it is null, version, last result if kept.
        """
        self._is_shared = True
        return replace(self, emitted=list(self.emitted))._save

    def _save(self) -> pa.RecordBatch:
        rows, is_null = self.rows, np.zeros(len(self.words) + bool(self.null_version), np.bool_)
        words, versions = self.words, self.versions
        if self.null_version:
            is_null[-1] = True
            words = np.append(words, 0)
            versions = np.append(versions, np.int32(self.null_version))
            rows = np.append(rows, self.null_row)
        saved = {"key": words, "is_null": is_null, "version": versions}
        if self.emitted:
            saved["emitted"] = pa.concat_batches(
                self.retracted(rows).to_batches()
            ).to_struct_array()
        return pa.record_batch({name: pa.array(column) for name, column in saved.items()})

    @classmethod
    def restored(cls, saved: pa.RecordBatch, schema: pa.Schema) -> ClosedWindow:
        """Make one of what was saved, the keys maybe renumbered.

        Args:
            saved: no key twice.
            schema: of results.
        """
        words, versions = (saved.column(i).to_numpy() for i in (0, 2))
        nulls = saved.column(1).to_numpy(zero_copy_only=False)
        order = np.argsort(words, kind="stable")
        order = order[~nulls[order]]
        made = cls(words[order], versions[order].copy(), order, n_emitted=saved.num_rows)
        for i in np.flatnonzero(nulls):
            made.null_version, made.null_row = int(versions[i]), int(i)
        if saved.num_columns > 3:
            made.emitted.append(
                pa.RecordBatch.from_arrays(saved.column(3).flatten(), schema=schema)
            )
        return made

    def _change(self) -> None:
        self.changed_at = 0
        if self._is_shared:
            self.versions, self.rows = self.versions.copy(), self.rows.copy()
            self._is_shared = False

    def _insert(self, words: Ints, versions: NDArray[np.int32], rows: Ints) -> None:
        order = np.argsort(np.concatenate([self.words, words]), kind="stable")
        self.words = np.concatenate([self.words, words])[order]
        self.versions = np.concatenate([self.versions, versions])[order]
        self.rows = np.concatenate([self.rows, rows])[order]
