"""Deliberately broken variants of the package are each noticed by a set of the other tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mutants.mutants import MUTANTS, Mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STORIES = Path(__file__).parent / "stories.py"
PARTS = ("eventtime", "windows", "state")
SECONDS = 400
UNBROKEN = Mutant("as it is", "eventtime/__init__.py", "", "")

Outcome = subprocess.CompletedProcess[str]


def tell(mutant: Mutant, folder: Path, base: Path) -> Outcome:
    """Run the stories against a copy of the package with one slip in it."""
    for part in PARTS:
        # Caches go along, with the times of files: only a changed kernel is compiled again.
        shutil.copytree(base / part, folder / part, symlinks=True)
    file = folder / mutant.file
    if mutant.old:
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
    environment = {
        n: v for n, v in os.environ.items() if n not in {"NUMBA_CACHE_DIR", "PYTHONPATH"}
    }
    command = [sys.executable, str(STORIES), str(folder)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """Start on all mutants, two at a time."""
    folder = tmp_path_factory.mktemp("mutants")
    # The unbroken package first: it fills the cache of kernels that the others start from.
    tell(UNBROKEN, folder / "base", ROOT).check_returncode()
    with ThreadPoolExecutor(2) as pool:
        yield {
            mutant.name: pool.submit(tell, mutant, folder / str(i), folder / "base")
            for i, mutant in enumerate(MUTANTS)
        }


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_what_a_mutant_changes_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_every_mutant_is_caught(mutant: Mutant, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[mutant.name].result()
    assert outcome.returncode == 1, f"{mutant} survived: {outcome.stdout}{outcome.stderr}"
    # Caught by what it computes, not by being no Python.
    assert "SyntaxError" not in outcome.stdout
    assert "NameError" not in outcome.stdout
