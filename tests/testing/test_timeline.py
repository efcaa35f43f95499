"""The time line, to the letter: what a person is to read of a few small stories."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.testing import (
    AdvanceClock,
    Checkpoint,
    Crash,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Step,
    Streams,
    timeline,
)

if TYPE_CHECKING:
    from eventtime.stream import Stream

SCHEMA = pa.schema({"t": pa.timestamp("s", "UTC"), "x": pa.int64()})
DAY = 19_783 * 86_400
"""2024-03-01."""


def marked(**watermark: Any) -> Stream:
    stream = et.from_arrow(SCHEMA.empty_table(), time="t")
    return stream.watermark(et.bounded_disorder("10s"), **watermark)


def counts(stream: Stream, **window: Any) -> Stream:
    return stream.window(et.tumbling("1m"), **window).aggregate(n=et.count())


def rows(*seconds: int | None) -> list[dict[str, Any]]:
    return [{"t": second, "x": second} for second in seconds]


def drawn(stream: Stream, *steps: Step, partitions: tuple[str, ...] = ("a",), **how: Any) -> str:
    return timeline(stream, Streams(partitions, steps), **{"width": 90, **how})


def told(text: str) -> str:
    return dedent(text).strip("\n")


def story_idle() -> str:
    pipeline = counts(marked(idle_after="5s"), allowed_lateness="30s")
    silent = (PollEmpty("b"), AdvanceClock(6_000_000), PollEmpty("b"))
    late = Push("a", rows(20, 110, 30, None))
    ends = (Heartbeat("a", 130_000_000), Finish("b"), Finish("a"))
    two = ("a", "b")
    return drawn(pipeline, Push("a", rows(5, 75)), *silent, late, Restart(), *ends, partitions=two)


def story_crash() -> str:
    first, second = Push("a", rows(5, 75)), Push("a", rows(20, 150))
    lost = (Checkpoint(), AdvanceClock(-5_000_000), second, Crash(), Finish("a"))
    return drawn(counts(marked(), allowed_lateness="30s"), first, *lost)


def story_of_a_day() -> str:
    return drawn(counts(marked()), Push("a", rows(DAY + 60, DAY + 110, DAY + 200)))


def story_of_midnight() -> str:
    return drawn(counts(marked()), Push("a", rows(DAY + 5, DAY + 110)))


def story_long() -> str:
    steps = [Push("a", rows(second)) for second in range(0, 600, 10)]
    return drawn(counts(marked()), *steps, height=6)


def story_far() -> str:
    return drawn(counts(marked()), Push("a", rows(0, 1, 2, 3, 70, 10**12)))


def story_error() -> str:
    return drawn(counts(marked()), Push("a", rows(0)), Push("b", rows(1)), Push("a", rows(2)))


def story_filtered() -> str:
    stream = marked().filter(pc.field("x") > 0)
    windows = stream.window(et.sliding("1m", slide="30s"))
    return drawn(windows.aggregate(n=et.count()).select("n"), Push("a", rows(0, 1)), Finish("a"))


def test_lateness_silence_and_restarts_can_be_read() -> None:
    assert story_idle() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 1970-01-01T00:00:00Z
                                0s        1m        2m
                                '         '         '
          1 push a  5s          )o.....................  own -5s, combined -inf
          1 push a  1m15s       ...........).o.........  own 1m5s, combined -inf
          2 poll b, empty       .......................  own -inf, combined -inf
          3 clock +6s           .......................  combined -inf
          4 poll b, empty       ...........|...........  own -inf, combined 1m5s
              => [0s, 1m) n=1 version=1 timing=on_time is_final=False
          5 push a  20s         ....o......|...........  own 1m5s, combined 1m5s
          5 push a  1m50s       .................|o....  own 1m40s, combined 1m40s
              => [0s, 1m) n=2 version=2 timing=late is_final=True
          5 push a  30s         .....L...........|.....  own 1m40s, combined 1m40s
          5 push a  null time   .................|.....  own 1m40s, combined 1m40s
          6 restart             .................|.....  combined 1m40s
          7 heartbeat a  2m10s  ......................|  own 2m10s, combined 2m10s
              => [1m, 2m) n=2 version=1 timing=on_time is_final=False
          8 finish b            ......................|  own -inf, combined 2m10s
          9 finish a            ......................)  own 2m10s, combined +inf
        windows
            [0s, 1m)            [=========)              opened 1, fired 4, fired 5 (late), gone 5
            [1m, 2m)                      [=========)    opened 1, fired 7, gone 9
        """
    )


