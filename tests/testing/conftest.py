"""What several tests of the kit use."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a transcript."""

    def write(text: str) -> Path:
        path = tmp_path / "it.transcript.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write
