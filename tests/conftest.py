"""Profiles of the property tests, few examples for each change, many at night; one PostgreSQL."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from postgres_server import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer

# Where the package is installed its entry point has loaded the plugin already.
pytest_plugins = ["pytester", "pytest_eventtime"]

settings.register_profile(
    "ci",
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("nightly", parent=settings.get_profile("ci"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """Hear interrupts, as tests send some: what a shell runs in the background ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let collections of garbage, such as live runs begin with, pass over thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_if_any() -> Iterator[PostgresServer | None]:
    """A server for the session; None if none is installed."""
    with started() as server:
        yield server


@pytest.fixture(scope="session")
def postgres(postgres_if_any: PostgresServer | None) -> PostgresServer:
    """The same; its absence is an error where the tests must all run."""
    if postgres_if_any is None:
        missing = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return postgres_if_any
