"""Kernels that merge or copy whole accumulators by a program: one (primitive, first word) pair a step."""

from __future__ import annotations

from numba import njit

from eventtime.state.kernels import NULL_FLAG, ROWS
from eventtime.windows.fold_kernels import add_192, less_128

__all__ = (
    "COUNT", "DECIMAL_MAX", "DECIMAL_MIN", "DECIMAL_SUM", "FIRST", "LAST", "MAX_FLOAT", "MAX_INT", "MIN_FLOAT",
    "MIN_INT", "MOMENTS", "SUM_FLOAT", "SUM_INT", "copy_words", "merge_words",
)  # fmt: skip

(
    COUNT, SUM_INT, SUM_FLOAT, MIN_INT, MAX_INT, MIN_FLOAT, MAX_FLOAT,
    MOMENTS, FIRST, LAST, DECIMAL_SUM, DECIMAL_MIN, DECIMAL_MAX,
) = range(13)  # fmt: skip

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def copy_words(into, source, words):  # type: ignore[no-untyped-def]
    """Make accumulators `into` equal to `source`, key and rows included."""
    for i in range(into.size):
        for word in range(words.shape[1]):
            words[into[i], word] = words[source[i], word]


@njit(**_options)
def merge_words(into, source, words, floats, program):  # type: ignore[no-untyped-def]
    """Merge accumulators: ``into = into + source``, where all of `into` came before `source`."""
    for i in range(into.size):
        words[into[i], ROWS] += words[source[i], ROWS] & (NULL_FLAG - 1)
        for step in range(program.shape[0]):
            _merge_one(program[step, 0], program[step, 1], into[i], source[i], words, floats)


@njit(**_options)
def _merge_one(kind, at, a, b, words, floats):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0913, PLR0917
    if kind == COUNT:
        words[a, at] += words[b, at]
    elif kind == SUM_INT:
        before, value = words[a, at], words[b, at]
        after = before + value
        words[a, at] = after
        words[a, at + 1] += words[b, at + 1]
        if ((before ^ after) & (value ^ after)) < 0:
            words[a, at + 1] += 1 if value > 0 else -1
    elif kind == SUM_FLOAT:
        floats[a, at] += floats[b, at]
    elif kind == MIN_INT:
        words[a, at] = min(words[a, at], words[b, at])
    elif kind == MAX_INT:
        words[a, at] = max(words[a, at], words[b, at])
    elif kind == MIN_FLOAT:
        if floats[b, at] < floats[a, at] or floats[a, at] != floats[a, at]:
            floats[a, at] = floats[b, at]
    elif kind == MAX_FLOAT:
        if floats[b, at] > floats[a, at] or floats[b, at] != floats[b, at]:
            floats[a, at] = floats[b, at]
    elif kind == MOMENTS:
        _merge_moments(at, a, b, words, floats)
    elif kind == DECIMAL_SUM:
        add_192(words[a], at, words[b, at], words[b, at + 1], words[b, at + 2])
    elif words[b, at] != 0 and (words[a, at] == 0 or _replaces(kind, words[a], words[b], at)):
        words[a, at], words[a, at + 1], words[a, at + 2] = words[b, at], words[b, at + 1], words[b, at + 2]


@njit(**_options)
def _replaces(kind, a, b, at):  # type: ignore[no-untyped-def]
    if kind == FIRST:
        return b[at + 1] < a[at + 1]
    if kind == LAST:
        return b[at + 1] >= a[at + 1]
    if kind == DECIMAL_MIN:
        return less_128(b[at + 2], b[at + 1], a[at + 2], a[at + 1])
    return less_128(a[at + 2], a[at + 1], b[at + 2], b[at + 1])


@njit(**_options)
def _merge_moments(at, a, b, words, floats):  # type: ignore[no-untyped-def]
    """Chan, Golub, LeVeque 1979: words are (count, mean, squared distances)."""
    n_a, n_b = words[a, at], words[b, at]
    if n_b == 0:
        return
    # Invariant: neutral + x is x, bit for bit.
    if n_a == 0:
        words[a, at] = n_b
        floats[a, at + 1], floats[a, at + 2] = floats[b, at + 1], floats[b, at + 2]
        return
    distance = floats[b, at + 1] - floats[a, at + 1]
    n = n_a + n_b
    words[a, at] = n
    floats[a, at + 1] += distance * n_b / n
    floats[a, at + 2] += floats[b, at + 2] + distance * distance * (n_a * (n_b / n))
