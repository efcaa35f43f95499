"""One nursery for all tests of kills, and what undisturbed runs left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kills.lives import Lives, strace
from kills.nursery import Nursery
from postgres_server import PostgresServer, binaries
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with Nursery({**os.environ, "PYTHONPATH": path}) as started:
        yield started


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Address of a PostgreSQL server of our own; '' if none is installed."""
    found = binaries()
    if found is None:
        yield ""
        return
    server = PostgresServer(found)
    yield server.dsn
    server.remove()


@pytest.fixture(scope="session")
def lives(nursery: Nursery, dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    return Lives(nursery, tmp_path_factory, dsn)


@pytest.fixture
def traced() -> None:
    """Needs strace, which CI has."""
    if strace() is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and strace is not installed")
        pytest.skip("strace is not installed")
