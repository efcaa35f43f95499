"""Who takes part, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.answer import Answer
    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

ENGINES = ("ours", "duckdb", "polars", "pyarrow", "bytewax", "floor")


@dataclass(frozen=True)
class Contender:
    """An engine and how many threads it may use, written ``engine@threads``."""

    engine: str
    threads: int = 1

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Read ``duckdb`` or ``duckdb@2``; anything else is refused."""
        engine, _, threads = text.partition("@")
        if engine not in ENGINES or not (threads or "1").isdigit() or int(threads or 1) < 1:
            known = ", ".join(ENGINES)
            msg = f"no contender {text!r}: write engine or engine@threads, engine one of {known}"
            raise ValueError(msg)
        return cls(engine, int(threads or 1))

    def __str__(self) -> str:
        return self.engine if self.threads == 1 else f"{self.engine}@{self.threads}"

    def load(self, workload: Workload, files: DatasetFiles) -> Callable[[], Callable[[], Answer]]:
        """Get everything ready before the clock starts; only this engine is imported.

        Returns:
            A function that does one round and returns what reduces its outcome to an `Answer`
            (outside the clock).
        """
        if self.engine == "ours":
            from benchmarks.ours import ours

            return ours(workload, files, self.threads)
        if self.engine == "floor":
            from benchmarks import floor

            return floor.load(workload, files)
        if self.engine == "bytewax":
            from benchmarks.streaming_peer import bytewax

            return bytewax(workload, files, self.threads)
        from benchmarks import peers

        return getattr(peers, self.engine)(workload, files, self.threads)  # type: ignore[no-any-return]
