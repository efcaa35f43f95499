"""Deliberately broken variants of the package are each noticed by a set of the other tests.

More than forty are noticed by the testing kit alone. A sixth of all is tried here, over a quarter
of the examples, and a few by the kit; all of them under HYPOTHESIS_PROFILE=nightly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from mutants.kit_catches import CAUGHT_BY_KIT, QUICK_FOR_KIT
from mutants.slips import MUTANTS, Mutant
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STORIES = Path(__file__).parent / "stories.py"
PARTS = ("eventtime", "windows", "state")
ANY_STORY = "by hand"

KIT = "kit"
NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SECONDS: Final = 1_500 if NIGHTLY else 400
SHARE: Final = 1 if NIGHTLY else 4
"""Of the examples of a story one of so many is tried."""


def each(mutants: Sequence[Mutant]) -> pytest.MarkDecorator:
    name = attrgetter("name")
    return pytest.mark.parametrize("mutant", mutants, ids=lambda m: name(m).replace(" ", "-"))


every_mutant = each(MUTANTS)
not_of_the_kit = each([m for m in MUTANTS if m.story != KIT][:: 1 if NIGHTLY else 6])
by_the_kit = each([m for m in MUTANTS if m.name in (CAUGHT_BY_KIT if NIGHTLY else QUICK_FOR_KIT)])


def copy(package: Path, folder: Path, by: Callable[[str, str], object]) -> None:
    """Copy the package with the caches of its code and kernels, without files half written."""
    half_written = shutil.ignore_patterns("*.tmp.*", "*.pyc.*")
    for part in PARTS:
        shutil.copytree(
            package / part, folder / part, symlinks=True, ignore=half_written, copy_function=by
        )


def tell(folder: Path, first: str) -> subprocess.CompletedProcess[str]:
    """Run the stories against the package in a folder, the one named first."""
    environment = {
        n: v for n, v in os.environ.items() if n not in {"NUMBA_CACHE_DIR", "PYTHONPATH"}
    }
    command = [sys.executable, str(STORIES), str(folder), first, str(SHARE)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is, with the cache of its kernels; all stories hold for it."""
    folder = tmp_path_factory.mktemp("unbroken")
    copy(ROOT, folder, shutil.copy2)
    told = tell(folder, ANY_STORY)
    assert told.returncode == 0, told.stdout + told.stderr
    return folder


@every_mutant
def test_what_a_mutant_changes_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1


def test_the_kit_alone_catches_forty() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert set(names) >= CAUGHT_BY_KIT >= QUICK_FOR_KIT
    assert {mutant.name for mutant in MUTANTS if mutant.story == KIT} <= CAUGHT_BY_KIT
    assert len(CAUGHT_BY_KIT) >= 40


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
@by_the_kit
def test_the_kit_alone_catches(mutant: Mutant, unbroken: Path, tmp_path: Path) -> None:
    caught(mutant, KIT, unbroken, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
@not_of_the_kit
def test_every_mutant_is_caught(mutant: Mutant, unbroken: Path, tmp_path: Path) -> None:
    caught(mutant, mutant.story, unbroken, tmp_path)


def caught(mutant: Mutant, story: str, unbroken: Path, tmp_path: Path) -> None:
    # Caches go along, with the times of files: only a changed kernel is compiled again. Nothing is
    # written into a file that is there: Python and numba put new ones in their place.
    copy(unbroken, tmp_path, os.link)
    file = tmp_path / mutant.file
    text = file.read_text()
    file.unlink()
    file.write_text(text.replace(mutant.old, mutant.new))
    told = tell(tmp_path, story)
    assert told.returncode == 1, f"{mutant} survived: {told.stdout}{told.stderr}"
    # By what it computes, not by being no Python, nor by no story.
    _, _, error = told.stdout.partition(": ")
    assert error, told.stderr
    assert not error.startswith(("SyntaxError", "NameError"))
    shutil.rmtree(tmp_path)
