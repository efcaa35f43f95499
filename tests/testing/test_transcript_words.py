"""The words of transcripts: those of the format, those that the engine lacks, and misspelt ones."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from eventtime.testing.transcripts import (
    TranscriptError,
    TranscriptFailedError,
    declared,
    load,
    run_transcript,
)
from eventtime.testing.transcripts.reading import read_entries
from story_text import HEAD, SCHEMA, SEEN, STEP

# What the engine lacks


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("tumbling: 1m", "session: 5m"),
        ("tumbling: 1m", "calendar: day, zone: Europe/Berlin"),
        ("tumbling: 1m", "tumbling: 1m, early: {rows: 2}"),
        ("tumbling: 1m", "sliding: 1m, slide: 2m"),
        ("clock: 5s", "expect: {watermark: 00:00:20}"),
        ("clock: 5s", "watermark: {a: 00:02:00}"),
        ("clock: 5s", "restart: {change: {window: {session: 5m}}}"),
        ("clock: 5s", "restart: {change: {window: {tumbling: 2m}}}"),
    ],
)
def test_what_there_is_not_yet_is_what_the_pipeline_lacks(
    written: Any, part: str, instead: str
) -> None:
    """Words that it does not know, steps that it refuses, and what comes otherwise or too much."""
    story = f"not_yet: much\n{STEP}  - clock: 5s\n"
    run_transcript(written(story.replace(part, instead)))
    run_transcript(written(f"not_yet: much\nrefused: slide\n{HEAD.replace('tumbling', 'session')}"))
    with pytest.raises(TranscriptFailedError, match="this works now"):
        run_transcript(written(story))


@pytest.mark.parametrize(
    ("part", "instead", "says"),
    [
        ("tumbling: 1m", "sesion: 5m", "window has no 'sesion'"),
        ("{tumbling: 1m}", "calender", "there is no window of calender"),
        ("tumbling: 1m", "tumbling: 1m, mode: acumulating", "'acumulating' is no mode"),
        ("tumbling: 1m", "tumbling: 1m, allowed_lateness: 5x", "'5x' is not a duration"),
        ("tumbling: 1m", "tumbling: 1x", "'1x' is not a duration"),
        ("tumbling: 1m", "session: 1x", "'1x' is not a duration"),
        ("tumbling: 1m", "sliding: 1m, slid: 20s", "window has no 'slid'"),
        ("watermark: ascending", "watermark: ascendin", "there is no watermark of ascendin"),
        ("watermark: ascending", "watermark: {bounded: 5s}", "there is no watermark of bounded"),
        ("watermark: ascending", "watermark: {bounded_disorder: 5x}", "'5x' is not a duration"),
        (
            "watermark: ascending",
            "watermark: {ascending: true, all_idle: holt}",
            "'holt' is no all_idle",
        ),
        (
            "watermark: ascending",
            "watermark: {ascending: true, idle_aftr: 5s}",
            "there is no watermark of ascending, idle_aftr",
        ),
        ("watermark: ascending", "watermark: {percentile: {shar: 0.9}}", "has no 'shar'"),
        ("n: count", "n: cuont", "there is no aggregate 'cuont'"),
        ("n: count", "n: sum vale", "there is no column 'vale'"),
        ("n: count", "n: sum", "'sum' is no aggregate"),
        ("  watermark:", "  key_by: vale\n  watermark:", "there is no column 'vale'"),
        ("  watermark:", "  filter: vale > 0\n  watermark:", "there is no column 'vale'"),
        ("  watermark:", "  filter: value is 0\n  watermark:", "is no condition"),
        (
            "n: count}\n",
            "n: count}\n  then: {window: {sesion: 5m}, aggregate: {n: count}}\n",
            "window has no 'sesion'",
        ),
        (
            "clock: 5s",
            "restart: {change: {window: {sesion: 5m}}}",
            "window has no 'sesion'",
        ),
        ("clock: 5s", "clock", "nothing is no duration"),
        ("clock: 5s", "idle: {partitions: [a], for: -6s}", "'-6s' is no duration"),
        ("transcript: 1", "transcript: true", "this is version True of the format"),
        ("n: count", "n: max", "'max' is no aggregate: it names 0 columns"),
        ("clock: 5s", "finish", "no partition is named"),
        ("clock: 5s", "finish: [a, a]", "'a' is named twice"),
        ("clock: 5s", "expect", "nothing is said to be expected"),
        ("integer}", "decimal128(10, 2)}", "in quotes if it has a comma"),
        ("integer}", "timestamp[s, UTC]}", "put a text with ',' or brackets in quotes"),
    ],
)
def test_what_is_misspelt_is_not_what_the_pipeline_lacks(
    written: Any, part: str, instead: str, says: str
) -> None:
    """A word that no schema knows is a mistake of the story, also of one that is ahead."""
    story = f"not_yet: much\n{SEEN}  - clock: 5s\n"
    assert part in story
    with pytest.raises(TranscriptError, match=re.escape(says)):
        run_transcript(written(story.replace(part, instead)))


def test_what_is_misspelt_beside_what_there_is_not_yet_shows(written: Any) -> None:
    story = f"not_yet: sessions\n{SEEN}".replace("tumbling: 1m", "session: 5m")
    run_transcript(written(story))
    for part, instead in (
        ("count}", "cuont}"),
        ("session: 5m", "session: 5m, lat: x"),
        ("count}\n", "count}\n  then: {window: {tumblin: 5m}, aggregate: {n: count}}\n"),
        ("count}\n", "count}\n  then: {window: {tumbling: 5m}, aggregate: {n: cuont}}\n"),
    ):
        with pytest.raises(TranscriptError, match=r"window has no|there is no aggregate"):
            run_transcript(written(story.replace(part, instead)))


def test_a_window_that_there_is_not_yet_says_how_to_tell_of_it(written: Any) -> None:
    with pytest.raises(TranscriptError, match="windows know no session yet") as refused:
        run_transcript(written(SEEN.replace("tumbling: 1m", "session: 5m")))
    assert "not_yet: " in str(refused.value.remedy)


# As the schema has them


def test_the_schema_and_the_reader_know_the_same_windows() -> None:
    said = set(SCHEMA["$defs"]["window"]["oneOf"][1]["properties"])
    assert said == {*declared._WINDOWS, *declared._WINDOW, *declared._WINDOW_NOT_YET}


@pytest.mark.parametrize(
    "text",
    [
        SEEN,
        f"{STEP}  - restart: {{change: {{window: {{tumbling: 2m}}}}, refused: tumbling}}\n",
        f"refused: slide\n{HEAD}",
        f"not_yet: much\n{STEP}",
    ],
)
def test_an_expectation_is_one_of_these(written: Any, text: str) -> None:
    jsonschema.validate(read_entries(text, "it").plain, SCHEMA)
    load(written(text))


@pytest.mark.parametrize(
    "text",
    [
        f"{SEEN}wrong: 1",
        f"{SEEN}  - wait: 5s",
        SEEN.replace("tumbling", "tumblin"),
        SEEN.replace("count", "cuont"),
        STEP,
        f"{STEP}  - restart: {{shards: 2}}",
    ],
)
def test_the_schema_refuses_other_words(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_entries(text, "it").plain, SCHEMA)


def test_a_pipeline_that_code_does_not_give_is_told(written: Any) -> None:
    pipeline = "pipeline: {python: 'json:dumps'}"
    text = f"transcript: 1\ntitle: x\n{pipeline}\nsteps:\n  - expect: nothing\n"
    with pytest.raises(TranscriptError, match="'json:dumps' raised TypeError") as refused:
        run_transcript(written(text))
    assert refused.value.place.endswith(":3")


def test_nothing_may_be_expected_before_anything_happens(written: Any) -> None:
    """S8: of partitions that are found later, too."""
    for known in ("[]", "[a]"):
        steps = "steps:\n  - expect: {results: []}\n  - add: b\n"
        run_transcript(written(f"partitions: {known}\n{HEAD}{steps}"))
