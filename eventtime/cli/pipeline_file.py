"""A Python file of the user, imported, and what it declares: a stream with windows, and sinks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eventtime.errors import EventTimeError, PlanError, SourceError, UserCodeError
from eventtime.plan import Aggregated, walk
from eventtime.stream import KeyedStream, Stream, WindowedStream

if TYPE_CHECKING:
    from types import ModuleType

    from eventtime.sinks.base import AnySink

__all__ = ("Declared", "declared_in_file", "stream_in_file")

MODULE = "__eventtime_pipeline__"
"""Name under which the file is imported, so that it does not take itself for a program."""


class Declared(NamedTuple):
    """What a file declares.

    Args:
        stream: to run.
        sink: of its results, the variable `sink`; None: there is none.
        sides: of its side outputs by tag, the variable `sides`.
    """

    stream: Stream
    sink: str | Path | AnySink | None
    sides: Mapping[str, str | Path | AnySink]


def stream_in_file(path: str, name: str | None = None) -> Stream:
    """Import a file and find its pipeline, as `declared_in_file` does."""
    return declared_in_file(path, name).stream


def declared_in_file(path: str, name: str | None = None) -> Declared:
    """Import a file and find its pipeline, and where its rows go.

    Args:
        path: of the file; its folder is where it may import from.
        name: of the variable; None: there is only one stream with windows.

    Raises:
        SourceError: there is no such file. UserCodeError: it raises.
        PlanError: it declares no such stream, or several, or `sides` that are no mapping.
    """
    names = vars(_imported(Path(path)))
    stream = _only(names, path) if name is None else _named(names, name, path)
    sides = names.get("sides", {})
    if not isinstance(sides, Mapping):
        msg = f"sides is a {type(sides).__name__}, not sinks by tag"
        raise PlanError(msg, place=path, remedy="such as sides = {'late': 'late.csv'}")
    return Declared(stream, names.get("sink"), sides)


def _only(names: Mapping[str, object], path: str) -> Stream:
    streams: dict[int, str] = {}
    for variable, value in names.items():
        if isinstance(value, Stream) and _has_windows(value):
            streams.setdefault(id(value), variable)
    found = list(streams.values())
    if len(found) == 1:
        stream = names[found[0]]
        assert isinstance(stream, Stream)
        return stream
    if found:
        msg = f"the file declares {len(found)} streams with windows: {', '.join(found)}"
        raise PlanError(msg, place=path, remedy=f"choose one, such as --name {found[-1]}")
    unfinished = [_unfinished(n, v) for n, v in names.items() if _unfinished(n, v)]
    msg = "the file declares no stream with windows at its top level"
    remedy = unfinished[-1] if unfinished else (
        "assign one to a variable, such as hourly = et.read_parquet(…).watermark(…)"
        ".window(…).aggregate(…)"
    )  # fmt: skip
    raise PlanError(msg, place=path, remedy=remedy)


def _named(names: Mapping[str, object], name: str, path: str) -> Stream:
    stream = names.get(name)
    if isinstance(stream, Stream) and _has_windows(stream):
        return stream
    if name not in names:
        have = [n for n, v in names.items() if isinstance(v, Stream) and _has_windows(v)]
        msg = f"the file has no variable {name!r}"
        remedy = f"streams with windows are {', '.join(have)}" if have else "it declares no stream"
        raise PlanError(msg, place=path, remedy=remedy)
    msg = f"{name!r} is a {type(stream).__name__}, not a stream with windows"
    remedy = _unfinished(name, stream) or "name a stream with windows"
    raise PlanError(msg, place=path, remedy=remedy)


def _has_windows(stream: Stream) -> bool:
    return any(isinstance(node, Aggregated) for node in walk(stream.node))


def _unfinished(name: str, value: object) -> str:
    if isinstance(value, WindowedStream):
        return f"add .aggregate(…) to {name!r}"
    if isinstance(value, KeyedStream):
        return f"add .window(…).aggregate(…) to {name!r}"
    if isinstance(value, Stream):
        return f"add .watermark(…).window(…).aggregate(…) to {name!r}"
    return ""


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        msg = f"there is no file {str(path)!r}"
        raise SourceError(msg, place="FILE.py", remedy="check the path and the working folder")
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        msg = f"{str(path)!r} is no Python file"
        raise PlanError(msg, place="FILE.py", remedy="name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module  # so that its classes find their module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except EventTimeError:
        raise
    except (Exception, SystemExit) as error:
        msg = f"the file raised {type(error).__name__}: {error}"
        place = f"{path}, line {_line(error, path)}"
        remedy = "run it with python, or again with --traceback"
        raise UserCodeError(msg, place=place, remedy=remedy) from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """Find the last line of the file in the traceback; a syntax error knows its own."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    line, frame = 1, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(path):
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
