"""Servers of the sources that need one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from live.sources.growing_files import Reading
from redis_server import started

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def close_readings() -> Iterator[None]:
    """Close files that were read by hand."""
    yield
    for reading in Reading.every:
        reading.close()
    Reading.every.clear()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a server for the session; its absence is an error where all tests must run."""
    with started() as url:
        if url is None:
            missing = "no Redis server is installed (Debian: apt-get install redis-server)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
        yield url
