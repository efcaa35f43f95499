"""The simulation: seeds pass, do the same again, and find what is broken on purpose."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from typing import Any

import pytest

import eventtime as et
from eventtime.cli.main import main
from eventtime.testing.simulation import Broken, life, simulate, soak
from eventtime.testing.simulation.chance import Chance

SEEDS = (*range(20), 1337)  # the last: a partition that left while a process was down


def test_seeds_survive() -> None:
    """S26–S28: crashes, faults and restarts leave no trace in what comes out."""
    survived = [simulate(seed) for seed in SEEDS]
    assert sum(one.crashes for one in survived) > 10
    assert sum(one.machines for one in survived) > 5
    assert sum(one.faults for one in survived) > 10
    assert sum(one.restarts for one in survived) > 20
    assert sum(one.checkpoints for one in survived) > 50


def test_the_same_seed_does_the_same_in_another_process() -> None:
    code = "from eventtime.testing.simulation import simulate; print(simulate(3).trace)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == simulate(3).trace == simulate(3).trace
    assert simulate(3).trace != simulate(4).trace


@pytest.mark.parametrize("broken", [Broken(sink_forgets=True), Broken(disk_loses=True)])
def test_what_is_broken_is_found(broken: Broken) -> None:
    """A sink that forgets its marker, a disk that loses what it said was durable: S27, S28."""
    with pytest.raises(AssertionError, match=r"again: eventtime soak --seed \d+"):
        deque(simulate(seed, broken) for seed in range(30))


def test_a_soak_counts_what_it_survived(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter(range(100))
    soaked = soak(2.5, seed_from=5, clock=lambda: next(ticks))
    assert (soaked.first, soaked.seeds, soaked.total.seed) == (5, 3, 7)
    assert soaked.total.turns == sum(simulate(seed).turns for seed in (5, 6, 7))
    assert main(["soak", "--seconds", "0", "--seed-from", "5"]) == 0
    assert capsys.readouterr().out.startswith("1 seed from 5 in")
    assert main(["soak", "--seed", "5", "--json"]) == 0
    assert f'"trace": "{simulate(5).trace}"' in capsys.readouterr().out


@pytest.mark.parametrize("seed", [None, -1, 1.5, "3", True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    """With any other a run could not be done again."""
    with pytest.raises(et.PlanError, match="is not a whole number from 0"):
        simulate(seed)
    with pytest.raises(et.PlanError, match="is not a whole number from 0"):
        soak(0, seed_from=seed)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1, "5", None, True])
def test_a_soak_has_an_end(seconds: Any) -> None:
    with pytest.raises(et.PlanError, match="is no number of seconds"):
        soak(seconds)


def broken_at(monkeypatch: pytest.MonkeyPatch, seed: int, error: BaseException) -> None:
    """Let a seed end with an error, right as it begins."""

    def chance(number: int) -> Chance:
        if number == seed:
            raise error
        return Chance(number)

    monkeypatch.setattr(life, "Chance", chance)


def test_whatever_a_seed_fails_with_names_the_command_that_shows_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an error that nobody foresaw, too; what the seeds before it went through is told."""
    broken_at(monkeypatch, 6, KeyError("boom"))
    assert main(["soak", "--seconds", "60", "--seed-from", "5"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 seed from 5 in")
    assert "seed 6: KeyError: 'boom'\n  again: eventtime soak --seed 6\n" in err
    assert "Traceback" not in err
    assert main(["soak", "--seed", "6", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_a_soak_with_what_it_survived(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken_at(monkeypatch, 7, KeyboardInterrupt())
    assert main(["soak", "--seconds", "60", "--seed-from", "5", "--json"]) == 130
    out, err = capsys.readouterr()
    assert (json.loads(out)["seeds"], err.lstrip("\n")) == (2, "error: interrupted\n")


def test_seconds_without_an_end_are_refused_in_words_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["soak", "--seconds", "inf"]) == 2
    assert "inf is no number of seconds\n  at:  --seconds\n" in capsys.readouterr().err
