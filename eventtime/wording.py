"""How messages count."""

from __future__ import annotations

__all__ = ("counted",)


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is one.

    >>> counted(1, "row"), counted(1_743, "result")
    ('1 row', '1,743 results')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