def test_work_that_is_lost_is_told_once() -> None:
    """S28; and a clock that is stepped back."""
    assert story_crash() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 1970-01-01T00:00:00Z
                           0s       1m       2m      3m
                           '        '        '        '
          1 push a  5s     |o..........................  own -5s, combined -5s
          1 push a  1m15s  ..........|o................  own 1m5s, combined 1m5s
              => [0s, 1m) n=1 version=1 timing=on_time is_final=False
          2 checkpoint     ..........|.................  combined 1m5s
          3 clock -5s      ..........|.................  combined 1m5s
          4 push a  20s    ...o......|.................  own 1m5s, combined 1m5s
          4 push a  2m30s  .....................|o.....  own 2m20s, combined 2m20s
              => [0s, 1m) n=2 version=2 timing=late is_final=True
              => [1m, 2m) n=1 version=1 timing=on_time is_final=False
          5 crash          .....................|......  combined 2m20s
          6 finish a       .....................)......  own 2m20s, combined +inf
              => [2m, 3m) n=1 version=1 timing=on_time is_final=True
        windows
            [0s, 1m)       [========)                    opened 1, fired 1, fired 4 (late), gone 4
            [1m, 2m)                [========)           opened 1, fired 4, gone 6
            [2m, 3m)                         [========)  opened 4, fired 6, gone 6
        """
    )


def test_what_a_firing_takes_back_is_no_firing() -> None:
    pipeline = counts(marked(), allowed_lateness="30s", mode="retracting")
    picture = drawn(pipeline, Push("a", rows(5, 75)), Push("a", rows(10)), Push("a", rows(120)))
    assert picture.count("diff=") == 3
    assert "opened 1, fired 1, fired 3 (late), gone 3" in picture


def test_a_day_is_named_once() -> None:
    assert story_of_a_day() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times of 2024-03-01, UTC
                                   00:01:00  00:02:00    00:04:00
                                   '         '                  '
          1 push a  00:01:00      |o.............................  own 00:00:50, combined 00:00:50
          1 push a  00:01:50      .......|.o.....................  own 00:01:40, combined 00:01:40
          1 push a  00:03:20      ......................|o.......  own 00:03:10, combined 00:03:10
              => [00:01:00, 00:02:00) n=2 version=1 timing=on_time is_final=True
        windows
            [00:01:00, 00:02:00)   [=========)                     opened 1, fired 1, gone 1
            [00:03:00, 00:04:00)                      [=========)  opened 1, still open
        """
    )


def test_around_midnight_times_are_counted_from_it() -> None:
    assert story_of_midnight() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 2024-03-01T00:00:00Z
                            0s                   1m                  2m
                            '                    '                    '
          1 push a  5s     |..o........................................  own -5s, combined -5s
          1 push a  1m50s  ....................................|..o....  own 1m40s, combined 1m40s
              => [0s, 1m) n=1 version=1 timing=on_time is_final=True
        windows
            [0s, 1m)        [====================)                       opened 1, fired 1, gone 1
            [1m, 2m)                             [====================)  opened 1, still open
        """
    )


def test_the_middle_of_much_is_left_out() -> None:
    assert story_long() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 1970-01-01T00:00:00Z
                           0s  1m  2m  3m  4m  5m  6m  7m  8m  9m
                           '   '   '   '   '   '   '   '   '   '
          1 push a  0s     o........................................  own -10s, combined -10s
          2 push a  10s    |o.......................................  own 0s, combined 0s
          3 push a  20s    .o.......................................  own 10s, combined 10s
            ... 54 moments left out ...
         58 push a  9m30s  .....................................|o..  own 9m20s, combined 9m20s
         59 push a  9m40s  ......................................o..  own 9m30s, combined 9m30s
         60 push a  9m50s  ......................................|o.  own 9m40s, combined 9m40s
        windows
            [0s, 1m)       [===)                                      opened 1, fired 8, gone 8
            [1m, 2m)           [===)                                  opened 7, fired 14, gone 14
            ... 6 windows left out ...
            [8m, 9m)                                       [===)      opened 49, fired 56, gone 56
            [9m, 10m)                                          [===)  opened 55, still open
        """
    )


