"""Kernels that give equal byte strings, or rows of words, equal small ids; each is hashed once."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from eventtime.state.kernels import hash_word

__all__ = ("copy_bytes", "intern_bytes", "intern_rows", "rebuild")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_MANY = np.uint64(0x9E3779B97F4A7C15)


@intrinsic
def _load8(typingctx, address):  # type: ignore[no-untyped-def]
    """Load eight bytes at any address, aligned or not."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64), codegen


@intrinsic
def _load1(typingctx, address):  # type: ignore[no-untyped-def]
    """Load one byte."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return types.uint64(types.int64), codegen


@njit(inline="always", **_options)
def _short_word(address, length):  # type: ignore[no-untyped-def]
    """Gather fewer than eight bytes without reading past them."""
    word = np.uint64(0)
    for i in range(length):
        word |= _load1(address + i) << np.uint64(8 * i)
    return word


@njit(inline="always", **_options)
def _hash_bytes(address, length):  # type: ignore[no-untyped-def]
    mixed = np.uint64(length) * _MANY
    if length < 8:
        return hash_word(mixed ^ _short_word(address, length))
    end = address + length - 8
    while address < end:
        mixed = (mixed ^ _load8(address)) * _MANY
        mixed ^= mixed >> np.uint64(29)
        address += 8
    return hash_word(mixed ^ _load8(end))


@njit(inline="always", **_options)
def _equal_bytes(a, b, length):  # type: ignore[no-untyped-def]
    if length < 8:
        return _short_word(a, length) == _short_word(b, length)
    for at in range(0, length - 7, 8):
        if _load8(a + at) != _load8(b + at):
            return False
    return _load8(a + length - 8) == _load8(b + length - 8)


@njit(inline="always", **_options)
def _entry(mixed, number):  # type: ignore[no-untyped-def]
    return np.int64((mixed >> np.uint64(32)) << np.uint64(32)) | (number + 1)


@njit(**_options)
def intern_bytes(data, offsets, valid, position, entries, spans, blob, free, counts, out):  # type: ignore[no-untyped-def]
    """Intern the strings from `position` on; stops early where a table must grow.

    Args:
        data: address of the first byte; offsets: (n + 1,) int32 or int64; valid: (n,) bytes or
            empty.
        entries: open-addressed, ``tag << 32 | id + 1``; spans: (ids, 2) start and length in `blob`.
        free: ids to give out next, from the back; counts: (ids given, blob bytes used, ids free).

    Returns:
        The position reached, and what is short: 0 nothing, 1 entries, 2 ids, 3 bytes.
    """
    mask = entries.size - 1
    start_of_blob = blob.ctypes.data
    n = offsets.size - 1
    for i in range(position, n):
        if valid.size > 0 and valid[i] == 0:
            out[i] = 0
            continue
        address = data + np.int64(offsets[i])
        length = np.int64(offsets[i + 1]) - np.int64(offsets[i])
        mixed = _hash_bytes(address, length)
        tag = _entry(mixed, -1)
        place = np.int64(mixed & np.uint64(mask))
        while True:
            entry = entries[place]
            if entry == 0:
                if counts[0] * 5 >= entries.size * 3:
                    return i, 1
                if counts[2] == 0:
                    return i, 2
                if counts[1] + length > blob.size:
                    return i, 3
                counts[2] -= 1
                number = free[counts[2]]
                for at in range(length):
                    blob[counts[1] + at] = np.uint8(_load1(address + at))
                spans[number, 0], spans[number, 1] = counts[1], length
                counts[1] += length
                counts[0] += 1
                entries[place] = _entry(mixed, number)
                out[i] = number
                break
            if (entry ^ tag) >> 32 == 0:
                number = (entry & 0xFFFFFFFF) - 1
                if spans[number, 1] == length and _equal_bytes(
                    start_of_blob + spans[number, 0], address, length
                ):
                    out[i] = number
                    break
            place = (place + 1) & mask
    return n, 0


@njit(inline="always", **_options)
def _hash_row(row):  # type: ignore[no-untyped-def]
    mixed = np.uint64(row.size)
    for word in range(row.size):
        mixed = hash_word(np.int64(mixed) ^ row[word]) + np.uint64(word)
    return mixed


@njit(**_options)
def intern_rows(rows, position, entries, known, free, counts, out):  # type: ignore[no-untyped-def]
    """Intern rows of words as `intern_bytes` does; (ids, width) `known` for spans and blob."""
    mask = entries.size - 1
    for i in range(position, rows.shape[0]):
        mixed = _hash_row(rows[i])
        tag = _entry(mixed, -1)
        place = np.int64(mixed & np.uint64(mask))
        while True:
            entry = entries[place]
            if entry == 0:
                if counts[0] * 5 >= entries.size * 3:
                    return i, 1
                if counts[2] == 0:
                    return i, 2
                counts[2] -= 1
                number = free[counts[2]]
                known[number] = rows[i]
                counts[0] += 1
                entries[place] = _entry(mixed, number)
                out[i] = number
                break
            if (entry ^ tag) >> 32 == 0:
                number = (entry & 0xFFFFFFFF) - 1
                same = True
                for word in range(rows.shape[1]):
                    same = same and known[number, word] == rows[i, word]
                if same:
                    out[i] = number
                    break
            place = (place + 1) & mask
    return rows.shape[0], 0


@njit(**_options)
def rebuild(numbers, spans, blob, known, entries):  # type: ignore[no-untyped-def]
    """Enter living ids into zeroed entries; `known` is empty for byte strings."""
    mask = entries.size - 1
    for i in range(numbers.size):
        number = numbers[i]
        if known.shape[1] > 0:
            mixed = _hash_row(known[number])
        else:
            mixed = _hash_bytes(blob.ctypes.data + spans[number, 0], spans[number, 1])
        place = np.int64(mixed & np.uint64(mask))
        while entries[place] != 0:
            place = (place + 1) & mask
        entries[place] = _entry(mixed, number)


@njit(**_options)
def copy_bytes(spans, ids, blob, offsets, out):  # type: ignore[no-untyped-def]
    """Lay the strings of ids side by side."""
    for i in range(ids.size):
        start, at = np.uint64(spans[ids[i], 0]), np.uint64(offsets[i])
        for b in range(np.uint64(spans[ids[i], 1])):
            out[at + b] = blob[start + b]
