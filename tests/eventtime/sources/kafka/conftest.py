"""A schema registry for each test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schema_registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema_registry import FakeRegistry


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    with registry() as made:
        yield made
