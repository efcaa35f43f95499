"""Keeping the start short: pandas, which nothing here uses, is not imported."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ("RUNS_NO_USER_CODE", "leave_out_pandas")

RUNS_NO_USER_CODE: Final = frozenset({"advise", "demo", "replay"})
"""Commands that nobody's code can miss pandas in."""


class _LeftOut:
    """Finds no module of a name, whether it is installed or not."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name == "pandas":
            msg = "left out by the command line"
            raise ModuleNotFoundError(msg, name=name)
        return None


def leave_out_pandas() -> None:
    """Make `import pandas` fail in this process, which must be the command line's own.

    Where pandas is installed, pyarrow imports it for the first array it makes: 0.15 s for nothing.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _LeftOut())
