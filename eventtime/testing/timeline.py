"""What happened to a pipeline as a picture in plain letters: event time goes to the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from eventtime.checks import check_whole
from eventtime.duration import format_us
from eventtime.testing.given import check_pipeline, check_streams
from eventtime.testing.moments import Moment, Told, WindowLife, told
from eventtime.testing.rows import iso
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.stream import Stream
    from eventtime.testing.steps import Streams

__all__ = ("picture", "timeline")

T = TypeVar("T")
_MARKS: Final = {
    "windowed": "o",
    "late": "L",
    "null_time": "Q",
    "future": "Q",
    "malformed": "Q",
    "filtered": "x",
}
_LEGEND: Final = "o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark"
_DAY_US: Final = 86_400_000_000
_MOST_RESULTS: Final = 4
_MOST_FIRINGS: Final = 3
_LEAST_WIDTH: Final = 60
_LEAST_AXIS: Final = 16


def timeline(pipeline: Stream, streams: Streams, *, width: int = 120, height: int = 80) -> str:
    """Draw what happens to a pipeline: rows, watermarks, results, windows.

    Rows are pushed one at a time, which changes nothing (S4), so that each shows what it did. An
    error ends the picture and stands below it. Cost: O(rows * (partitions + keys held)).

    Args:
        pipeline: with windows or a process function.
        streams: what it goes through.
        width: of the lines, in letters.
        height: so many moments, and half as many windows; of more the middle is left out.

    Returns:
        Lines without a last line break.

    >>> import pyarrow as pa, eventtime as et
    >>> from eventtime.testing import Push, Streams
    >>> schema = pa.schema({"t": pa.timestamp("s", "UTC")})
    >>> stream = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    >>> counts = stream.window(et.tumbling("10s")).aggregate(n=et.count())
    >>> print(timeline(counts, Streams(("a",), (Push("a", [{"t": 5}, {"t": 12}]),)), width=80))
    o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
    times since 1970-01-01T00:00:00Z
                     0s               10s             20s
                     '                '                 '
      1 push a  5s   ........o...........................  own 5s, combined 5s
      1 push a  12s  .....................o..............  own 12s, combined 12s
          => [0s, 10s) n=1 version=1 timing=on_time is_final=True
    windows
        [0s, 10s)    [================)                    opened 1, fired 1, gone 1
        [10s, 20s)                    [=================)  opened 1, still open
    """
    for value, least, name in ((width, _LEAST_WIDTH, "width"), (height, 2, "height")):
        remedy = "leave it out for what fits most terminals"
        what = f"a whole number from {least}"
        check_whole(value, least=least, what=what, place=f"timeline({name}=…)", remedy=remedy)
    check_pipeline(pipeline, place="timeline(pipeline, …)")
    check_streams(streams, place="timeline(…, streams)")
    return picture(told(pipeline, streams), width=width, height=height)


def picture(story: Told, *, width: int = 120, height: int = 80) -> str:
    """Draw what happened; arguments and lines are those of `timeline`."""
    lines = _Picture(story, width, height).lines()
    return "\n".join(_cut(line.rstrip(), width) for line in lines)


class _Picture:
    def __init__(self, story: Told, width: int, height: int) -> None:
        self._story, self._clock = story, _Clock(_times(story))
        windows = sorted(story.windows.values(), key=lambda w: (w.end_us, w.start_us))
        self._windows = windows
        self._moments, self._lives = _kept(story.moments, height), _kept(windows, height // 2 + 1)
        texts = [self._head(m) for m in self._moments if m is not None]
        texts += [self._bounds(w) for w in self._lives if w is not None]
        notes = [self._tail(m) for m in self._moments if m is not None]
        notes += [_lived(w) for w in self._lives if w is not None]
        self._left = 2 + max(map(len, texts), default=0)
        rest = width - self._left - 2 - max(map(len, notes), default=0)
        self._axis = _Axis(_times(story), _bounds(story), max(_LEAST_AXIS, rest))

    def lines(self) -> list[str]:
        lines = [_LEGEND, self._clock.header]
        lines += [" " * self._left + line for line in self._axis.ruler(self._clock)]
        for moment in self._moments:
            if moment is None:
                lines.append(_left_out(self._story.moments, self._moments, "moment"))
                continue
            line = self._axis.moment(moment)
            lines.append(f"{self._head(moment):<{self._left}}{line}  {self._tail(moment)}")
            lines += self._results(moment)
        if self._story.error:
            lines += f"stopped by an error in {self._story.error}".splitlines()
        lines += ["windows"] if self._lives else []
        for life in self._lives:
            if life is None:
                lines.append(_left_out(self._windows, self._lives, "window"))
                continue
            line = self._axis.bar(life)
            lines.append(f"{self._bounds(life):<{self._left}}{line}  {_lived(life)}")
        return lines

    def _head(self, moment: Moment) -> str:
        time = ""
        if moment.time_us is not None:
            time = f"  {self._clock.at(moment.time_us)}"
        elif moment.fate:
            time = f"  {moment.fate.replace('_', ' ')}"
        return f"{moment.step:>3} {moment.what}{time}"

    def _tail(self, moment: Moment) -> str:
        own = "" if moment.own_us is None else f"own {self._clock.at(moment.own_us)}, "
        return f"{own}combined {self._clock.at(moment.combined_us)}"

    def _bounds(self, life: WindowLife) -> str:
        return f"    {self._clock.bounds(life.start_us, life.end_us)}"

    def _results(self, moment: Moment) -> list[str]:
        lines = []
        for bounds, row in moment.results[:_MOST_RESULTS]:
            where = "" if bounds is None else f"{self._clock.bounds(*bounds)} "
            values = " ".join(f"{name}={_value(value)}" for name, value in row.items())
            lines.append(f"      => {where}{values}")
        rest = len(moment.results) - _MOST_RESULTS
        return [*lines, f"      => {counted(rest, 'more result')}"] if rest > 0 else lines


def _lived(life: WindowLife) -> str:
    fired = [f"fired {step}{_timing(timing)}" for step, timing in life.fired[:_MOST_FIRINGS]]
    rest = len(life.fired) - _MOST_FIRINGS
    more = [f"fired {counted(rest, 'time')} more"] if rest > 0 else []
    end = "still open" if life.expired is None else f"gone {life.expired}"
    return ", ".join([f"opened {life.opened}", *fired, *more, end])


def _timing(timing: str) -> str:
    return "" if timing == "on_time" else f" ({timing.replace('_', ' ')})"


def _value(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if text.isprintable() else repr(value)


def _kept(items: Sequence[T], most: int) -> list[T | None]:
    """Return the first and the last, and None for what is left out between."""
    if len(items) <= most:
        return list(items)
    half = most // 2
    return [*items[: most - half], None, *items[len(items) - half :]]


def _left_out(items: Sequence[T], kept: Sequence[T | None], noun: str) -> str:
    return f"    ... {counted(len(items) - (len(kept) - 1), noun)} left out ..."


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 3]}..."


# Times


def _times(story: Told) -> list[int]:
    """Return all instants that the picture shows, infinities left out."""
    found: list[int | None] = []
    for moment in story.moments:
        found += [moment.time_us, moment.own_us, moment.combined_us]
    return sorted({*_bounds(story), *(t for t in found if t is not None and _is_finite(t))})


def _bounds(story: Told) -> list[int]:
    """Return the starts and ends of windows."""
    return sorted({t for bounds in story.windows for t in bounds if _is_finite(t)})


def _is_finite(time_us: int) -> bool:
    return MINUS_INFINITY < time_us < PLUS_INFINITY


class _Clock:
    """Writes instants as short as all allow: '1m30s' since a midnight, '12:00:00', or whole."""

    def __init__(self, times_us: Sequence[int]) -> None:
        days = {iso(t).partition("T")[0] for t in times_us}
        self._day = f"{days.pop()}T" if len(days) == 1 else ""
        last = max(times_us, default=0)
        midnights = [0] if self._day else [0, last - last % _DAY_US]
        near = [m for m in midnights if all(abs(t - m) <= _DAY_US for t in times_us)]
        self._since_us = near[0] if near else None

    @property
    def header(self) -> str:
        if self._since_us is not None:
            return f"times since {iso(self._since_us)}"
        return f"times of {self._day[:-1]}, UTC" if self._day else "times in UTC"

    def at(self, time_us: int) -> str:
        if not _is_finite(time_us):
            return iso(time_us)
        if self._since_us is not None:
            return format_us(time_us - self._since_us)
        return iso(time_us).removeprefix(self._day).removesuffix("Z")

    def bounds(self, start_us: int, end_us: int) -> str:
        return f"[{self.at(start_us)}, {self.at(end_us)})"


class _Axis:
    """Where instants stand in a line.

    To scale, unless most of them would stand in one place: then in their order.
    """

    def __init__(self, times_us: Sequence[int], ticks_us: Sequence[int], columns: int) -> None:
        self._columns, times = columns, list(times_us)
        self._ticks, last = ticks_us or times, columns - 1
        low, span = (times[0], times[-1] - times[0]) if times else (0, 0)
        scaled = {t: (t - low) * last // span if span else 0 for t in times}
        ranked = {t: i * last // max(1, len(times) - 1) for i, t in enumerate(times)}
        self._is_to_scale = 2 * len(set(scaled.values())) >= len(set(ranked.values()))
        self._place = scaled if self._is_to_scale else ranked

    def moment(self, moment: Moment) -> str:
        line = ["."] * self._columns
        if moment.own_us is not None and _is_finite(moment.own_us):
            line[self._column(moment.own_us)] = ")"
        if _is_finite(moment.combined_us):
            line[self._column(moment.combined_us)] = "|"
        if moment.time_us is not None and moment.fate:
            line[self._column(moment.time_us)] = _MARKS[moment.fate]
        return "".join(line)

    def bar(self, life: WindowLife) -> str:
        first, last = self._column(life.start_us), self._column(life.end_us)
        line = [" "] * self._columns
        line[first : last + 1] = "=" * (last + 1 - first)
        line[first], line[last] = "[", ")"
        return "".join(line)

    def ruler(self, clock: _Clock) -> list[str]:
        """Return a line of times and one of their places."""
        if not self._ticks:
            return []
        texts, marks, free = [" "] * self._columns, [" "] * self._columns, 0
        for time_us in self._ticks:
            text, column = clock.at(time_us), self._place[time_us]
            # Near the right end a time stands to the left of its place.
            at = min(column, max(0, self._columns - len(text)))
            if at < free or at + len(text) > self._columns:
                continue
            texts[at : at + len(text)] = text
            marks[column] = "'"
            free = at + len(text) + 2
        order = [] if self._is_to_scale else ["in order, not to scale"]
        return [*order, "".join(texts), "".join(marks)] if free else order

    def _column(self, time_us: int) -> int:
        if time_us == MINUS_INFINITY:
            return 0
        return self._columns - 1 if time_us == PLUS_INFINITY else self._place[time_us]
