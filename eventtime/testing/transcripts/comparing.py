"""What came beside what a transcript expects; what differs is told with file and line."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NoReturn

from eventtime.testing.transcripts.cells import Cells, plain_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.ledger import Ledger
    from eventtime.testing.harness import Harness
    from eventtime.testing.transcripts.acts import Expect
    from eventtime.testing.transcripts.reading import Entry
    from eventtime.testing.transcripts.script import Transcript

__all__ = ("Comparison", "TranscriptFailedError")

_RESULTS: Final = ""
_QUARANTINE: Final = "quarantine"
_MOST_SHOWN: Final = 20
_PLAIN_RESULTS: Final = "results"


class TranscriptFailedError(AssertionError):
    """Raised when something else came than a transcript expects; names file and line."""


class Comparison:
    """What came out of a pipeline, and how much of it was expected.

    Coming: `collect`, `note`. A crash: `sizes`, `lose`, `check_again`. Comparing: `compare`,
    `check_end`. Differing: `fail`.

    Args:
        story: that expects.
        picture: draws what happened so far.
    """

    def __init__(self, story: Transcript, picture: Callable[[], str]) -> None:
        self._story, self._picture = story, picture
        self._out: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._expected: dict[str, int] = defaultdict(int)
        self._schemas: dict[str, pa.Schema] = {}
        self.replayed: Ledger | None = None

    def collect(self, harness: Harness) -> None:
        """Take what is new."""
        self.note(_RESULTS, harness.results())
        for tag in harness.tags:
            self.note(tag, harness.side(tag))

    def note(self, name: str, table: pa.Table) -> None:
        """Take rows of a side output, or results, whose name is empty."""
        self._schemas[name] = table.schema
        self._out[name] += plain_rows(table)

    def sizes(self) -> dict[str, int]:
        """Count what came, by output."""
        return {name: len(rows) for name, rows in self._out.items()}

    def lose(self, sizes: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        """Forget what came since then, and return it."""
        lost = {name: rows[sizes.get(name, 0) :] for name, rows in self._out.items()}
        for name, rows in self._out.items():
            del rows[sizes.get(name, 0) :]
        return lost

    def check_again(
        self, lost: dict[str, list[dict[str, Any]]], sizes: dict[str, int], entry: Entry
    ) -> None:
        """Refuse a second time that is not as the first (S28)."""
        for name, rows in lost.items():
            again = self._out[name][sizes.get(name, 0) :]
            if str(again) != str(rows):
                before = self._told(name, rows, "came before the crash")
                after = self._told(name, again, "came after it")
                self.fail(entry, f"{_named(name)} are not what they were", f"{before}\n{after}")

    def compare(self, act: Expect, harness: Harness) -> None:
        """Compare all that is expected."""
        seen = _Seen(self, harness, self._story)
        for what, entry in act.said.items():
            check: Callable[[Entry], None] = getattr(seen, what)
            check(entry)

    def check_end(self) -> None:
        """Refuse what came and no step expects."""
        for name in self._out:
            self.check_nothing(name, self._story.steps[-1].entry)

    def check_nothing(self, name: str, entry: Entry) -> None:
        """Refuse new rows of an output."""
        rows = self._out[name][self._expected[name] :]
        if rows:
            what = f"{_named(name)} came that no step expects"
            self.fail(entry, what, self._told(name, rows, "came"))

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs; that of the results is empty."""
        return list(self._schemas)

    def check_rows(self, name: str, entry: Entry) -> None:
        """Compare the new rows of an output."""
        times, unit = self._story.times, self._story.declared.time_unit
        cells, got = Cells(self._schemas[name], times, unit), self._out[name]
        got = got[self._expected[name] :]
        wanted = cells.expected(entry)
        self._expected[name] = len(self._out[name])
        found = cells.differences(got, wanted)
        if found:
            found.append(self._told(name, wanted, "expected"))
            found.append(self._told(name, got, "came", list(wanted[0]) if wanted else []))
            self.fail(entry, f"{_named(name)} differ", "\n".join(found))

    def fail(self, entry: Entry, what: str, detail: str = "") -> NoReturn:
        """Raise with file and line, and with a picture of what happened."""
        lines = [f"{entry.place}: {what}", f"  ({self._story.title})", detail]
        if picture := self._picture():
            lines += ["\n" + picture]
        raise TranscriptFailedError("\n".join(filter(None, lines)))

    def _told(
        self, name: str, rows: Sequence[dict[str, Any]], what: str, names: Sequence[str] = ()
    ) -> str:
        unit = self._story.declared.time_unit
        cells = Cells(self._schemas[name], self._story.times, unit)
        # What is expected may say less than what came.
        lines = [f"  - {cells.shown(row, names)}" for row in rows[:_MOST_SHOWN]]
        if len(rows) > _MOST_SHOWN:
            lines.append(f"  … and {len(rows) - _MOST_SHOWN} more")
        return "\n".join([f"{what}:", *(lines or ["  nothing"])])


