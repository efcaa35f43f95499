"""The benchmark of keyed state runs, on few rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.keyed_state import CASES, Case, million_rows_s


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_runs(case: Case) -> None:
    assert million_rows_s(replace(case, keys=100), 1_000) > 0
