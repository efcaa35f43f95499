"""Results as a table, as JSON, and side by side with earlier ones."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MIB = 2**20


@dataclass(frozen=True)
class Round:
    """One round of one contender; ``peak_bytes`` is above what it held once its data was loaded."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass
class Outcome:
    """One workload: every contender's rounds, the k-th of each next to one another in time."""

    workload: str
    what: str
    rows: int
    rows_of: dict[str, int] = field(default_factory=dict)
    """Rows a contender goes through in a round, for those that run another workload."""
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    loaded_bytes: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)

    @property
    def baseline(self) -> str | None:
        """The contender others are divided by: ours with fewest threads, else the first."""
        names = list(self.rounds)
        ours = sorted((n for n in names if n.startswith("ours")), key=lambda n: (":" in n, n))
        return ours[0] if ours else next(iter(names), None)

    def ratios(
        self, contender: str, figure: str = "wall_s", base_name: str | None = None
    ) -> list[float]:
        """Contender over baseline, round by round: above 1 the baseline is faster."""
        base = self.rounds[base_name or self.baseline or contender]
        return [
            getattr(theirs, figure) / max(getattr(mine, figure), 1e-9)
            for theirs, mine in zip(self.rounds[contender], base, strict=False)
        ]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, with the medians written out for readers of the file."""
        medians = {
            name: {
                "wall_s": median(r.wall_s for r in rounds),
                "cpu_s": median(r.cpu_s for r in rounds),
                "rows_per_s": self.rows_of[name] / median(r.wall_s for r in rounds),
                "peak_mib": max(r.peak_bytes for r in rounds) / MIB,
                "wall_ratio": median(self.ratios(name)),
                "cpu_ratio": median(self.ratios(name, "cpu_s")),
            }
            for name, rounds in self.rounds.items()
            if rounds
        }
        return {**asdict(self), "baseline": self.baseline, "medians": medians}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Read back what `to_json` wrote."""
        kept = {k: v for k, v in data.items() if k not in {"baseline", "medians"}}
        kept["rounds"] = {
            name: [Round(**r) for r in rounds] for name, rounds in data["rounds"].items()
        }
        return cls(**kept)


_HEAD = (
    "contender",
    "wall s",
    "min-max",
    "cpu s",
    "M rows/s",
    "peak MiB",
    "wall ratio",
    "min-max",
    "cpu ratio",
)


def table(outcome: Outcome) -> str:
    """One line for each contender: medians with their spread, and ratios to ours pair by pair."""
    lines = [_HEAD]
    for name, rounds in outcome.rounds.items():
        if not rounds:
            continue
        walls = [r.wall_s for r in rounds]
        ratios, cpu_ratios = outcome.ratios(name), outcome.ratios(name, "cpu_s")
        lines.append(
            (
                name,
                f"{median(walls):.3f}",
                f"{min(walls):.3f}-{max(walls):.3f}",
                f"{median(r.cpu_s for r in rounds):.3f}",
                f"{outcome.rows_of[name] / median(walls) / 1e6:.2f}",
                f"{max(r.peak_bytes for r in rounds) / MIB:.0f}",
                f"{median(ratios):.3g}x",
                f"{min(ratios):.3g}-{max(ratios):.3g}",
                f"{median(cpu_ratios):.3g}x",
            )
        )
    counted = max((len(r) for r in outcome.rounds.values()), default=0)
    title = f"{outcome.workload}: {outcome.what}, {outcome.rows:,} rows, {counted} rounds"
    notes = [f"  {name} failed: {why}" for name, why in outcome.failures.items()]
    notes += [f"  DISAGREEMENT: {text}" for text in outcome.disagreements]
    base = f"  ratio: time of a contender over that of {outcome.baseline}, round by round"
    return "\n".join([title, *_aligned(lines), base, *notes])


def _aligned(lines: Iterable[tuple[str, ...]]) -> list[str]:
    kept = list(lines)
    widths = [max(len(line[i]) for line in kept) for i in range(len(kept[0]))]
    return [
        "  "
        + "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in kept
    ]


def write(
    path: Path, outcomes: list[Outcome], machine: dict[str, Any], options: dict[str, Any]
) -> None:
    """Write a result file; a file already there is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine,
        "options": options,
        "workloads": [o.to_json() for o in outcomes],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, Any], list[Outcome]]:
    """Read a result file: machine and outcomes."""
    document = json.loads(path.read_text())
    return document["machine"], [Outcome.from_json(w) for w in document["workloads"]]


def compare(before: Path, after: Path) -> str:
    """What two files share, side by side: speed-up (above 1: the second is faster), memory."""
    (machine_a, outcomes_a), (machine_b, outcomes_b) = read(before), read(after)
    lines = [
        (
            "workload",
            "contender",
            "before s",
            "after s",
            "speed-up",
            "before min-max",
            "after min-max",
            "peak MiB",
        )
    ]
    earlier = {o.workload: o for o in outcomes_a}
    notes = [
        f"  {part} differs: {machine_a.get(part)} against {machine_b.get(part)}"
        for part in ("cpu", "cores", "python", "libraries")
        if machine_a.get(part) != machine_b.get(part)
    ]
    for new in outcomes_b:
        old = earlier.get(new.workload)
        if old is None:
            continue
        if old.rows != new.rows:
            notes.append(f"  {new.workload}: {old.rows:,} rows against {new.rows:,}, not compared")
            continue
        for name in [n for n in new.rounds if new.rounds[n] and old.rounds.get(n)]:
            a, b = [r.wall_s for r in old.rounds[name]], [r.wall_s for r in new.rounds[name]]
            peaks = [max(r.peak_bytes for r in o.rounds[name]) / MIB for o in (old, new)]
            lines.append(
                (
                    new.workload,
                    name,
                    f"{median(a):.3f}",
                    f"{median(b):.3f}",
                    f"{median(a) / median(b):.2f}x",
                    f"{min(a):.3f}-{max(a):.3f}",
                    f"{min(b):.3f}-{max(b):.3f}",
                    f"{peaks[0]:.0f} -> {peaks[1]:.0f}",
                )
            )
    head = f"before: {machine_a['commit'][:10]}   after: {machine_b['commit'][:10]}"
    return "\n".join([head, *_aligned(lines), *notes])
