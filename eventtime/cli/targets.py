"""Where the rows of a run go, as the options and the file say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from eventtime.cli.surviving import Survival
from eventtime.errors import PlanError
from eventtime.memory import memory_limit, parse_bytes
from eventtime.sinks.base import suffix_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.memory import MemoryLimit
    from eventtime.sinks.base import AnySink

    Target: TypeAlias = str | Path | AnySink

__all__ = ("QUARANTINE", "Targets", "in_words")

QUARANTINE: Final = "quarantine"


@dataclass(frozen=True)
class Targets:
    """Where a run's rows go.

    Args:
        out: path or sink of the results; None: the first ones are printed.
        sides: those of side outputs by tag; others are counted only.
        overwrite: replace what is there.
        shards: threads that share the keys.
        rows: to print when there is no `out`.
        survival: checkpoints, savepoints and restarts.
        memory: how much of the state may be in memory; None: all.
        of_file: whether a file declares the pipeline, and so whether late rows are kept.
    """

    out: Target | None = None
    sides: Mapping[str, Target] = field(default_factory=dict)
    overwrite: bool = False
    shards: int = 1
    rows: int = 10
    survival: Survival = field(default_factory=Survival)
    memory: MemoryLimit | None = None
    of_file: bool = False

    @classmethod
    def of(
        cls,
        given: Mapping[str, Any],
        late_tags: Sequence[str | None],
        sink: Target | None = None,
        declared: Mapping[str, Target] | None = None,
    ) -> Targets:
        """Read the values of `run_options`, which go before the sinks that a file declares.

        Raises:
            PlanError: `--late` is given, but no late rows are kept; or two outputs have one path.
        """
        out = given["out"] or sink
        sides = dict(declared or {})
        if given["late"]:
            kept = [tag for tag in late_tags if tag is not None]
            if not kept:
                msg = "the pipeline keeps no late rows: its windows say late=DROP"
                raise PlanError(msg, place="--late", remedy="leave out --late, or late=DROP")
            sides.update(_late_paths(given["late"], kept))
        if given["quarantine"]:
            sides[QUARANTINE] = given["quarantine"]
        paths = [str(path) for path in (out, *sides.values()) if isinstance(path, str | Path)]
        if len(set(paths)) < len(paths):
            msg = f"two outputs have the path {max(paths, key=paths.count)!r}"
            raise PlanError(msg, place="--out, --late, --quarantine", remedy="give each its own")
        survival = Survival.of(given)
        limit = _limit(given["memory"], given["backend"], given["scratch"])
        overwrite, shards, rows = given["overwrite"], given["shards"], given["rows"]
        of_file = declared is not None
        return cls(out, sides, overwrite, shards, rows, survival, limit, of_file)


def in_words(target: Target) -> str:
    """Name a path as it is, and a sink as it describes itself."""
    return str(target) if isinstance(target, str | Path) else target.describe()


def _late_paths(path: str, tags: Sequence[str]) -> dict[str, str]:
    """Choose a path for each tag: late rows of another window are of other columns.

    >>> _late_paths("out/late.csv.gz", ["late", "late_2"])
    {'late': 'out/late.csv.gz', 'late_2': 'out/late-late_2.csv.gz'}
    """
    suffix = suffix_of(path)
    stem = path[: len(path) - len(suffix)]
    beside = {tag: f"{stem}-{tag.replace('/', '_')}{suffix}" for tag in tags[1:]}
    return {tags[0]: path, **beside}


def _limit(memory: str | None, backend: Any, scratch: str | None) -> MemoryLimit | None:
    if memory is None:
        if backend or scratch:
            msg = "state has no limit of memory, so nothing of it would leave memory"
            remedy = "say how much may stay, such as --memory 512MB"
            raise PlanError(msg, place="--backend, --scratch", remedy=remedy)
        return None
    size = parse_bytes(memory, place="--memory")
    return memory_limit(size, backend=backend or "files", scratch=scratch)
