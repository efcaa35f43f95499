"""A transcript as it is written: what is declared, and the steps in their order."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import shown
from eventtime.duration import parse_us
from eventtime.errors import EventTimeError, PlanError
from eventtime.instant import instant_us
from eventtime.testing.rows import iso
from eventtime.testing.transcripts.acts import (
    Act,
    Add,
    Beat,
    Crash,
    Cut,
    End,
    Expect,
    Idle,
    Input,
    Pass,
    Poll,
    Replay,
    Restarted,
    Rows,
)
from eventtime.testing.transcripts.cells import laid_out
from eventtime.testing.transcripts.declared import Declared, declared
from eventtime.testing.transcripts.reading import TIME_REMEDY, Entry, TranscriptError, read_entries

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("RULES", "Times", "Transcript", "load")

VERSION: Final = 1
_KNOWN: Final = (
    "transcript", "title", "rules", "pipeline", "partitions", "day", "clock", "refused", "not_yet",
    "steps",
)  # fmt: skip
_STEPS: Final = (
    "input", "watermark", "poll", "idle", "clock", "add", "finish", "checkpoint", "crash",
    "restart", "replay", "expect",
)  # fmt: skip
_EXPECTED: Final = (
    "results", "late", "quarantine", "side", "watermark", "held_by", "idle", "ledger", "operators",
    "state", "nothing",
)  # fmt: skip
RULES: Final = tuple(f"S{number}" for number in range(1, 31))
"""Of docs/semantics.md."""
_CLOCK: Final = re.compile(r"(-?)([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9])(\.[0-9]{1,6})?)?")
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Times:
    """Times as a transcript writes them: '00:01:30' is of its day, all else is ISO 8601.

    Args:
        day_us: when the day begins.
    """

    day_us: int = 0

    def us(self, entry: Entry) -> int:
        """Return an instant in microseconds."""
        try:
            return instant_us(self.whole(entry.text("time")), place=entry.place)
        except EventTimeError:
            return entry.refuse(f"{shown(entry.plain)} is no time", TIME_REMEDY)

    def whole(self, value: Any) -> Any:
        """Return a time of the day as ISO 8601 text, and all else as it is."""
        match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        seconds = int(match[2]) * 3_600 + int(match[3]) * 60 + int(match[4] or 0)
        us = seconds * 1_000_000 + int((match[5] or ".0")[1:].ljust(6, "0"))
        return iso(self.day_us + (-us if match[1] else us))

    def short(self, time_us: int) -> str:
        """Write an instant as a transcript does."""
        text = iso(time_us)
        if not 0 <= time_us - self.day_us <= _DAY_US:
            return text
        seconds, us = divmod(time_us - self.day_us, 1_000_000)
        clock = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return clock if not us else f"{clock}.{us:06}".rstrip("0")


@dataclass(frozen=True)
class Transcript:
    """A story, and what is expected of it.

    Args:
        path: of its file.
        title: what it shows, in a sentence.
        rules: of docs/semantics.md that it stands for.
        declared: the pipeline.
        partitions: known at the start.
        times: how it writes them.
        clock_us: what the clock shows at the start.
        refused: part of the message with which the pipeline is refused; empty: it is not.
        not_yet: what is missing that it needs; empty: nothing.
        steps: in their order.
    """

    path: str
    title: str
    rules: tuple[str, ...]
    declared: Declared
    partitions: tuple[str, ...]
    times: Times
    clock_us: int
    refused: str
    not_yet: str
    steps: tuple[Act, ...] = field(repr=False)


def load(path: str | os.PathLike[str]) -> Transcript:
    """Read a transcript; docs/transcripts.md says how one is written.

    Raises:
        TranscriptError: the file cannot be read; or one line is wrong: which, and what to write.
        PlanError: it is no path, or PyYAML is not installed.
    """
    given: object = path
    if not isinstance(given, str | os.PathLike):
        msg = f"{shown(given)} is no path of a transcript"
        raise PlanError(msg, place="load(path)", remedy="such as 'stories/late.yaml'")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        msg = f"the file cannot be read: {error.strerror or error}"
        remedy = "name a transcript, a file of YAML"
        raise TranscriptError(msg, place=str(path), remedy=remedy) from error
    except UnicodeDecodeError as error:
        msg = f"this is no text in UTF-8: {error}"
        raise TranscriptError(msg, place=str(path), remedy="save the file as UTF-8") from error
    whole = read_entries(text, str(path))
    said = whole.mapping("transcript", _KNOWN, needed=("transcript", "title", "pipeline"))
    if said["transcript"].plain != VERSION or said["transcript"].plain is True:
        what = f"this is version {shown(said['transcript'].plain)} of the format"
        said["transcript"].refuse(what, f"write transcript: {VERSION}")
    times = Times(Times().us(said["day"]) if "day" in said else 0)
    pipeline = declared(said["pipeline"])
    partitions = tuple(said["partitions"].names("partition")) if "partitions" in said else ("a",)
    if len({*partitions}) < len(partitions):
        said["partitions"].refuse("a partition is named twice", "give each its own name")
    reader = _Steps(times, partitions, pipeline)
    steps = said["steps"].items("steps") if "steps" in said else []
    if steps and "refused" in said:
        remedy = "take them out, or 'refused'"
        said["steps"].refuse("a pipeline that is refused goes through no steps", remedy)
    if not steps and "refused" not in said and "not_yet" not in said:
        whole.refuse("there are no steps", "add 'steps:' and what happens, one '- …' for each")
    acts = tuple(reader.step(entry) for entry in steps)
    clock_us = times.us(said["clock"]) if "clock" in said else times.day_us
    story = Transcript(
        str(path),
        said["title"].text("title"),
        _rules(said["rules"]) if "rules" in said else (),
        pipeline,
        partitions,
        times,
        clock_us,
        said["refused"].text("message") if "refused" in said else "",
        said["not_yet"].text("reason") if "not_yet" in said else "",
        acts,
    )
    _check_replays(acts)
    if acts and not story.not_yet and not any(map(_expects, acts)):
        remedy = "behind what happens, write '- expect: …', such as '- expect: {results: []}'"
        said["steps"].refuse("nothing is expected, so nothing can fail", remedy)
    return story


def _expects(act: Act) -> bool:
    return isinstance(act, Expect) or (isinstance(act, Restarted) and bool(act.refused))


def _check_replays(acts: tuple[Act, ...]) -> None:
    """Refuse what happens by hand beside a replay, which is a run of its own."""
    by_hand = [act for act in acts if not isinstance(act, Expect | Replay)]
    if by_hand and len(by_hand) < len([act for act in acts if not isinstance(act, Expect)]):
        remedy = "make two transcripts of it"
        by_hand[0].entry.refuse("beside a replay nothing happens by hand", remedy)


def _rules(entry: Entry) -> tuple[str, ...]:
    names = entry.names("rule")
    for name in names:
        if name not in RULES:
            entry.refuse(f"there is no rule {name!r}", f"{RULES[0]} to {RULES[-1]}, such as S4")
    return tuple(names)


class _Steps:
    def __init__(self, times: Times, partitions: tuple[str, ...], pipeline: Declared) -> None:
        self.times, self.partitions, self.pipeline = times, partitions, pipeline
        self.names: list[str] = list(partitions)
        self.ended: list[str] = []

    def step(self, entry: Entry) -> Act:
        if isinstance(entry.value, str):
            name, what = entry.value, Entry(None, entry.file, entry.line)
        else:
            said = entry.mapping("step")
            if len(said) != 1:
                entry.refuse(
                    f"a step is one thing, and here are {len(said)}", "write '- ' for each"
                )
            ((name, what),) = said.items()
        if name not in _STEPS:
            entry.refuse(f"there is no step {shown(name)}", f"one of {', '.join(_STEPS)}")
        made: Act = getattr(self, f"_{name}")(what)
        return made

    def _input(self, entry: Entry) -> Act:
        rows = self._rows(entry)
        self._alive(rows, entry)
        return Input(entry, rows)

    def _replay(self, entry: Entry) -> Act:
        return Replay(entry, self._rows(entry))

    def _rows(self, entry: Entry) -> Rows:
        if isinstance(entry.value, list):
            if len(self.partitions) != 1:
                which = ", ".join(self.names) or "what 'add: …' has found"
                entry.refuse("it is not said whose rows these are", f"name one of {which} before")
            return {self.partitions[0]: self._of(entry)}
        rows = entry.mapping("input", like="one '- {…}' for each row")
        return {name: self._of(some) for name, some in rows.items()}

    def _of(self, entry: Entry) -> list[dict[str, Any]]:
        schema = self.pipeline.schema
        rows = [
            one.mapping("row", None if schema is None else schema.names)
            for one in entry.items("rows")
        ]
        return [{name: self._cell(name, cell) for name, cell in row.items()} for row in rows]

    def _cell(self, name: str, entry: Entry) -> Any:
        """Return a cell as it is pushed."""
        if (schema := self.pipeline.schema) is not None:
            unit = self.pipeline.time_unit if name == self.pipeline.time else None
            laid_out(entry, schema.field(name), self.times, unit)
        return self.times.whole(entry.plain)

    def _alive(self, names: Iterable[str], entry: Entry) -> list[str]:
        """Refuse partitions that there are not, or no more; code may know of more than these."""
        left = [name for name in self.names if name not in self.ended]
        given = list(names)
        if not given:
            entry.refuse("no partition is named", f"there are {', '.join(left)}")
        for name in given:
            if given.count(name) > 1:
                entry.refuse(f"partition {name!r} is named twice", "name it once")
            if name in self.ended:
                remedy = f"'finish: {name}' belongs behind this, or once only"
                entry.refuse(f"partition {name!r} has ended", remedy)
            if name not in self.names and self.pipeline.schema is not None:
                remedy = f"there are {', '.join(left)}; others are found with 'add: {name}'"
                entry.refuse(f"there is no partition {name!r}", remedy)
        return given

    def _watermark(self, entry: Entry) -> Act:
        said = entry.mapping("watermark", like="watermark: {a: 00:05:00}")
        names = self._alive(said, entry)
        return Beat(entry, {name: self.times.us(said[name]) for name in names})

    def _poll(self, entry: Entry) -> Act:
        return Poll(entry, self._alive(entry.names("partition"), entry))

    def _idle(self, entry: Entry) -> Act:
        parts, like = ("partitions", "for"), "idle: {partitions: [b], for: 6s}"
        said = entry.mapping("idle", parts, needed=parts, like=like)
        names = self._alive(said["partitions"].names("partition"), said["partitions"])
        return Idle(entry, names, _duration(said["for"], negative=False))

    def _clock(self, entry: Entry) -> Act:
        return Pass(entry, _duration(entry))

    def _add(self, entry: Entry) -> Act:
        said = {"partition": entry}
        if not isinstance(entry.value, str):
            known, like = ("partition", "historical"), "add: b"
            said = entry.mapping("add", known, needed=("partition",), like=like)
        historical = "historical" in said and said["historical"].flag("flag")
        name = said["partition"].text("partition")
        if name in self.names:
            entry.refuse(f"partition {name!r} is known already", "give each its own name")
        self.names.append(name)
        return Add(entry, name, historical=historical)

    def _finish(self, entry: Entry) -> Act:
        names = entry.names("partition")
        left = [name for name in self.names if name not in self.ended]
        names = left if names == ["all"] else self._alive(names, entry)
        self.ended.extend(names)
        return End(entry, names)

    def _checkpoint(self, entry: Entry) -> Act:
        return Cut(_alone(entry, "checkpoint"))

    def _crash(self, entry: Entry) -> Act:
        return Crash(_alone(entry, "crash"))

    def _restart(self, entry: Entry) -> Act:
        known, like = ("shards", "change", "refused"), "restart, or restart: {shards: 3}"
        said = {} if entry.value is None else entry.mapping("restart", known, like=like)
        shards = said["shards"].number("number of shards", least=1) if "shards" in said else None
        pipeline = None
        if "change" in said:
            change = said["change"]
            parts = change.mapping("change", like="change: {window: {tumbling: 2m}}")
            whole = {**self.pipeline.entry.value, **parts}
            pipeline = declared(Entry(whole, change.file, change.line))
        if "refused" in said and pipeline is None:
            remedy = "say what changes: restart: {change: …, refused: …}"
            said["refused"].refuse("the same pipeline is never refused", remedy)
        refused = said["refused"].text("message") if "refused" in said else ""
        return Restarted(entry, shards, pipeline, refused)

    def _expect(self, entry: Entry) -> Act:
        if entry.value == "nothing":
            return Expect(entry, {"nothing": Entry(True, entry.file, entry.line)})  # noqa: FBT003
        said = {} if entry.value is None else entry.mapping("expect", _EXPECTED)
        if not said:
            remedy = "write 'expect: nothing' if that is meant"
            entry.refuse("nothing is said to be expected", remedy)
        return Expect(entry, said)


def _alone(entry: Entry, name: str) -> Entry:
    if entry.value is not None and entry.value != {}:
        entry.refuse(f"a {name} has nothing behind it", f"write '- {name}'")
    return entry


def _duration(entry: Entry, *, negative: bool = True) -> int:
    """Return microseconds; below zero only where the clock is stepped back."""
    try:
        return parse_us(entry.plain, name="duration", negative=negative)
    except EventTimeError:
        return entry.refuse(f"{entry.shown} is no duration", "write it as '90s' or '1h30m'")
