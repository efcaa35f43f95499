"""Transcripts: each rule has one, what is wrong is noticed, and what cannot be read is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.testing.transcripts import (
    TranscriptError,
    TranscriptFailedError,
    load,
    run_transcript,
)
from eventtime.testing.transcripts.reading import read_entries
from eventtime.testing.transcripts.script import RULES
from story_text import HEAD, SCHEMA, SEEN, STEP
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

STORIES = sorted((ROOT / "tests" / "transcripts").glob("*.transcript.yaml"))
WRONG = sorted((ROOT / "tests" / "testing" / "wrong").glob("*.yaml"))


def name(path: Path) -> str:
    return path.name.partition(".")[0]


# The rules


def test_every_rule_has_a_transcript() -> None:
    page = (ROOT / "docs" / "semantics.md").read_text("utf-8")
    rules = set(re.findall(r"^- \*\*(S\d+) ", page, flags=re.MULTILINE))
    told = {f"S{int(name(path)[1:3])}": set(load(path).rules) for path in STORIES}
    assert set(told) == rules == set(RULES)
    assert all(rule in told[rule] for rule in rules)


@pytest.mark.parametrize("how", [{"row_by_row": True}, {"restarts": True}, {"shards": 3}], ids=str)
@pytest.mark.parametrize("path", STORIES, ids=name)
def test_neither_cuts_nor_restarts_nor_shards_show(path: Path, how: dict[str, Any]) -> None:
    """S4, S24, S28; as they stand the plugin runs them."""
    run_transcript(path, **how)


# What is noticed


@pytest.mark.parametrize("path", WRONG, ids=name)
def test_what_is_wrong_is_noticed(path: Path) -> None:
    with pytest.raises(TranscriptFailedError, match=re.escape(f"{path.name}:")):
        run_transcript(path)


def test_a_failure_says_what_was_expected_and_what_came() -> None:
    path = ROOT / "tests" / "testing" / "wrong" / "results.yaml"
    with pytest.raises(TranscriptFailedError) as failed:
        run_transcript(path)
    assert str(failed.value).splitlines()[:8] == [
        f"{path}:12: results differ",
        "  (The result is another (10, and not 11))",
        "number 1: total is 10, and 11 is expected",
        "expected:",
        "  - {window: [00:00:00, 00:01:00], total: 11}",
        "came:",
        "  - {window: [00:00:00, 00:01:00], total: 10}",
        "",
    ]
    assert "  1 push a  10s" in str(failed.value)


# What is refused

ROWS = f"{HEAD}steps:\n  - input:\n      - &row {{at: 00:00:10, value: 1}}\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "the transcript is empty"),
        ("transcript: 1\ntitle: [\n", 3, "this is no YAML"),
        ("transcript: 1\ntitle: a\0b\n", 2, "character U+0000 cannot stand in it"),
        ("- a", 1, "is no transcript"),
        ("title: A story", 1, "lacks 'transcript'"),
        (HEAD.replace("transcript: 1", "transcript: 2"), 1, "version 2 of the format"),
        (HEAD.replace("A story", "a: b"), 2, "this is no YAML"),
        (f"{HEAD}title: Again", 8, "'title' is there twice"),
        (f"{HEAD}5: five", 8, "5 is no name"),
        (STEP.replace("value: 1", "value: 1,5"), 9, "a point, not a comma"),
        (HEAD, 1, "there are no steps"),
        (f"{HEAD}stepps: []", 8, "transcript has no 'stepps'"),
        (HEAD.replace("value: integer", "value: whole"), 4, "there is no type 'whole'"),
        (HEAD.replace("at: time", "at: text"), 3, "no column is of type time"),
        (HEAD.replace("  window: {tumbling: 1m}\n", ""), 3, "lacks 'window'"),
        (HEAD.replace("  window", "  windows"), 6, "pipeline has no 'windows'"),
        (f"{HEAD}steps: [{{input: {{a: []}}, crash: }}]", 8, "a step is one thing, and here are 2"),
        (f"{HEAD}steps: [{{wait: 5s}}]", 8, "there is no step 'wait'"),
        (f"{HEAD}steps: [{{clock: soon}}]", 8, "'soon' is no duration"),
        (f"{HEAD}steps: [{{watermark: {{a: soon}}}}]", 8, "'soon' is no time"),
        (f"{HEAD}steps: [{{input: [{{weight: 1}}]}}]", 8, "row has no 'weight'"),
        (f"{HEAD}partitions: [a, b]\nsteps: [{{input: []}}]", 9, "whose rows these are"),
        (f"{HEAD}steps: [{{expect: {{result: []}}}}]", 8, "expect has no 'result'"),
        (f"{HEAD}day: some day\nsteps: [crash]", 8, "'some day' is no time"),
        (f"{HEAD}rules: [S19, T9]\nsteps: [crash]", 8, "there is no rule 'T9'"),
        (f"{HEAD}partitions: [a, a]", 8, "a partition is named twice"),
        (f"{HEAD}steps:\n  - finish:", 9, "no partition is named"),
        (f"{HEAD}steps:\n  - finish: a\n  - input: [{{value: 1}}]", 10, "'a' has ended"),
        (f"{HEAD}steps:\n  - poll: b", 9, "there is no partition 'b'"),
        (f"{HEAD}steps:\n  - add: a", 9, "partition 'a' is known already"),
        (f"{HEAD}steps:\n  - crash: 5s", 9, "a crash has nothing behind it"),
        (f"{HEAD}steps:\n  - watermark: 00:01:00", 9, "'00:01:00' is no watermark"),
        (f"{HEAD}steps:\n  - idle: a", 9, "'a' is no idle"),
        (f"{HEAD}steps:\n\t- crash", 9, "use spaces, not tabs"),
        (f"{HEAD}steps:\n  - input: [{{value: 1}}\n  - crash", 10, "or a bracket lacks"),
        (f"{HEAD}steps:\n  - crash\n - crash", 10, "begin this line as far to the right"),
        (f"{ROWS}      - {{at: 00:00:10, value: two}}", 11, "'two' is no integer"),
        (f"{ROWS}      - at: 00:00:10\n        value: yes", 12, "'yes' is no integer"),
        (f"{ROWS}      - {{at: 10}}", 11, "10 is no time"),
        (f"{ROWS}      - {{value: .5}}", 11, "0.5 is no integer"),
        (f"{ROWS}      - {{value: True}}", 11, "True is no integer"),
        (f"{ROWS}      - {{at: 00:00:75}}", 11, "'00:00:75' is no time"),
        (f"{ROWS}      - {{<<: *row, value: 3}}", 11, "'<<' takes nothing over"),
        (f"{HEAD}steps:\n  - restart: {{refused: slide}}", 9, "the same pipeline is never refused"),
        (f"{HEAD}steps:\n  - restart: false", 9, "False is no restart"),
        (f"{HEAD}steps:\n  - crash: false", 9, "a crash has nothing behind it"),
        (f"{HEAD}steps:\n  - expect: {{}}", 9, "nothing is said to be expected"),
        (f"{HEAD}steps:\n  - finish: []", 9, "no partition is named"),
        (f"{HEAD}refused: slide\nsteps: [crash]", 9, "goes through no steps"),
        (
            f"{HEAD}steps:\n  - replay: []\n  - expect: nothing\n  - crash",
            11,
            "nothing happens by hand",
        ),
        (f"{STEP}  - replay: []\n  - expect: nothing\n", 9, "happens by hand"),
        (f"{STEP}  - finish: all\n", 8, "nothing is expected"),
        (f"{STEP}  - crash\n  - restart: {{shards: 2}}\n", 8, "nothing is expected"),
    ],
)
def test_what_cannot_be_read_is_refused(
    written: Any, text: str, line: int | None, says: str
) -> None:
    path = written(text)
    with pytest.raises(TranscriptError, match=re.escape(says)) as refused:
        load(path)
    assert refused.value.place == (str(path) if line is None else f"{path}:{line}")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("{expect: {results: [{m: 1}]}}", "there is no column 'm'"),
        ("{expect: {results: [{n: many}]}}", "'many' is no integer"),
        ("{expect: {results: [{window: [00:00, soon]}]}}", "'soon' is no time"),
        ("{expect: {results: nothing}}", "[] for none"),
        ("{expect: {ledger: {late: none}}}", "'none' is no count"),
        ("{expect: {ledger: {a: 0}}}", "0 is no ledger of a"),
        ("{expect: {state: {keys: few}}}", "'few' is no count"),
        ("{expect: {held_by: 5}}", "5 is no partition"),
        ("{expect: {idle: b}}", "there is no partition 'b'"),
        ("{expect: {results: [{window: [00:00]}]}}", "a window has two bounds"),
        ("{expect: {side: {other: []}}}", "has no 'other'"),
        ("{expect: {ledger: {rows: 1}}}", "has no 'rows'"),
        ("{expect: {operators: [{open: 1, shut: 2}]}}", "has no 'shut'"),
        ("{expect: {watermark: {z: 00:00:10}}}", "has no 'z'"),
        ("{expect: {state: {bytes: 5}}}", "has no 'bytes'"),
        ("{expect: {nothing: false}}", "says nothing"),
        ("{expect: {watermark: [a]}}", "['a'] is no time"),
        ("{expect: {held_by: []}}", "[] is no partition"),
        ("{expect: {held_by: [a, a]}}", "is no partition"),
        ("{expect: {ledger: {late: {a: 1}}}}", "is no count"),
        ("{expect: {results: [{window: [00:00, 00:01], window_end: 00:02}]}}", "said by 'window'"),
    ],
)
def test_what_cannot_be_expected_is_refused(written: Any, step: str, says: str) -> None:
    story = f"{STEP}  - {step}\n"
    for text, line in ((story, 10), (story.replace("pipeline:", "not_yet: much\npipeline:"), 11)):
        with pytest.raises(TranscriptError, match=re.escape(says)) as refused:
            run_transcript(written(text))
        assert refused.value.place.endswith(f":{line}")


@pytest.mark.parametrize(
    ("part", "instead", "says", "line"),
    [
        ("count", "median value", "there is no aggregate 'median'", 7),
        ("count", "sum", "'sum' is no aggregate", 7),
        ("count", "sum weight", "there is no column 'weight'", 7),
        ("tumbling: 1m", "tumbling: 0s", "duration '0s' is zero", 6),
        ("tumbling: 1m", "tumbling: 60", "60 is not a duration", 6),
        ("tumbling: 1m", "sliding: 1m", "there is no window of sliding", 6),
        ("tumbling: 1m", "tumbling: 1m, lateness: 5s", "window has no 'lateness'", 6),
        ("ascending", "{lagging: 5s}", "there is no watermark of lagging", 5),
        ("ascending", "{ascending: 5s}", "an ascending watermark has no bound", 5),
        ("ascending", "{ascending: [1]}", "an ascending watermark has no bound", 5),
        ("ascending", "{bounded_disorder: 10}", "10 is not a duration", 5),
        ("  window", "  filter: value\n  window", "'value' is no condition", 6),
        ("  window", "  filter: vale > 0\n  window", "there is no column 'vale'", 6),
        ("  window", "  filter: value > 1.2.3\n  window", "the pipeline is refused", 3),
        ("  window", "  key_by: who\n  window", "there is no column 'who'", 6),
        ("count", "any value", "the pipeline is refused", 3),
    ],
)
def test_pipelines_that_cannot_be_are_refused(
    written: Any, part: str, instead: str, says: str, line: int
) -> None:
    with pytest.raises(TranscriptError, match=says) as refused:
        run_transcript(written(SEEN.replace(part, instead)))
    assert refused.value.place.endswith(f":{line}")


def test_a_change_takes_the_place_of_a_part_of_the_pipeline(written: Any) -> None:
    """S29: of a window that slides nothing is left of the one that did not."""
    story = STEP.replace("tumbling: 1m", "tumbling: 1m, allowed_lateness: 5s")
    step = "{restart: {change: {window: {sliding: 1m, slide: 20s}}, refused: slide 20s}}"
    run_transcript(written(f"{story}  - {step}\n"))
    step = step.replace("refused: slide 20s", "refused: too much")
    with pytest.raises(TranscriptFailedError, match=r"and not with 'too much'(.|\n)*slide 20s"):
        run_transcript(written(f"{story}  - {step}\n"))


def test_a_crash_goes_back_to_what_a_changed_pipeline_went_on_from(written: Any) -> None:
    """S28, S29: that state was saved; what was lost comes again, and the time that passed."""
    head = HEAD.replace("ascending", "{ascending: true, idle_after: 5s}")
    steps = """\
