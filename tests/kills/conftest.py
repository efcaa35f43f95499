"""One nursery for all tests of kills, what undisturbed runs left, and how many were killed."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kills.lives import Lives
from kills.nursery import Nursery
from kills.tracer import can_trace
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with Nursery({**os.environ, "PYTHONPATH": path}) as started:
        yield started


@pytest.fixture(scope="session")
def lives(
    nursery: Nursery,
    postgres_if_any: PostgresServer | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Lives:
    dsn = "" if postgres_if_any is None else postgres_if_any.dsn
    return Lives(nursery, tmp_path_factory, dsn)


@pytest.fixture(scope="session")
def tally() -> Iterator[Counter[str]]:
    """How many processes met what; added to the file that EVENTTIME_TALLY names, if any."""
    counts: Counter[str] = Counter()
    yield counts
    place = os.environ.get("EVENTTIME_TALLY")
    if place:
        lines = [f"{n:6,}  {what}\n" for what, n in sorted(counts.items())]
        with Path(place).open("a") as file:
            file.writelines(lines)


@pytest.fixture
def traced() -> None:
    """Needs a machine whose system calls can be followed."""
    if can_trace():
        return
    (pytest.fail if os.environ.get("CI") else pytest.skip)("system calls are known on x86-64 only")
