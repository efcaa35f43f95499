"""What the testing kit alone notices: its checks over what its strategies draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from eventtime.testing import check, check_oracle
from eventtime.testing.strategies import streams
from zoo import ZOO

if TYPE_CHECKING:
    from eventtime.testing import Streams

__all__ = ("EXAMPLES", "check_all", "check_drawn", "drawn")

EXAMPLES = 200


@st.composite
def drawn(draw: st.DrawFn) -> tuple[str, Streams]:
    """One of the small pipelines, and what happens to it."""
    name = draw(st.sampled_from(list(ZOO)))
    return name, draw(streams(ZOO[name]))


def check_drawn(case: tuple[str, Streams]) -> None:
    """The quickest of the checks, which notices most."""
    name, happening = case
    check_oracle(ZOO[name], happening)


def check_all(case: tuple[str, Streams]) -> None:
    """Every check of the kit."""
    name, happening = case
    check(ZOO[name], happening)
