"""`advise`, `demo` and help: what they tell, checked by content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from command_line import FLIGHTS, Call

if TYPE_CHECKING:
    from pathlib import Path


def test_advise_shows_partitions_bounds_and_a_flag(call: Call) -> None:
    done = call("advise", FLIGHTS, "--time", "departed")
    assert (done.code, done.err) == (0, "")
    jfk = next(line.split() for line in done.out.splitlines() if line.startswith("JFK"))
    assert " ".join(jfk) == "JFK.parquet 9,029 100 80.97% 1h32m 4h48m 5h29m 9h51m 10h8m"
    chosen = next(line for line in done.out.splitlines() if "<- recommended" in line)
    assert chosen.split()[:3] == ["5h29m", "137", "0.52%"]
    assert "rows late, %" in done.out
    assert f"eventtime replay {FLIGHTS} --time departed … --max-disorder 5h29m" in done.out


def test_advise_for_scripts(call: Call) -> None:
    told = json.loads(call("advise", FLIGHTS, "--time", "departed", "--json").out)
    assert told["partitions"]["JFK.parquet"]["median_us"] == 92 * 60_000_000
    assert told["recommended"]["flag"] == "--max-disorder 5h29m"
    quiet = call("advise", FLIGHTS, "--time", "departed", "--on-time", "1", "--quiet")
    assert quiet.out == "--max-disorder 10h8m\n"


def test_advise_by_column_draws_one_line_for_many(call: Call) -> None:
    done = call("advise", FLIGHTS, "--time", "departed", "--partition-by", "column:carrier")
    assert "carrier=UA" in done.out
    assert "total" in done.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "no event-time column"),
        (
            ["--time", "departed", "--on-time", "2"],
            "share 2.0 is not in (0, 1]\n  at:  --on-time\n",
        ),
        (["--time", "flight"], "--time-unit"),
    ],
)
def test_advise_explains_bad_input(call: Call, options: list[str], told: str) -> None:
    done = call("advise", FLIGHTS, *options)
    assert (done.code, told in done.err) == (2, True)


def test_the_demo_shows_windows_late_rows_ledger_and_advice(call: Call) -> None:
    done = call("demo")
    assert done.code == 0
    for part in (
        "The first of 1,743 windows", "The busiest", "Some of 2,021 late rows", "beyond_lateness",
        "26,661 rows = 24,128 in windows + 2,021 late + 512 without a departure", "rows/s",
        "What a bound costs", "--max-disorder 5h29m", "eventtime replay",
    ):  # fmt: skip
        assert part in done.out
    assert json.loads(call("demo", "--json").out)["late"] == 2_021


@pytest.mark.parametrize("command", ["replay", "run", "explain", "advise", "demo"])
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    done = call(command, "--help")
    assert done.code == 0
    assert f"  eventtime {command}" in done.out
    assert "--traceback" in done.out


def test_the_help_of_replay_says_what_is_needed(call: Call) -> None:
    """What it names as needed is asked for when it is left out, in the same words."""
    told = call("replay", "--help").out
    needed = told[told.index("Needed are:") : told.index("Examples:")]
    given = ["--time", "departed", "--window", "1h", "--agg", "count()", "--ascending"]
    for option in ("--time", "--window", "--agg"):
        at = given.index(option)
        done = call("replay", FLIGHTS, *given[:at], *given[at + 2 :])
        assert (done.code, f"at:  {option}\n" in done.err) == (2, True)
        assert f"\n    {option} " in needed
    assert "no watermark is declared" in call("replay", FLIGHTS, *given[:-1]).err
    for option in ("--max-disorder", "--ascending", "--percentile", "--punctuated"):
        assert option in needed


def test_the_file_in_the_help_of_run_is_one_that_runs(call: Call, tmp_path: Path) -> None:
    told = call("run", "--help").out
    lines = told[told.index("import eventtime") : told.index("  Where rows go")].splitlines()
    text = "\n".join(line.removeprefix("    ") for line in lines)
    (tmp_path / "hourly.py").write_text(text.replace("flights/*.parquet", FLIGHTS))
    assert "1,743 results" in call("run", tmp_path / "hourly.py").out


def test_help_names_the_exit_codes(call: Call) -> None:
    done = call("--help")
    for code in (
        "  0  done",
        "  2  usage",
        "  3  input",
        "  4  output",
        "  5  code",
        "  130 ",
        "  143 ",
    ):
        assert code in done.out
    assert call("--version").out.startswith("eventtime")
    assert call("bogus").code == 2