class _Seen:
    """What can be expected, each by the name that a transcript gives it."""

    def __init__(self, comparison: Comparison, harness: Harness, story: Transcript) -> None:
        self._comparison, self._harness, self._story = comparison, harness, story

    def results(self, entry: Entry) -> None:
        self._comparison.check_rows(_RESULTS, entry)

    def late(self, entry: Entry) -> None:
        tag = self._harness.late_tag
        if tag is None:
            entry.refuse("the pipeline keeps no late rows", "expect them in the ledger")
        self._comparison.check_rows(tag, entry)

    def quarantine(self, entry: Entry) -> None:
        self._comparison.check_rows(_QUARANTINE, entry)

    def side(self, entry: Entry) -> None:
        tags = [name for name in self._comparison.outputs if name]
        for tag, one in entry.mapping("side outputs", tags).items():
            self._comparison.check_rows(tag, one)

    def nothing(self, entry: Entry) -> None:
        if not entry.flag("flag"):
            entry.refuse("nothing: false says nothing", "leave it out")
        for name in self._comparison.outputs:
            self._comparison.check_nothing(name, entry)

    def watermark(self, entry: Entry) -> None:
        look = self._harness.look()
        if not isinstance(entry.value, dict):
            self._watermark("the combined watermark", look.watermark_us, entry)
            return
        known = {"combined": look.watermark_us, **{p.name: p.watermark_us for p in look.partitions}}
        for name, one in entry.mapping("watermarks", known).items():
            self._watermark(f"the watermark {name}", known[name], one)

    def _watermark(self, what: str, us: int, entry: Entry) -> None:
        times, wanted = self._story.times, entry.text("time")
        if wanted not in {"-inf", "+inf"}:
            wanted = times.short(times.us(entry))
        self._equal(what, times.short(us), wanted, entry)

    def held_by(self, entry: Entry) -> None:
        wanted = None if entry.value is None else entry.text("partition")
        if wanted is not None:
            self._names(entry)
        self._equal("who holds the watermark", self._harness.held_by, wanted, entry)

    def idle(self, entry: Entry) -> None:
        idle = [p.name for p in self._harness.look().partitions if p.is_idle and not p.is_finished]
        self._equal("the idle partitions", sorted(idle), sorted(self._names(entry)), entry)

    def _names(self, entry: Entry) -> list[str]:
        known = [p.name for p in self._harness.look().partitions]
        for name in (names := entry.names("partition")):
            if name not in known:
                entry.refuse(f"there is no partition {name!r}", f"there are {', '.join(known)}")
        return names

    def ledger(self, entry: Entry) -> None:
        ledger = self._ledger
        known = [*vars(ledger.total), *ledger.partitions]
        for name, one in entry.mapping(
            "ledger", known, like="ledger: {rows_in: 7, late: 1}"
        ).items():
            is_partition = name in ledger.partitions and isinstance(one.value, dict)
            if name in vars(ledger.total) and not is_partition:
                self._count(f"{name} in all", getattr(ledger.total, name), one)
                continue
            balance = ledger.partitions[name]
            counts = one.mapping(f"ledger of {name}", vars(balance), like=f"{name}: {{late: 1}}")
            for count, number in counts.items():
                self._count(f"{count} of {name}", getattr(balance, count), number)

    def operators(self, entry: Entry) -> None:
        like = "operators: [{assigned: 3, open: 0}]"
        balances, said = self._ledger.operators, entry.items("operators", like=like)
        self._equal("the number of operators", len(balances), len(said), entry)
        for i, (balance, one) in enumerate(zip(balances, said, strict=True), 1):
            for count, number in one.mapping("operator", vars(balance)).items():
                self._count(f"{count} of operator {i}", getattr(balance, count), number)

    @property
    def _ledger(self) -> Ledger:
        return self._comparison.replayed or self._harness.ledger

    def state(self, entry: Entry) -> None:
        if entry.value == "empty":
            if not self._harness.is_empty:
                self._comparison.fail(entry, "state is held, and none is expected (S30)")
            return
        held = self._harness.state[0]
        like = "state: empty, or state: {keys: 2, rows: 3}"
        for name, one in entry.mapping("state", ("keys", "rows"), like=like).items():
            self._count(f"{name} held", getattr(held, name), one)

    def _count(self, what: str, got: int, entry: Entry) -> None:
        self._equal(what, got, entry.number("count", least=0), entry)

    def _equal(self, what: str, got: object, wanted: object, entry: Entry) -> None:
        if got != wanted:
            self._comparison.fail(entry, f"{what}: {got} came, and {wanted} is expected")


def _named(name: str) -> str:
    return f"rows of {name!r}" if name else _PLAIN_RESULTS
