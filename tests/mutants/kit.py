"""What the testing kit alone notices: its checks over what its strategies draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from eventtime.testing import check, check_oracle
from eventtime.testing.strategies import streams
from zoo import TOLD, ZOO

if TYPE_CHECKING:
    from eventtime.testing import Streams

__all__ = ("EXAMPLES", "check_all", "check_drawn", "check_told", "drawn", "drawn_told")

EXAMPLES = 200


@st.composite
def drawn(draw: st.DrawFn) -> tuple[str, Streams]:
    """One of the small pipelines, and what happens to it."""
    name = draw(st.sampled_from(list(ZOO)))
    return name, draw(streams(ZOO[name]))


def drawn_told() -> st.SearchStrategy[Streams]:
    """What happens to a function that listens to a broadcast stream."""
    return streams(TOLD)


def check_told(happening: Streams) -> None:
    """Every check that needs no oracle."""
    check(TOLD, happening, without=["oracle"])


def check_drawn(case: tuple[str, Streams]) -> None:
    """The quickest of the checks, which notices most."""
    name, happening = case
    check_oracle(ZOO[name], happening)


def check_all(case: tuple[str, Streams]) -> None:
    """Every check of the kit."""
    name, happening = case
    check(ZOO[name], happening)
