"""Compiled kernels that pick the best row of each slot, by a key or by bytes."""

from __future__ import annotations

from numba import njit

__all__ = ("best_by_bytes", "best_by_key", "number_slots")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def number_slots(slots, scratch, touched, local):  # type: ignore[no-untyped-def]
    """Number the slots of a batch by first appearance; returns how many there are.

    Afterwards ``touched[local[i]] == slots[i]``. `scratch` is -1 for every slot, before and after.
    """
    n = 0
    for i in range(slots.size):
        number = scratch[slots[i]]
        if number < 0:
            number = n
            scratch[slots[i]] = n
            touched[n] = slots[i]
            n += 1
        local[i] = number
    for i in range(n):
        scratch[touched[i]] = -1
    return n


@njit(**_options)
def best_by_key(local, keys, first, greatest, later, best):  # type: ignore[no-untyped-def]
    """Let row i, with key ``keys[first + i]``, stand against the best of its slot so far.

    `greatest`: a greater key wins; otherwise a smaller. `later`: an equal key wins too.
    `best` holds positions in `keys`, -1 for none.
    """
    for i in range(local.size):
        row, held = first + i, best[local[i]]
        if held < 0:
            best[local[i]] = row
            continue
        a, b = keys[row], keys[held]
        better = later if a == b else (a > b) == greatest
        if better:
            best[local[i]] = row


@njit(**_options)
def best_by_bytes(local, starts, data, first, greatest, best):  # type: ignore[no-untyped-def]
    """As `best_by_key`, with spans of bytes for keys; of equal ones the earlier stays."""
    for i in range(local.size):
        row, held = first + i, best[local[i]]
        if held < 0:
            best[local[i]] = row
            continue
        a, a_end, b, b_end = starts[row], starts[row + 1], starts[held], starts[held + 1]
        while a < a_end and b < b_end and data[a] == data[b]:
            a += 1
            b += 1
        if a < a_end and b < b_end:
            better = (data[a] > data[b]) == greatest
        elif a_end - a == b_end - b:
            better = False
        else:
            # One is the beginning of the other: the longer is the greater.
            better = (a < a_end) == greatest
        if better:
            best[local[i]] = row
