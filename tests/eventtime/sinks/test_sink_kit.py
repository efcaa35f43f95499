"""Every sink with epochs passes the kit, and the kit finds what is wrong with one (S28)."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.errors import FencedError, SinkError
from eventtime.testing import SINK_CHECKS, SinkCase, check_sink
from eventtime.testing.sinks import values_of_every_type_come_back
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


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, FencedError, SinkError)):
        check_sink(toy(fault), tmp_path)


def test_the_sink_of_the_page_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "sinks.md").read_text(encoding="utf-8")
    code = next(
        text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "open_" in text
    )
    (tmp_path / "sink_of_the_page.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    sink: Any = importlib.import_module("sink_of_the_page").JsonSink
    case = SinkCase(
        lambda folder: sink(folder / "x.json"),
        lambda folder: sink(folder / "x.json").read(),
        kills=8,
    )
    check_sink(case, tmp_path / "case")


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
