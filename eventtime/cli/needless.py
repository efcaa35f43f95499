"""Refusing an option that would be passed over."""

from __future__ import annotations

from typing import NoReturn

import click

from eventtime.errors import PlanError

__all__ = ("refuse", "was_typed")


def was_typed(name: str) -> bool:
    """Tell whether an option of the command that runs was given, not left as it is."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not click.core.ParameterSource.DEFAULT


def refuse(
    flag: str, where: str, *, place: str | None = None, remedy: str = "leave it out"
) -> NoReturn:
    """Refuse an option that has no meaning there.

    Args:
        flag: the option, as it is typed.
        where: in which case.
        place: None: the option.
        remedy: what to do.

    Raises:
        PlanError: always.

    >>> refuse("--keep", "without checkpoints")
    Traceback (most recent call last):
    eventtime.errors.PlanError: --keep has no meaning without checkpoints
      at:  --keep
      fix: leave it out
    """
    msg = f"{flag} has no meaning {where}"
    raise PlanError(msg, place=place or flag, remedy=remedy)
