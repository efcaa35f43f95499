"""Rows that every sink is asked to hold, and a look at what is in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from s3_server import BUCKET, S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def results() -> pa.Table:
    """Rows as the engine emits them: keys with a null, bounds over three days, a dictionary."""
    n = 600
    return pa.table(
        {
            "origin": pa.array([None if i % 7 == 0 else f"K{i % 5}" for i in range(n)]),
            "window_start": pa.array(
                [(i * 200 - 20_000) * 1_000_000 for i in range(n)], pa.timestamp("us", "UTC")
            ),
            "flights": pa.array([None if i % 11 == 0 else i for i in range(n)], pa.int64()),
            "delay": pa.array([i / 7 for i in range(n)], pa.float64()),
            "version": pa.array([1] * n, pa.int32()),
            "timing": pa.array(["on_time", "late"] * (n // 2))
            .dictionary_encode()
            .cast(pa.dictionary(pa.int8(), pa.string())),
            "is_final": pa.array([True, False] * (n // 2)),
        }
    )


@pytest.fixture
def tree() -> Callable[[Path], list[str]]:
    """All files below a folder, hidden ones too, relative and sorted."""

    def walk(folder: Path) -> list[str]:
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    return walk


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An object store for the session."""
    server = S3Server()
    server.filesystem().create_dir(BUCKET)
    yield server
    server.stop()