def test_times_far_apart_stand_in_their_order() -> None:
    assert story_far() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times in UTC
                                                          in order, not to scale
          1 push a  1970-01-01T00:00:00                   |...o...........  own 1969-12-31T23:5...
          1 push a  1970-01-01T00:00:01                   .|...o..........  own 1969-12-31T23:5...
          1 push a  1970-01-01T00:00:02                   ..|...o.........  own 1969-12-31T23:5...
          1 push a  1970-01-01T00:00:03                   ...|...o........  own 1969-12-31T23:5...
          1 push a  1970-01-01T00:01:10                   ........|o......  own 1970-01-01T00:0...
              => [1970-01-01T00:00:00, 1970-01-01T00:01:00) n=4 version=1 timing=on_time is_fin...
          1 push a  33658-09-27T01:46:40                  ............|o..  own 33658-09-27T01:...
              => [1970-01-01T00:01:00, 1970-01-01T00:02:00) n=1 version=1 timing=on_time is_fin...
        windows
            [1970-01-01T00:00:00, 1970-01-01T00:01:00)        [===)         opened 1, fired 1, ...
            [1970-01-01T00:01:00, 1970-01-01T00:02:00)            [=)       opened 1, fired 1, ...
            [33658-09-27T01:46:00, 33658-09-27T01:47:00)             [===)  opened 1, still open
        """
    )


def test_an_error_ends_the_picture_and_is_told() -> None:
    assert story_error() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 1970-01-01T00:00:00Z
                              0s                                       1m
                              '                                         '
          1 push a  0s  |.....o..........................................  own -10s, combined -10s
        stopped by an error in step 2: PlanError: there is no partition 'b'
          at:  engine
          fix: partitions are a; see add_partition
        windows
            [0s, 1m)          [=========================================)  opened 1, still open
        """
    )


def test_results_without_bounds_are_shown_as_they_are() -> None:
    assert story_filtered() == told(
        """
        o row, L late, Q quarantined, x filtered; ) own watermark, | combined watermark
        times since 1970-01-01T00:00:00Z
                         -30s           0s              30s            1m
                         '              '               '               '
          1 push a  0s   ..........|....x................................  own -10s, combined -10s
          1 push a  1s   ..........|.....o...............................  own -9s, combined -9s
          2 finish a     ..........).....................................  own -9s, combined +inf
              => n=1
              => n=1
        windows
            [-30s, 30s)  [==============================)                  opened 1, gone 2
            [0s, 1m)                    [===============================)  opened 1, gone 2
        """
    )


@pytest.mark.parametrize("how", [{"width": 59}, {"width": "wide"}, {"height": 1}, {"height": True}])
def test_sizes_that_are_none_are_refused(how: dict[str, Any]) -> None:
    with pytest.raises(et.PlanError, match="whole number"):
        drawn(counts(marked()), **how)


def test_a_story_of_nothing_is_short() -> None:
    assert len(drawn(counts(marked())).splitlines()) == 2


@pytest.mark.parametrize("width", [60, 75, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    steps = [Push("a", rows(second, DAY + second)) for second in range(0, 600, 10)]
    lines = drawn(counts(marked()), *steps, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(line.isascii() for line in lines)


def test_of_very_many_rows_each_push_is_one_line() -> None:
    steps = [Push("a", rows(*range(first, first + 3_000))) for first in (0, 3_000)]
    text = drawn(counts(marked()), *steps)
    assert "  1 push a, 3,000 rows  " in text
    assert "      => 46 more results" in text
    assert "    [0s, 1m) " in text


class Twice(et.ProcessFunction):
    def on_row(self, context: Any, row: Any) -> None:
        context.emit(x=2 * row["x"])


def test_a_process_function_has_results_and_no_windows() -> None:
    output = pa.schema({"x": pa.int64()})
    text = drawn(marked().key_by("x").process(Twice(), output=output), Push("a", rows(5, 7)))
    assert "      => x=10\n  1 push a  7s" in text
    assert "windows" not in text


def test_windows_of_windows_show_their_results() -> None:
    hours = counts(marked()).window(et.tumbling("2m")).aggregate(n=et.sum("n"))
    text = drawn(hours, Push("a", rows(5, 70, 140)), Finish("a"))
    assert "      => window_start=1970-01-01T00:00:00Z window_end=1970-01-01T00:02:00Z n=" in text


def test_values_that_python_has_not_or_that_break_lines_are_shown() -> None:
    kinds = {"t": pa.timestamp("us"), "s": pa.string(), "d": pa.date32(), "f": pa.duration("us")}
    marked = et.from_arrow(pa.schema(kinds).empty_table(), time="t").watermark(et.ascending())
    last = {name: et.last(name) for name in ("t", "s", "d", "f")}
    row = {"t": -(2**61), "s": "a\nb", "d": 2**31 - 1, "f": -5}
    stream = marked.window(et.global_window()).aggregate(**last)
    text = drawn(stream, Push("a", [row]), Finish("a"), width=200)
    assert "=> [-inf, +inf) t=-71100-09-29T04:59:46.306048Z s='a\\nb' d=" in text
    assert " f=-5us " in text
    assert "stopped" not in text


def test_the_name_of_a_partition_is_in_one_line() -> None:
    broken = "a\nb"
    steps = (Push(broken, [{"t": 0}]), PollEmpty(broken), Finish(broken))
    lines = timeline(counts(marked()), Streams((broken,), steps), width=300).splitlines()
    for what in ("push", "poll", "finish"):
        assert sum(f"{what} {broken!r}" in line for line in lines) == 1
