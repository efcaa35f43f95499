"""The pytest plugin: fixtures, marker, transcripts, what a failure shows; and how light it is.

Runs are processes of their own: what numba loads must not be unloaded, as a run within this would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import eventtime as et

TESTS = r"""
import pyarrow as pa
import pytest
import eventtime as et

SCHEMA = pa.schema({"t": pa.timestamp("s", "UTC")})
STREAM = et.from_arrow(SCHEMA.empty_table(), time="t").watermark(et.ascending())
COUNTS = STREAM.window(et.tumbling("1m")).aggregate(n=et.count())

def test_fixtures(harness, manual_clock, checkpoints):
    counts = harness(COUNTS, ["a", "b"])
    counts.push("a", [{"t": 0}])
    assert counts.held_by == "b"
    assert counts.shards == 1
    manual_clock.advance(5)
    engine = et.Engine(COUNTS, ["a"], clock=manual_clock, checkpoint=checkpoints)
    assert engine.checkpoint() == 1

@pytest.mark.eventtime(shards=3, start="1970-01-01T00:00:05")
def test_marker(harness):
    assert harness(COUNTS).shards == 3
    assert harness(COUNTS, shards=2).shards == 2
    assert harness(COUNTS).clock.now_us() == 5_000_000

@pytest.mark.eventtime(shards=2, start=7)
class TestMarked:
    @pytest.mark.eventtime(start=5)
    def test_inner_marker(self, harness):
        made = harness(COUNTS)
        assert (made.shards, made.clock.now_us()) == (2, 5)

def test_made_first(harness):
    with pytest.raises(AttributeError, match=r"then driven\.push"):
        harness.push

def test_wrong(harness):
    counts = harness(COUNTS)
    counts.push("a", [{"t": 0}, {"t": 60}])
    assert counts.results().column("n").to_pylist() == [2]
"""
STORY = """\
transcript: 1
title: A story
pipeline:
  columns: {t: time}
  watermark: ascending
  window: {tumbling: 1m}
  aggregate: {n: count}
steps:
  - input: [{t: 00:00:00}, {t: 00:01:00}]
  - expect: {results: [{n: 1}]}
"""
OPTIONS = ("-v", "--strict-markers", "-W", "error", "-p", "no:cacheprovider")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a project that names the plugin, as one does where nothing is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest('pytest_plugins = ["pytest_eventtime"]')
    return pytester


def test_a_project_that_uses_all_of_it(project: pytest.Pytester) -> None:
    project.makepyfile(TESTS)
    project.makefile(".transcript.yaml", good=STORY, wrong=STORY.replace("n: 1}", "n: 2}"))
    project.makefile(".transcript.yml", other=STORY)
    project.makefile(".transcript.yaml.bak", older=STORY)
    result = project.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines(
        [
            "good.transcript.yaml::A story PASSED*",
            "other.transcript.yml::A story PASSED*",
            "*::test_fixtures PASSED*",
            "*::test_marker PASSED*",
            "*::test_wrong FAILED*",
            "wrong.transcript.yaml::A story FAILED*",
            "*eventtime: harness 1*",
            "  1 push a  0s*",
            "      => [[]0s, 1m) n=1*",
            "why so: .explain_row('a', 0) *",
            "*wrong.transcript.yaml:10: results differ",
            "number 1: n is 1, and 2 is expected",
        ]
    )
    assert "running.py" not in result.stdout.str()


def test_a_marker_that_says_nothing_is_refused(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.eventtime(3)
        def test_in_order(harness):
            pass

        @pytest.mark.eventtime(shard=3)
        def test_by_name(harness):
            pass
        """
    )
    result = project.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*write it as eventtime(start=0, shards=1, memory=None)"])


def test_transcripts_that_cannot_be_read_are_errors(project: pytest.Pytester) -> None:
    project.makefile(".transcript.yaml", bad=STORY.replace("steps", "stepps"))
    result = project.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["transcript has no 'stepps'", "*bad.transcript.yaml:8"])


def test_without_pyyaml_it_is_said_what_to_install(project: pytest.Pytester) -> None:
    project.makefile(".transcript.yaml", good=STORY)
    project.makepyfile(yaml="raise ImportError('it is not there')")
    result = project.runpytest_subprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*PyYAML is not installed*", "*pip install 'eventtime[[]testing]'*"]
    )


def test_the_marker_is_documented(pytestconfig: pytest.Config) -> None:
    markers: list[str] = pytestconfig.getini("markers")
    assert sum(marker.startswith("eventtime(") for marker in markers) == 1


def test_the_fixtures_serve_these_tests_too(
    manual_clock: et.ManualClock, checkpoints: et.Checkpoints, tmp_path: Path
) -> None:
    assert manual_clock.now_us() == 0
    assert str(tmp_path) in checkpoints.describe()


def test_a_project_without_eventtime_pays_nothing() -> None:
    """Pytest loads the plugin wherever the library is installed."""
    code = "import sys, pytest_eventtime; print('\\n'.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not {"eventtime", "numba", "pyarrow", "numpy", "yaml", "hypothesis"} & loaded
