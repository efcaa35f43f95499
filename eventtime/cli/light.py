"""Keeping the start short: fewer searches for garbage, and nothing imported that nobody uses."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ("lighten",)

_RUN_NO_USER_CODE: Final = frozenset({"advise", "checkpoint", "demo", "replay", "tail", "top"})
"""Commands in which nobody's code can miss what is left out."""
_LEFT_OUT: Final = frozenset({"coverage", "pandas"})
"""Imported unasked where they are installed: pandas by pyarrow for the first array that it makes
(0.15 s), coverage by numba (0.04 s). Both do without."""


class _LeftOut:
    """Finds no module of certain names, whether it is installed or not."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        del path, target
        if name in _LEFT_OUT:
            msg = f"{name} is left out by the command line"
            raise ModuleNotFoundError(msg, name=name)
        return None


def lighten(command: str) -> None:
    """Prepare this process, which must be the command line's own, for one command.

    A module that is imported already stays.
    """
    # Imports make a hundred thousand objects that stay; looking through them again and again is
    # a tenth of the start.
    gc.set_threshold(50_000, 20, 20)
    if command in _RUN_NO_USER_CODE:
        sys.meta_path.insert(0, _LeftOut())
