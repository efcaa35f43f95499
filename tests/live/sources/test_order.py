"""A run that goes on knows the sources of a union by their numbers: they stay in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.claiming import misplaced
from live.sources.growing_files import append
from live.sources.test_columns import SETTLED, follow, lines, run_until, sums

if TYPE_CHECKING:
    from pathlib import Path


def summed(*reads: et.Stream) -> et.Stream:
    alike = [read.select("t", "x") for read in reads]
    rows = et.union(*alike) if len(alike) > 1 else alike[0]
    windows = rows.watermark(et.ascending()).window(et.tumbling("10s"))
    return windows.aggregate(n=et.count(), x=et.sum("x"))


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """Two files and the state of a run over both; each has a column that the other lacks."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_bytes(lines({"t": 1, "x": 1, "a": 1}))
    second.write_bytes(lines({"t": 2, "x": 2, "b": "b"}))
    state: dict[str, Any] = {"checkpoint": tmp_path / "state"}
    run_until(2, summed(follow(first), follow(second)), **state)
    return first, second, state


def test_a_source_that_was_taken_away_is_missed(begun: tuple[Path, Path, dict[str, Any]]) -> None:
    _, second, state = begun
    with pytest.raises(et.CheckpointError, match="other sources: 2 sources then, 1 now") as caught:
        summed(follow(second)).run(**state)
    assert "leave them in their order" in str(caught.value)


def test_sources_in_another_order_are_refused(begun: tuple[Path, Path, dict[str, Any]]) -> None:
    """Each would go on where the other was, or begin anew."""
    first, second, state = begun
    with pytest.raises(et.CheckpointError, match=r"source 1 .*first.* is source 2 now"):
        summed(follow(second), follow(first)).run(**state)


def test_a_source_may_come_behind_the_others(begun: tuple[Path, Path, dict[str, Any]]) -> None:
    first, second, state = begun
    third = first.with_name("third.jsonl")
    third.write_bytes(lines({"t": 3, "x": 4}, SETTLED))
    append(first, lines({"t": 4, "x": 8}, SETTLED))
    append(second, lines(SETTLED))
    stream = summed(follow(first), follow(second), follow(third))
    ran = run_until(7, stream, drain=True, **state)
    assert sums(ran) == [(4, 15), (3, 0)]


def test_a_source_in_other_words_is_the_same_elsewhere() -> None:
    assert misplaced({"sources": ["a", "b"]}, ["there/a", "b", "c"]) is None


def test_older_checkpoints_know_sources_by_their_partitions_alone() -> None:
    head = {"partitions": [{"branch": 0}, {"branch": 1}]}
    assert misplaced(head, ["b", "a"]) is None
    assert misplaced(head, ["a"]) == "2 sources then, 1 now"
