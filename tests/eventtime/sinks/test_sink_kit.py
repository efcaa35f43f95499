"""Every sink with epochs passes the kit, and the kit finds what is wrong with one (S28)."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.errors import FencedError, PlanError
from eventtime.testing import SINK_CHECKS, SinkCase, check_sink
from eventtime.testing.sinks import (
    epochs_arrive,
    jobs_do_not_share_epochs,
    kills_during_commit_leave_whole_epochs,
    values_of_every_type_come_back,
)
from sink_cases import CASES, TEXT, postgres_case, s3_case
from toy_sinks.toy import FAULTS, ToySink
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from postgres_server import PostgresServer
    from s3_server import S3Server

# What the text formats write of each type is tested beside them.
TO_RUN = [
    pytest.param(CASES[name], check, id=f"{name} {check.__name__}")
    for name in CASES
    for check in SINK_CHECKS
    if not (name in TEXT and check.__name__.startswith(("values", "kills")))
]


@pytest.mark.parametrize(("case", "check"), TO_RUN)
def test_our_sinks_pass(case: SinkCase, check: Callable[..., Any], tmp_path: Path) -> None:
    check(case, tmp_path / "case")


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_postgres_passes(
    check: Callable[..., Any], tmp_path: Path, postgres: PostgresServer
) -> None:
    check(postgres_case(postgres.dsn), tmp_path / "case")


@pytest.mark.parametrize(
    "check",
    # What a format writes of each type does not depend on where it writes.
    [check for check in SINK_CHECKS if check is not values_of_every_type_come_back],
    ids=lambda check: check.__name__,
)
def test_a_folder_on_an_object_store_passes(
    check: Callable[..., Any], tmp_path: Path, s3: S3Server
) -> None:
    check(s3_case(s3), tmp_path / "case")


def toy(fault: str) -> SinkCase:
    def make(folder: Path) -> ToySink:
        return ToySink(str(folder / "x.db"), fault)

    return SinkCase(make, lambda folder: make(folder).read())


def test_a_right_sink_passes(tmp_path: Path) -> None:
    check_sink(toy(""), tmp_path)


WRITES_IN_PLACE = """

def replace(self, jobs, mine):
    text = json.dumps(jobs | {self.job: mine})
    with open(self.sink.path, "w") as file:
        file.write(text[:20])
        file.flush()
        file.write(text[20:])


