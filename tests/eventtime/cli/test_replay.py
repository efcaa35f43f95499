"""`eventtime replay`: the same answer as from Python, outputs where asked, errors that help."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import eventtime as et
from command_line import FLIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Call

HOURLY = (
    "replay", FLIGHTS, "--time", "departed", "--key", "origin", "--window", "1h",
    "--agg", "count() as flights", "--agg", "mean(dep_delay) as delay",
)  # fmt: skip


def hourly(**window: str) -> et.Run:
    return (
        et.read_parquet(FLIGHTS, time="departed")
        .watermark(et.bounded_disorder("4h"))
        .key_by("origin")
        .window(et.tumbling("1h"), **window)  # type: ignore[arg-type]
        .aggregate(flights=et.count(), delay=et.mean("dep_delay"))
        .run()
    )


def test_results_late_rows_and_quarantine_are_those_of_the_library(
    call: Call, tmp_path: Path
) -> None:
    out, late, aside = (tmp_path / f"{name}.parquet" for name in ("out", "late", "aside"))
    done = call(
        *HOURLY, "--max-disorder", "4h", "--out", out, "--late", late, "--quarantine", aside
    )
    assert (done.code, done.err) == (0, "")
    run = hourly()
    assert pq.read_table(out).equals(run.table())
    assert pq.read_table(late).equals(run.side("late"))
    assert pq.read_table(aside).num_rows == 512
    assert f"1,743 results -> {out}" in done.out
    assert f"2,021 rows (7.58%) missed a window and are not in these results -> {late}" in done.out
    assert "total         26,661    24,128  2,021        512" in done.out


def test_without_out_the_first_rows_are_printed(call: Call) -> None:
    done = call(*HOURLY, "--max-disorder", "4h", "--rows", "3")
    lines = done.out.splitlines()
    assert lines[0] == "The first 3 of 1,743 results"
    assert lines[1].split() == [
        "origin", "window_start", "window_end", "flights", "delay", "version", "timing", "is_final",
    ]  # fmt: skip
    assert lines[2].split()[:6] == ["EWR", "2013-01-01", "10:00Z", "2013-01-01", "11:00Z", "3"]
    assert "--late PATH keeps them" in done.out


def test_json_is_one_object_and_nothing_else(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = call(*HOURLY, "--max-disorder", "4h", "--json", "--out", out)
    told = json.loads(done.out)
    assert told["results"]["rows"] == 1_743
    assert told["results"]["path"] == str(out)
    assert told["ledger"]["total"]["late"] == 2_021
    assert told["seconds"] > 0
    first = json.loads(call(*HOURLY, "--max-disorder", "4h", "--json", "--rows", "1").out)
    assert first["results"]["first"][0]["window_start"] == "2013-01-01 10:00Z"
    assert first["results"]["first"][0]["is_final"] is True


def test_quiet_says_nothing_but_results(call: Call, tmp_path: Path) -> None:
    done = call(*HOURLY, "--ascending", "--quiet", "--out", tmp_path / "out.parquet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_every_declaration_reaches_the_plan(call: Call) -> None:
    sliding = (
        *("explain", FLIGHTS, "--time", "departed", "--window", "1h", "--slide", "15m"),
        *("--offset", "5m", "--agg", "count()", "--percentile", "0.9", "--max-future", "1d"),
        *("--allowed-lateness", "30m", "--mode", "retracting", "--partition-by", "column:origin"),
    )
    plan = call(*sliding).out
    for part in (
        "sliding('1h', slide='15m', offset='5m')", "percentile(0.9", "future beyond 1d",
        "allowed lateness 30m, retracting", "late rows counted only", "by_column('origin')",
    ):  # fmt: skip
        assert part in plan
    assert "late rows to 'late'" in call(*sliding, "--late", "late.csv").out
    whole = call(
        "explain", FLIGHTS, "--time", "departed", "--global", "--agg", "count()",
        "--punctuated", "scheduled", "--json",
    )  # fmt: skip
    assert any("global_window" in line for line in json.loads(whole.out)["plan"])
    assert "punctuated(column='scheduled')" in whole.out


def test_formats_are_told_by_suffix_or_option(call: Call, tmp_path: Path) -> None:
    table = pa.table({"t": [3, 1, 7], "k": ["a", "b", "a"]})
    (tmp_path / "folder").mkdir()
    pa.csv.write_csv(table, tmp_path / "rows.csv")
    pa.csv.write_csv(table, tmp_path / "rows.txt")
    pa.feather.write_feather(table, tmp_path / "rows.feather")
    (tmp_path / "folder" / "rows.jsonl").write_text('{"t": 3}\n{"t": 1}\n{"t": 7}\n')
    options = ("--time", "t", "--time-unit", "s", "--window", "1m", "--agg", "count()")
    for path, *more in (
        ("rows.csv",), ("rows.txt", "--format", "csv"), ("rows.feather",), ("folder",),
    ):  # fmt: skip
        done = call("replay", tmp_path / path, *options, "--max-disorder", "1m", "--json", *more)
        assert json.loads(done.out)["ledger"]["total"]["windowed"] == 3
    done = call("replay", tmp_path / "rows.txt", *options, "--ascending")
    assert (done.code, "names no format" in done.err) == (2, True)
    done = call("replay", tmp_path / "rows.csv", tmp_path / "folder", *options, "--ascending")
    assert "different formats: csv, jsonl" in done.err


def test_rows_that_do_not_parse_stop_or_are_set_aside(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"t": 1}\nnonsense\n{"t": 2}\n')
    options = ("replay", path, "--time", "t", "--time-unit", "s", "--window", "1m",
               "--agg", "count()", "--ascending")  # fmt: skip
    done = call(*options)
    assert done.code == 3
    assert "nonsense" in done.err
    assert "--on-malformed quarantine" in done.err
    done = call(*options, "--on-malformed", "quarantine", "--json")
    assert json.loads(done.out)["ledger"]["total"]["malformed"] == 1


def test_rows_set_aside_are_told_by_reason(call: Call, tmp_path: Path) -> None:
    path, aside = tmp_path / "rows.csv", tmp_path / "aside.csv"
    path.write_text("t,x\n1,1\n2,oops\n3,3\n4,4\n")
    options = ("replay", path, "--time", "t", "--time-unit", "s", "--window", "1m", "--agg",
               "sum(x)", "--type", "x=int64", "--ascending", "--on-malformed",
               "quarantine")  # fmt: skip
    told = call(*options).out
    assert "\n1 row set aside (1 malformed); --quarantine PATH keeps them\n" in told
    path.write_text("t,x\n1,1\n2,oops\n3,3\n,3\n,4\n9000,5\n4,4\n")
    told = call(*options, "--max-future", "1h", "--quarantine", aside).out
    reasons = "2 without a time, 1 too far ahead, 1 malformed"
    assert f"\n4 rows set aside ({reasons}) -> {aside}\n" in told


def test_types_of_columns_are_said_where_they_are_inferred_wrongly(
    call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("t,k\n2024-01-01T10:00:00Z,007\n1 May,7\n2 May,8\n3 May,8\n")
    options = ("replay", path, "--time", "t", "--window", "1m", "--agg", "count()",
               "--key", "k", "--ascending", "--on-malformed", "quarantine", "--json")  # fmt: skip
    done = call(*options)
    assert done.code == 2
    assert "'t' is of type string" in done.err
    assert "--type NAME=TYPE" in done.err
    done = call(*options, "--type", "t=timestamp[us, UTC]", "--type", "k=string")
    told = json.loads(done.out)
    assert told["ledger"]["total"]["malformed"] == 3
    assert told["results"]["first"][0]["k"] == "007"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("t", "'t' names no column and type"),
        ("=int64", "names no column and type"),
        ("t=moment", "there is no type 'moment'"),
        ("t=decimal(99, 2)", "there is no type 'decimal(99, 2)'"),
        ("x=int64", "a column 'x' that the header does not have"),
    ],
)
def test_what_is_no_type_of_a_column_is_refused(
    call: Call, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "rows.csv").write_text("t\n1\n")
    done = call("advise", tmp_path / "rows.csv", "--time", "t", "--type", text)
    assert done.code in {2, 3}
    assert told in done.err
    assert "--type" in done.err


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--ascending", "--type", "dest=string"], 2, ["parquet", "--type"]),
        (["--ascending", "--window", "1x"], 2, ["'1x' is not a duration", "--window", "'90s'"]),
        (["--ascending", "--window", "0s"], 2, ["'0s' is zero", "--window"]),
        (["--ascending", "--slide", "2h"], 2, ["--slide 2h is longer than --window 1h"]),
        (["--ascending", "--offset", "soon"], 2, ["'soon' is not a duration", "--offset"]),
        (["--ascending", "--global"], 2, ["--global is one window of all time"]),
        (["--ascending", "--allowed-lateness", "-3m"], 2, ["'-3m' is negative"]),
        (["--ascending", "--max-future", "x"], 2, ["'x' is not a duration", "--max-future"]),
        (["--max-disorder", "-1h"], 2, ["'-1h' is negative", "--max-disorder"]),
        (["--percentile", "1.5"], 2, ["share 1.5", "--percentile"]),
        (["--punctuated", "x"], 2, ["no column 'x'"]),
        (["--ascending", "--percentile", "0.9"], 2, ["--ascending and --percentile"]),
        ([], 2, ["no watermark is declared", "eventtime advise", "--max-disorder"]),
        (["--ascending", "--key", "orign"], 2, ["no column 'orign'", "--key", "'origin'"]),
        (["--ascending", "--agg", "mean(dest)"], 2, ["mean(dest)", "string"]),
        (["--ascending", "--agg", "mean(x)"], 2, ["no column 'x'"]),
        (["--ascending", "--time", "departd"], 2, ["'departd'", "--time", "'departed'"]),
        (["--ascending", "--time", "dest"], 2, ["'dest' is of type string"]),
        (["--ascending", "--time", "flight"], 2, ["--time-unit s, ms, us or ns"]),
        (["--ascending", "--partition-by", "x"], 2, ["'x' names no way", "column:NAME"]),
        (["--ascending", "--on-malformed", "error"], 2, ["parquet", "--on-malformed"]),
        (["--ascending", "--shards", "0"], 2, ["--shards"]),
        (["--ascending", "--memory", "much"], 2, ["'much' is no amount", "--memory", "512MB"]),
        (["--ascending", "--backend", "files"], 2, ["no limit of memory", "--memory 512MB"]),
        (["--ascending", "--mode", "x"], 2, ["--mode", "accumulating"]),
        (["--ascending", "--bogus"], 2, ["--bogus"]),
        (["--ascending", "--out", "/no/such/folder/x.csv"], 4, ["/no/such/folder"]),
        (["--ascending", "--out", "x.bogus"], 4, ["x.bogus", ".parquet"]),
        (["--ascending", "--out", "a.csv", "--late", "a.csv"], 2, ["two outputs", "a.csv"]),
    ],
)
def test_bad_input_is_named_with_place_and_remedy(
    call: Call, options: list[str], code: int, told: list[str]
) -> None:
    done = call(*HOURLY, *options)
    assert (done.code, done.out) == (code, "")
    for part in told:
        assert part in done.err
    assert "Traceback" not in done.err


def test_what_is_missing_is_said(call: Call, tmp_path: Path) -> None:
    done = call("replay", FLIGHTS, "--window", "1h", "--agg", "count()", "--ascending")
    assert "no event-time column" in done.err
    done = call("replay", FLIGHTS, "--time", "departed", "--window", "1h", "--ascending")
    assert "nothing to compute" in done.err
    done = call("replay", FLIGHTS, "--time", "departed", "--agg", "count()", "--ascending")
    assert "no window is given" in done.err
    for path in ("nope.parquet", "nope/*.parquet", "nope"):
        done = call(
            "replay", tmp_path / path, "--time", "t", "--global", "--agg", "count()", "--ascending"
        )
        assert done.code == 3, done.err
        assert path in done.err


def test_an_output_that_exists_is_kept_unless_told(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious")
    done = call(*HOURLY, "--ascending", "--out", out)
    assert (done.code, out.read_text()) == (4, "precious")
    assert "--overwrite" in done.err
    assert call(*HOURLY, "--ascending", "--out", out, "--overwrite").code == 0
    assert out.read_text().startswith("origin,")


def test_input_cut_short_leaves_no_output(call: Call, tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    whole.write_text("t,x\n1,2\n2,oops\n")
    out = tmp_path / "out.parquet"
    done = call(
        "replay", whole, "--time", "t", "--time-unit", "s", "--global", "--agg", "sum(x)",
        "--ascending", "--out", out,
    )  # fmt: skip
    assert done.code in {2, 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.csv"]


def test_a_traceback_comes_when_asked_for(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in call(*HOURLY, "--traceback").err
    monkeypatch.setenv("EVENTTIME_DEBUG", "1")
    assert "Traceback" in call(*HOURLY).err


def test_one_row_is_not_several(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("t\n61\n1\n\n")
    done = call(
        "replay", path, "--time", "t", "--time-unit", "s", "--window", "1m", "--agg", "count()",
        "--ascending",
    )  # fmt: skip
    assert "2 rows in " in done.out
    assert "\n1 result\n" in done.out
    assert "\n1 row (50.00%) missed a window and is not in these results: --late" in done.out


def test_durations_are_written_as_in_json_lines(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    waits = pa.array([5_400_000_000, None], pa.duration("us"))
    pq.write_table(pa.table({"t": pa.array([0, 60], pa.timestamp("s")), "wait": waits}), path)
    done = call(
        "replay", path, "--time", "t", "--window", "1m", "--agg", "max(wait) as wait",
        "--ascending", "--json",
    )  # fmt: skip
    first = json.loads(done.out)["results"]["first"]
    assert [row["wait"] for row in first] == ["PT1H30M", None]
