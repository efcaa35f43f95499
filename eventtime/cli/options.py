"""The options that declare a pipeline, and the stream that they declare."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.aggregates import parse_aggregates
from eventtime.cli.inputs import FORMATS, stream_of_files
from eventtime.cli.kafka_input import KAFKA_FORMATS, KAFKA_OPTIONS
from eventtime.cli.surviving import CHECKPOINT_OPTIONS
from eventtime.cli.watching import WATCH_OPTIONS
from eventtime.duration import parse_us
from eventtime.errors import PlanError
from eventtime.plan import DROP
from eventtime.watermark import ascending, bounded_disorder, percentile, punctuated
from eventtime.windows.assigner import global_window, sliding, tumbling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.stream import Stream
    from eventtime.watermark import WatermarkGenerator
    from eventtime.windows.assigner import GridAssigner

__all__ = (
    "declared_stream",
    "follow_options",
    "input_options",
    "live_options",
    "pipeline_options",
    "run_options",
    "tail_options",
    "watch_options",
)

Command = Any


def _input(formats: Sequence[str]) -> tuple[Callable[[Command], Command], ...]:
    return (
        click.option("--time", metavar="COLUMN", help="The event-time column."),
        click.option(
            "--time-unit",
            type=click.Choice(["s", "ms", "us", "ns"]),
            help="Unit of a time column that holds integers.",
        ),
        click.option(
            "--partition-by", default="file", show_default=True, metavar="file|folder|column:NAME",
            help="What a partition is; each has its own watermark.",
        ),
        click.option(
            "--format", "file_format", type=click.Choice(formats),
            help="Format of the input, where the suffix does not say.",
        ),
        click.option(
            "--on-malformed", type=click.Choice(["error", "quarantine"]),
            help="Rows that do not parse: stop (default of files), or set aside (default of "
            "others).",
        ),
        click.option(
            "--type", "types", multiple=True, metavar="NAME=TYPE",
            help="Type of a column of CSV or JSON lines, such as 'departed=timestamp[us]' or "
            "key=string; repeatable. Others are inferred.",
        ),
    )  # fmt: skip


def _out(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--out", metavar="PATH",
        help=f"Write results here (.parquet .csv .jsonl .arrow); default: {default}.",
    )  # fmt: skip


_PIPELINE: Final[tuple[Callable[[Command], Command], ...]] = (
    click.option(
        "--key", "keys", multiple=True, metavar="COLUMN", help="Group by this column; repeatable."
    ),
    click.option("--window", metavar="SIZE", help="Length of a window, such as 1h or 15m."),
    click.option("--slide", metavar="STEP", help="Distance between window starts; default: SIZE."),
    click.option("--offset", metavar="SHIFT", help="Shift of the windows' grid, such as 30m."),
    click.option(
        "--global", "is_global", is_flag=True, help="One window of all time, instead of --window."
    ),
    click.option(
        "--agg", "aggregates", multiple=True, metavar="'FUNCTION(COLUMN) as NAME'",
        help="What to compute, such as 'count()' or 'mean(dep_delay) as delay'; repeatable.",
    ),
    click.option(
        "--max-disorder", metavar="BOUND",
        help="Watermark: rows come at most this much behind the latest one.",
    ),
    click.option("--ascending", is_flag=True, help="Watermark: times never descend."),
    click.option(
        "--percentile", type=float, metavar="SHARE",
        help="Watermark: learns the bound that keeps this share of rows on time, such as 0.99.",
    ),
    click.option("--punctuated", metavar="COLUMN", help="Watermark: the values of a column."),
    click.option(
        "--allowed-lateness", default="0s", show_default=True, metavar="SPAN",
        help="How long after its end a window still takes rows and is corrected.",
    ),
    click.option(
        "--mode", type=click.Choice(["accumulating", "discarding", "retracting"]),
        default="accumulating", show_default=True, help="What a correction says; see above.",
    ),
    click.option(
        "--max-future", metavar="SPAN",
        help="Set rows aside that are further ahead of the rows around them than this.",
    ),
)  # fmt: skip
_RUN: Final[tuple[Callable[[Command], Command], ...]] = (
    click.option(
        "--late", metavar="PATH",
        help="Write rows that missed a window here; in a chain of windows, what missed a later one "
        "goes beside it, such as late-late_2.csv.",
    ),
    click.option(
        "--quarantine", metavar="PATH",
        help="Write rows here that are set aside: without a time, too far ahead, malformed.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option(
        "--shards", type=click.IntRange(min=1), default=1, show_default=True,
        help="Threads to work with; the results are the same for any number.",
    ),
    click.option(
        "--memory", metavar="SIZE",
        help="How much of the state may be in memory, such as 512MB; the rest goes to "
        "scratch files.",
    ),
    click.option(
        "--backend", type=click.Choice(["files", "rocksdb"]),
        help="What takes the state above --memory; default: files.",
    ),
    click.option(
        "--scratch", metavar="FOLDER",
        help="Where it does; default: where temporary files go.",
    ),
)  # fmt: skip
_ROWS: Final = click.option(
    "--rows", type=click.IntRange(min=0), default=10, show_default=True,
    help="Rows to print when there is no --out.",
)  # fmt: skip
_LIVE: Final[tuple[Callable[[Command], Command], ...]] = (
    click.option(
        "--idle-after", metavar="SPAN",
        help="A partition that had nothing for so long holds nobody back; default: it does.",
    ),
    click.option(
        "--max-ahead", metavar="SPAN",
        help="A partition further ahead of the slowest one waits in its source.",
    ),
)  # fmt: skip


def _adding(options: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


input_options = _adding(_input(FORMATS))
pipeline_options = _adding((*_input(FORMATS), *_PIPELINE))
tail_options = _adding((*_input((*FORMATS, *KAFKA_FORMATS)), *_PIPELINE, *KAFKA_OPTIONS))
run_options = _adding((_out("print the first rows"), *_RUN, _ROWS, *CHECKPOINT_OPTIONS))
follow_options = _adding((_out("print them as they come"), *_RUN, *CHECKPOINT_OPTIONS))
live_options = _adding((*_LIVE, *WATCH_OPTIONS))
watch_options = _adding(WATCH_OPTIONS)


def declared_stream(
    files: tuple[str, ...],
    given: Mapping[str, Any],
    *,
    keeps_late: bool,
    read: Callable[[], Stream] | None = None,
) -> Stream:
    """Build the stream that the options declare.

    Args:
        files: input.
        given: the values of `pipeline_options` by name; for live runs, those of `live_options` too.
        keeps_late: whether late rows go somewhere; if not they are only counted, so that no column
            has to be read for them.
        read: makes the stream of the input; None: files, read to their ends.

    Raises:
        PlanError: options are missing, contradict each other, or cannot be read.
    """
    if not given["time"]:
        msg = "no event-time column is given"
        raise PlanError(msg, place="--time", remedy="name it, such as --time departed")
    aggregates = parse_aggregates(given["aggregates"])
    if not aggregates:
        msg = "nothing to compute"
        raise PlanError(msg, place="--agg", remedy="add --agg 'count()', or another aggregate")
    windows = _windows(given)
    generator = _generator(files if read is None else (), given)
    for option in ("allowed_lateness", "max_future", "idle_after", "max_ahead"):
        if given.get(option) is not None:
            parse_us(given[option], name=_flag(option))
    stream = (read or (lambda: _files_stream(files, given)))().watermark(
        generator,
        max_future=given["max_future"],
        idle_after=given.get("idle_after"),
        max_ahead=given.get("max_ahead"),
    )
    keyed = stream.key_by(*given["keys"]) if given["keys"] else stream
    return keyed.window(
        windows,
        allowed_lateness=given["allowed_lateness"],
        mode=given["mode"],
        late=None if keeps_late else DROP,
    ).aggregate(**aggregates)


def _files_stream(files: tuple[str, ...], given: Mapping[str, Any]) -> Stream:
    return stream_of_files(
        files,
        time=given["time"],
        time_unit=given["time_unit"],
        partition_by=given["partition_by"],
        file_format=given["file_format"],
        on_malformed=given["on_malformed"],
        types=given["types"],
        follow=given.get("follow", False),
    )


def _windows(given: Mapping[str, Any]) -> GridAssigner:
    window, slide, offset = given["window"], given["slide"], given["offset"]
    if given["is_global"]:
        if window or slide or offset:
            msg = "--global is one window of all time; it has no size, slide or offset"
            raise PlanError(msg, place="--global", remedy="leave out one or the other")
        return global_window()
    if not window:
        msg = "no window is given"
        raise PlanError(msg, place="--window", remedy="add --window 1h, or --global for one window")
    size_us = parse_us(window, name="--window", zero=False)
    parse_us(offset or "0s", name="--offset", negative=True)
    if slide is None:
        return tumbling(window, offset=offset or "0s")
    if parse_us(slide, name="--slide", zero=False) > size_us:
        msg = f"--slide {slide} is longer than --window {window}: rows between would be in none"
        raise PlanError(msg, place="--slide", remedy=f"make it at most {window}")
    return sliding(window, slide=slide, offset=offset or "0s")


def _generator(files: tuple[str, ...], given: Mapping[str, Any]) -> WatermarkGenerator:
    names = ("max_disorder", "ascending", "percentile", "punctuated")
    chosen = [name for name in names if given[name] not in (None, False)]
    flags = ", ".join(map(_flag, names))
    if not chosen:
        msg = "no watermark is declared, so no window would know when it is complete"
        remedy = "say how late rows come at most, such as --max-disorder 10s"
        if files:
            paths = " ".join(map(shlex.quote, files))
            remedy = (
                f"run `eventtime advise {paths} --time {shlex.quote(given['time'])}` to see how "
                "disordered the rows are and which --max-disorder fits"
            )
        raise PlanError(msg, place=f"one of {flags}", remedy=remedy)
    if len(chosen) > 1:
        msg = f"{' and '.join(map(_flag, chosen))} each declare a watermark"
        raise PlanError(msg, place="watermark", remedy=f"give one of {flags}")
    match chosen[0]:
        case "max_disorder":
            parse_us(given["max_disorder"], name="--max-disorder")
            return bounded_disorder(given["max_disorder"])
        case "ascending":
            return ascending()
        case "percentile":
            return percentile(given["percentile"])
        case _:
            return punctuated(column=given["punctuated"])


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")
