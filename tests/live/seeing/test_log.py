"""Logs of a live run: one JSON line for each thing that happens to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import eventtime as et
from eventtime.cli.log import JsonLog, events
from eventtime.sources.feed import Ended, Found, Left, Silent
from live.script import Script, rows
from live.seeing.watching import Seen, counted, run

if TYPE_CHECKING:
    from pathlib import Path


def test_what_happens_to_partitions_is_told_once() -> None:
    script = Script(
        [
            (0, "a", rows(1)),
            (2, Silent(["a"])),
            (12, "a", rows(30)),
            (15, Found("b")),
            (18, Left("b")),
            (25, Ended("a")),
            (25, Ended("b")),
        ],
        ("a",),
    )
    lines: list[str] = []
    run(script, JsonLog(lines.append), stream=counted(script, idle_after="5s"))
    told = [json.loads(line) for line in lines]
    assert [(event["event"], event.get("partition")) for event in told] == [
        ("started", None),
        ("partition found", "a"),
        ("partition idle", "a"),
        ("partition back", "a"),
        ("partition found", "b"),
        ("partition left", "b"),
        ("partition ended", "a"),
        ("partition ended", "b"),
        ("finished", None),
    ]
    assert told[0]["at"] == "1970-01-01T00:00:00Z"
    assert told[2]["watermark"] == "1970-01-01T00:00:01Z"
    assert told[-1]["rows"] == 2


def test_checkpoints_and_a_restart_from_them_are_told(tmp_path: Path) -> None:
    """S28: the second run says from where it goes on."""
    first = Script([(0, "a", rows(1)), (30, Ended("a"))], ("a",))
    lines: list[str] = []
    run(
        first, JsonLog(lines.append), checkpoint=tmp_path,
        stop=lambda: first.clock.now_us() > 15_000_000,
    )  # fmt: skip
    told = [json.loads(line) for line in lines]
    assert told[-1]["event"] == "suspended"
    written = [event for event in told if event["event"] == "checkpoint written"]
    assert all(event["bytes"] >= 0 and event["duration_s"] >= 0 for event in written)
    again: list[str] = []
    run(first, JsonLog(again.append), checkpoint=tmp_path)
    second = [json.loads(line) for line in again]
    assert [event["event"] for event in second[:2]] == ["started", "resumed"]
    assert second[1]["rows"] == 1
    assert second[1]["checkpoint"] == written[-1]["checkpoint"]


def test_nothing_is_told_where_nothing_happened() -> None:
    seen = Seen()
    run(Script([(0, "a", rows(1)), (9, Ended("a"))], ("a",)), seen)
    assert list(events(seen.at(3), seen.at(4))) == []


def test_a_failure_is_told_with_its_reason() -> None:
    def broken(status: et.Status) -> None:
        if status.at_us > 3_000_000:
            msg = "no more"
            raise ValueError(msg)

    lines: list[str] = []
    script = Script([(0, "a", rows(1)), (9, Ended("a"))], ("a",))
    with pytest.raises(et.UserCodeError):
        run(script, JsonLog(lines.append), broken)
    last = json.loads(lines[-1])
    assert last["event"] == "failed"
    assert "raised ValueError: no more" in last["error"]
