"""What the tests of bad input share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import eventtime as et

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refusals import Refused


@pytest.fixture
def refused() -> Refused:
    """Expect an error that shows the value, the place and the remedy, each in its line."""

    @contextmanager
    def expect(
        kind: type[et.EventTimeError], value: str, place: str, remedy: str
    ) -> Iterator[None]:
        with pytest.raises(et.EventTimeError) as caught:
            yield
        assert type(caught.value) is kind
        what, *rest = str(caught.value).splitlines()
        assert value in what
        assert rest[-1].startswith("  fix: ")
        assert remedy in rest[-1]
        if len(rest) == 1:
            # The place is left out where the first line says it already.
            assert place in what
        else:
            assert rest[0].startswith("  at:  ")
            assert place in rest[0]
            assert len(rest) == 2

    return expect
