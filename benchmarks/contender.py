"""Who takes part, by name: ``engine``, ``engine@threads``, ``engine:workload`` or all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.answer import Answer
    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

ENGINES = ("ours", "duckdb", "polars", "pyarrow", "bytewax", "floor")


@dataclass(frozen=True)
class Contender:
    """An engine, how many threads it may use, and its workload if not that of the rest.

    Another workload is for comparing two of ours in turn, sliding with tumbling say; its answer is
    not compared.
    """

    engine: str
    threads: int = 1
    workload: str | None = None

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Read a name; an unknown engine or workload, or a thread count below one, is refused."""
        name, _, workload = text.partition(":")
        engine, _, threads = name.partition("@")
        counted = (threads or "1").isdigit() and int(threads or 1) >= 1
        if engine not in ENGINES or not counted or (workload and workload not in WORKLOADS):
            known = ", ".join(ENGINES)
            msg = f"no contender {text!r}: write engine[@threads][:workload], engine one of {known}"
            raise ValueError(msg)
        return cls(engine, int(threads or 1), workload or None)

    def __str__(self) -> str:
        threads = "" if self.threads == 1 else f"@{self.threads}"
        return self.engine + threads + (f":{self.workload}" if self.workload else "")

    def plays(self, workload: Workload) -> Workload:
        """The workload it runs when the others run ``workload``: of as many rows a day."""
        return WORKLOADS[self.workload].scaled(workload.dataset.rows) if self.workload else workload

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