JsonWriter.replace = replace
"""


def case_of_the_page(
    module: str, change: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> SinkCase:
    """Import the sink of docs/sinks.md, changed perhaps, from where other processes find it."""
    page = (ROOT / "docs" / "sinks.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    code = next(text for text in blocks if "open_" in text)
    (folder / f"{module}.py").write_text(code + change)
    monkeypatch.syspath_prepend(folder)
    sink: Any = importlib.import_module(module).JsonSink
    return SinkCase(
        lambda place: sink(place / "x.json"),
        lambda place: sink(place / "x.json").read(),
        kills=8,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_sink(toy(fault), tmp_path)


def test_an_error_of_a_sink_is_told_with_the_promise_that_it_breaks(tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as told:
        jobs_do_not_share_epochs(toy("all jobs have one marker"), tmp_path)
    assert isinstance(told.value.__cause__, FencedError)
    assert str(told.value) == (
        "jobs_do_not_share_epochs: FencedError in open_epochs and recover(1) of 'two': 1 < 5\n"
        "promised was: Two jobs that write to one output have epochs and tokens of their own."
    )


def test_an_error_behind_a_kill_is_told_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = case_of_the_page("sink_in_place", WRITES_IN_PLACE, tmp_path, monkeypatch)
    case = replace(in_place, kills=1_000)
    with pytest.raises(AssertionError) as told:
        kills_during_commit_leave_whole_epochs(case, tmp_path / "case")
    assert isinstance(told.value.__cause__, json.JSONDecodeError)
    assert re.match(
        r"kills_during_commit_leave_whole_epochs: JSONDecodeError in read, after a kill at "
        r"line \d+ of .*sink_in_place\.py \(time 1\): Expecting value: .*\n"
        r"promised was: Killed between any two lines of `commit`, the epoch is there whole or not",
        str(told.value),
    )


def test_an_assertion_of_the_sink_itself_is_told_like_any_error(tmp_path: Path) -> None:
    def read(folder: Path) -> list[dict[str, Any]]:
        assert not folder.is_dir(), "the reader's own"
        return []

    case = SinkCase(toy("").make, read)
    with pytest.raises(AssertionError, match="AssertionError in read: the reader's own"):
        epochs_arrive(case, tmp_path)


def test_what_is_made_is_a_sink(tmp_path: Path) -> None:
    nothing: Any = lambda folder: None  # noqa: E731
    with pytest.raises(AssertionError, match="make returned None, promised was a sink"):
        epochs_arrive(SinkCase(nothing, nothing), tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"make": None}, "None is not a function\n  at:  SinkCase(make=…)"),
        ({"read": []}, "[] is not a function\n  at:  SinkCase(read=…)"),
        ({"as_read": None}, "None is not a function\n  at:  SinkCase(as_read=…)"),
        ({"whole_epochs": "no"}, "'no' is neither True nor False\n  at:  SinkCase(whole_epochs=…)"),
        ({"several_jobs": 1}, "1 is neither True nor False\n  at:  SinkCase(several_jobs=…)"),
        ({"kills": 0}, "0 is not a whole number from 1 on\n  at:  SinkCase(kills=…)"),
        ({"kills": -1}, "-1 is not a whole number"),
        ({"kills": 2.5}, "2.5 is not a whole number"),
        ({"kills": None}, "None is not a whole number"),
    ],
)
def test_a_case_that_says_nothing_is_refused(given: dict[str, Any], message: str) -> None:
    functions: dict[str, Any] = {"make": print, "read": print}
    with pytest.raises(PlanError, match=re.escape(message)):
        SinkCase(**functions | given)


def test_a_sink_in_place_of_its_case_is_refused(tmp_path: Path) -> None:
    sink: Any = ToySink("x.db")
    for check in (check_sink, epochs_arrive):
        with pytest.raises(PlanError, match=r"is no SinkCase\n.*\n.*SinkCase.make, read"):
            check(sink, tmp_path)


def test_a_folder_is_a_path_or_text_and_new_each_time(tmp_path: Path) -> None:
    folder = str(tmp_path / "new")
    epochs_arrive(toy(""), folder)
    with pytest.raises(PlanError, match="is there and is no empty folder"):
        epochs_arrive(toy(""), folder)
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match="is there and is no empty folder"):
        epochs_arrive(toy(""), tmp_path / "file")
    nowhere: Any = None
    for check in (check_sink, epochs_arrive):
        with pytest.raises(PlanError, match="None is no path"):
            check(toy(""), nowhere)


def test_the_sink_of_the_page_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_sink(case_of_the_page("sink_of_the_page", "", tmp_path, monkeypatch), tmp_path / "case")


def test_a_sink_that_takes_epochs_only_takes_a_whole_run_at_its_end(tmp_path: Path) -> None:
    """Without checkpoints all rows are one epoch; a run that fails leaves none."""
    times = pa.array([0, 61, 130], pa.timestamp("s", "UTC"))
    marked = et.from_arrow(pa.table({"t": times}), time="t").watermark(et.ascending())
    counts = marked.window(et.tumbling("1m")).aggregate(n=et.count()).select("n")
    sink = ToySink(str(tmp_path / "out.db"))

    def fail(report: et.ProgressReport) -> None:
        if report.results:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        counts.run(sink, progress=fail)
    assert sink.read() == []
    counts.run(sink)
    assert [row["n"] for row in sink.read()] == [1, 1, 1]
