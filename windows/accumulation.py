"""What a correction says: everything again, the difference, or old row back and new row out."""

from __future__ import annotations

from typing import Literal, get_args

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError

__all__ = ("AccumulationMode", "check_mode")

AccumulationMode = Literal["accumulating", "discarding", "retracting"]


def check_mode(mode: str) -> None:
    """Refuse an unknown mode (S21)."""
    if not is_one_of(mode, get_args(AccumulationMode)):
        msg = f"accumulation mode {shown(mode)} is unknown"
        raise PlanError(
            msg, place="window(mode=…)", remedy=f"one of {', '.join(get_args(AccumulationMode))}"
        )