partitions: [a, b]
steps:
  - input: {a: [{at: 00:00:10, value: 1}, {at: 00:01:30, value: 2}]}
  - restart: {change: {window: {tumbling: 1m, allowed_lateness: 1m}}}
  - idle: {partitions: b, for: 6s}
  - expect: {results: [{n: 1, is_final: false}], idle: b}
  - crash
  - expect: {results: [], idle: b, watermark: 00:01:30, ledger: {rows_in: 2}}
"""
    run_transcript(written(head + steps))


def test_the_picture_shows_restarts_and_what_a_changed_pipeline_does(written: Any) -> None:
    """Its longer lateness is not that of windows that had expired before (S29)."""
    steps = """\
steps:
  - input: [{at: 00:00:30, value: 1}, {at: 00:01:10, value: 2}]
  - checkpoint
  - restart: {change: {window: {tumbling: 1m, allowed_lateness: 1m}}}
  - input: [{at: 00:00:40, value: 3}]
  - crash
  - expect: {results: [{n: 7}], late: [{value: 3}]}
"""
    with pytest.raises(TranscriptFailedError, match="7 is expected") as failed:
        run_transcript(written(HEAD + steps))
    moments = re.findall(r"(?m)^  ?\d (.*?)   *([.oL|)]+)  ", str(failed.value))
    assert [what for what, _ in moments] == [
        *("push a  30s", "push a  1m10s", "checkpoint", "restart", "push a  40s", "crash")
    ]
    assert "L" in moments[4][1]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.transcript.yaml"
    path.write_bytes(HEAD.replace("A story", "Un caf\xe9").encode("latin-1"))
    with pytest.raises(TranscriptError, match="no text in UTF-8"):
        load(path)


def test_a_step_that_the_engine_refuses_is_a_failure(written: Any) -> None:
    large = STEP.replace("value: 1", f"value: {2**63 - 1}").replace("{n: count}", "{n: sum value}")
    steps = "  - input: [{at: 00:00:20, value: 1}]\n  - finish: a\n  - expect: nothing\n"
    with pytest.raises(TranscriptFailedError, match=r":11: this is refused(.|\n)*does not fit"):
        run_transcript(written(large + steps))


def test_what_comes_and_nobody_expects_is_a_failure(written: Any) -> None:
    with pytest.raises(TranscriptFailedError, match="results came that no step expects"):
        run_transcript(written(f"{STEP}  - finish: all\n  - expect: {{watermark: +inf}}\n"))
    with pytest.raises(TranscriptFailedError, match="results came that no step expects"):
        run_transcript(written(f"{STEP}  - finish: all\n  - expect: nothing\n"))


def test_who_is_idle_is_named_in_any_order(written: Any) -> None:
    head = HEAD.replace("ascending", "{ascending: true, idle_after: 5s}") + "partitions: [a, b]\n"
    steps = "steps: [{idle: {partitions: [a, b], for: 6s}}, {expect: {idle: [b, a]}}]\n"
    run_transcript(written(head + steps))
    with pytest.raises(TranscriptFailedError, match="the idle partitions"):
        run_transcript(written(head + steps.replace("[b, a]", "[b]")))


# The words


def by_code() -> Stream:
    schema = pa.schema({"t": pa.timestamp("s", "UTC")})
    marked = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    return marked.window(et.tumbling("1m")).aggregate(n=et.count())


def test_code_may_declare_the_pipeline(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "my_pipelines", sys.modules[__name__])
    text = """\
        transcript: 1
        title: A pipeline of code
        day: 2024-03-01
        pipeline: {python: "my_pipelines:by_code"}
        steps:
          - input: [{t: 00:00:10}, {t: 00:01:00}]
          - expect: {results: [{window: [00:00:00, 00:01:00], n: 1}]}
        """
    run_transcript(written(text))
    for part, instead, says in (
        ("my_pipelines:by_code", "my_pipelines", "is no place of a pipeline"),
        ("my_pipelines:by_code", "my_pipelines:nothing", "is not there"),
        ("my_pipelines:by_code", "no_such_module:by_code", "is not there"),
        ("{t: 00:00:10}", "{weight: 1}", "no column 'weight'"),
    ):
        wrong = text.replace(part, instead)
        for story in (wrong, wrong.replace("day:", "not_yet: much\n        day:")):
            with pytest.raises(TranscriptError, match=says):
                run_transcript(written(story))


@pytest.mark.parametrize("path", [*STORIES, *WRONG], ids=name)
def test_the_schema_describes_what_is_written(path: Path) -> None:
    jsonschema.validate(read_entries(path.read_text("utf-8"), str(path)).plain, SCHEMA)
