"""Kernels that give equal byte strings equal small ids, a block of rows at a time.

A string of up to 16 bytes is two words and its length: equal words are equal strings. Of a longer
one the words are a hash and the length, and the bytes decide. An entry holds ``first word, second
word, kind << 32 | id + 1`` (kind: the length + 1, or _LONG), zeros when free. So most strings are
found by one look at memory that was asked for while the rest of their block was hashed.

Functions within take addresses: an array handed on costs reference counts for each row.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from eventtime.state.memory_kernels import prefetch

__all__ = ("ENTRY_WORDS", "SLACK", "copy_bytes", "intern_bytes", "lay_out", "move_entries")

ENTRY_WORDS = 3
# Bytes past the last string that `copy_bytes` may read and write.
SLACK = 16

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_ENTRY = np.int64(8 * ENTRY_WORDS)
_SPAN = np.int64(16)
_SHORT = np.int64(16)
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)
# Kinds; a free entry has none, so the empty string has 1.
_LONG, _NULL = np.uint64(18), np.uint64(19)
_ID, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_SALT, _PEPPER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_BLOCK = np.uint64(64)
_AHEAD = np.uint64(16)
# What is known of the rows of a block; the last lists those that were not found at once.
_FIRST, _SECOND, _KIND, _PLACE, _MISSED = (np.uint64(i) for i in range(5))


def _own_bits(length: int, word: int) -> int:
    """Mask a word of the 16 bytes that end where a string ends: only its own bytes count."""
    own = min(max(length - 8 * (1 - word), 0), 8)
    return (1 << 64) - (1 << (64 - 8 * own))


_OWN = np.array([[_own_bits(length, word) for word in range(2)] for length in range(17)], np.uint64)


@intrinsic
def _load8(typingctx, address):  # type: ignore[no-untyped-def]
    """Load eight bytes at any address, aligned or not."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64), codegen


@intrinsic
def _store8(typingctx, address, word):  # type: ignore[no-untyped-def]
    """Store eight bytes at any address, aligned or not."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store(args[1], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), codegen


@intrinsic
def _load1(typingctx, address):  # type: ignore[no-untyped-def]
    """Load one byte."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(pointer), ir.IntType(64))

    return types.uint64(types.int64), codegen


@intrinsic
def _folded(typingctx, a, b):  # type: ignore[no-untyped-def]
    """Multiply to 128 bits and fold the halves: every bit of both words reaches every bit."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, wide(64)), word)
        return builder.xor(builder.trunc(product, word), high)

    return types.uint64(types.uint64, types.uint64), codegen


@njit(inline="always", **_options)
def _hash(first, second, kind):  # type: ignore[no-untyped-def]
    return _folded(first ^ kind ^ _SALT, second ^ _PEPPER)


@njit(inline="always", **_options)
def _hash_long(address, length):  # type: ignore[no-untyped-def]
    mixed = np.uint64(length)
    end = address + length - 16
    while address < end:
        mixed = _folded(_load8(address) ^ mixed ^ _SALT, _load8(address + 8) ^ _PEPPER)
        address += 16
    return _folded(_load8(end) ^ mixed ^ _SALT, _load8(end + 8) ^ _PEPPER)


@njit(inline="always", **_options)
def _same_long(a, b, length):  # type: ignore[no-untyped-def]
    for at in range(0, length - 7, 8):
        if _load8(a + at) != _load8(b + at):
            return False
    return _load8(a + length - 8) == _load8(b + length - 8)


@njit(**_options)
def _near_the_start(data, start, end):  # type: ignore[no-untyped-def]
    """Gather the words of a short string before whose end there are no 16 bytes to read."""
    first, second = _ZERO, _ZERO
    for at in range(start, end):
        first = (first >> np.uint64(8)) | (second << np.uint64(56))
        second = (second >> np.uint64(8)) | (_load1(data + at) << np.uint64(56))
    return first, second


@njit(**_options)
def _shift_of(places):  # type: ignore[no-untyped-def]
    """Return how far to shift a hash to get a place: its high bits, so that moving keeps order."""
    shift = 64
    while (1 << (64 - shift)) < places:
        shift -= 1
    return np.uint64(shift)


@njit(inline="always", **_options)
def _number(entry):  # type: ignore[no-untyped-def]
    """Return the id of an entry; -1 when it is free."""
    return np.int64(_load8(entry + 16) & _ID) - 1


@njit(inline="always", **_options)
def _holds(entry, first, second, kind):  # type: ignore[no-untyped-def]
    """Whether an entry has these words and this kind; no branch."""
    return (
        (_load8(entry) == first)
        & (_load8(entry + 8) == second)
        & ((_load8(entry + 16) >> _HALF) == kind)
    )


@njit(**_options)
def _read_block(data, offsets, valid, at, n, entries, shift, block):  # type: ignore[no-untyped-def]
    """Describe `n` rows in `block` and ask for their entries; returns whether any is long."""
    some_long = False
    for j in range(n):
        if valid.size > 0 and valid[at + j] == 0:
            block[_KIND, j], block[_PLACE, j] = _NULL, _ZERO
            continue
        start, end = np.int64(offsets[at + j]), np.int64(offsets[at + j + _ONE])
        length = np.uint64(end - start)
        kind = length + _ONE
        if end - start > _SHORT:
            kind = _LONG
            some_long = True
            first, second = _hash_long(data + start, end - start), length
        elif end >= _SHORT:
            first = _load8(data + end - 16) & _OWN[length, _ZERO]
            second = _load8(data + end - 8) & _OWN[length, _ONE]
        else:
            first, second = _near_the_start(data, start, end)
        place = _hash(first, second, kind) >> shift
        block[_FIRST, j], block[_SECOND, j] = first, second
        block[_KIND, j], block[_PLACE, j] = kind, place
        # It and its neighbour may lie on two lines.
        prefetch(entries + _ENTRY * np.int64(place))
        prefetch(entries + _ENTRY * np.int64(place) + 40)
    return some_long


@njit(**_options)
def _look_ahead(block, n, entries, spans, blob):  # type: ignore[no-untyped-def]
    """Ask for the bytes of the strings that the rows of a block are likely to be."""
    for j in range(n):
        prefetch(spans + _SPAN * _number(entries + _ENTRY * np.int64(block[_PLACE, j])))
    for j in range(n):
        number = _number(entries + _ENTRY * np.int64(block[_PLACE, j]))
        if number >= 0:
            prefetch(blob + np.int64(_load8(spans + _SPAN * number)))


@njit(**_options)
def _guess(data, offsets, at, n, some_long, entries, wrap, spans, blob, block, out):  # type: ignore[no-untyped-def]
    """Answer what two places tell, without a branch; lists the other rows, returns how many."""
    missed = _ZERO
    for j in range(n):
        first, second, kind = block[_FIRST, j], block[_SECOND, j], block[_KIND, j]
        entry = entries + _ENTRY * np.int64(block[_PLACE, j])
        other = entries + _ENTRY * np.int64((block[_PLACE, j] + _ONE) & wrap)
        found = _holds(entry, first, second, kind)
        entry = entry if found else other
        found |= _holds(other, first, second, kind)
        number = _number(entry)
        if some_long and found and kind == _LONG:
            text = blob + np.int64(_load8(spans + _SPAN * number))
            found = _same_long(text, data + np.int64(offsets[at + j]), np.int64(second))
        out[at + j] = number
        block[_MISSED, missed] = j
        missed += np.uint64(not found)
    return missed


@njit(inline="always", **_options)
def _find(address, first, second, kind, place, entries, wrap, spans, blob):  # type: ignore[no-untyped-def]
    """Return the entry of the string at an address, or the free one where it belongs."""
    while True:
        entry = entries + _ENTRY * np.int64(place)
        number = _number(entry)
        if number < 0:
            break
        if _holds(entry, first, second, kind):
            text = blob + np.int64(_load8(spans + _SPAN * number))
            if kind != _LONG or _same_long(text, address, np.int64(second)):
                break
        place = (place + _ONE) & wrap
    return entry


@njit(**_options)
def _enter(address, length, places, spans, blob, free, counts):  # type: ignore[no-untyped-def]
    """Keep a new string; returns ``(id, 0)`` or what is short, as `intern_bytes` does."""
    if counts[0] * 5 >= places * 3:
        return np.int64(-1), 1
    if counts[2] == 0:
        return np.int64(-1), 2
    if counts[1] + length + SLACK > blob.size:
        return np.int64(-1), 3
    counts[2] -= 1
    number = free[counts[2]]
    for at in range(length):
        blob[counts[1] + at] = np.uint8(_load1(address + at))
    spans[number, 0], spans[number, 1] = counts[1], length
    counts[1] += length
    counts[0] += 1
    return number, 0


@njit(**_options)
def intern_bytes(data, offsets, valid, position, entries, spans, blob, free, counts, out):  # type: ignore[no-untyped-def]
    """Intern the strings from `position` on; stops early where a table must grow.

    Args:
        data: address of the first byte; offsets: (n + 1,) int32 or int64; valid: (n,) bytes or
            empty.
        entries: (places, ENTRY_WORDS), open-addressed; spans: (ids, 2) start and length in `blob`.
        free: ids to give out next, from the back; counts: (ids given, blob bytes used, ids free).

    Returns:
        The position reached, and what is short: 0 nothing, 1 entries, 2 ids, 3 bytes.
    """
    end, at = np.uint64(offsets.size - 1), np.uint64(position)
    places = entries.shape[0]
    shift, wrap = _shift_of(places), np.uint64(places - 1)
    table, where = np.int64(entries.ctypes.data), np.int64(spans.ctypes.data)
    text = np.int64(blob.ctypes.data)
    block = np.empty((5, _BLOCK), np.uint64)
    while at < end:
        n = min(_BLOCK, end - at)
        some_long = _read_block(data, offsets, valid, at, n, table, shift, block)
        if some_long:
            _look_ahead(block, n, table, where, text)
        missed = _guess(data, offsets, at, n, some_long, table, wrap, where, text, block, out)
        for i in range(missed):
            j = block[_MISSED, i]
            first, second, kind = block[_FIRST, j], block[_SECOND, j], block[_KIND, j]
            if kind == _NULL:
                out[at + j] = 0
                continue
            start = np.int64(offsets[at + j])
            entry = _find(
                data + start, first, second, kind, block[_PLACE, j], table, wrap, where, text
            )
            number = _number(entry)
            if number < 0:
                length = np.int64(offsets[at + j + _ONE]) - start
                number, short = _enter(data + start, length, places, spans, blob, free, counts)
                if short != 0:
                    # All rows before this one have their ids.
                    return np.int64(at + j), short
                _store8(entry, first)
                _store8(entry + 8, second)
                _store8(entry + 16, (kind << _HALF) | np.uint64(number + 1))
            out[at + j] = number
        at += n
    return np.int64(end), 0


@njit(**_options)
def move_entries(old, alive, entries):  # type: ignore[no-untyped-def]
    """Move entries into zeroed ones, more or fewer: those of `alive` ids, or all if it is empty."""
    wrap, shift = np.uint64(entries.shape[0] - 1), _shift_of(entries.shape[0])
    for i in range(np.uint64(old.shape[0])):
        last = old[i, _TWO]
        if last == _ZERO or (alive.size > 0 and not alive[(last & _ID) - _ONE]):
            continue
        place = _hash(old[i, _ZERO], old[i, _ONE], last >> _HALF) >> shift
        while entries[place, _TWO] != _ZERO:
            place = (place + _ONE) & wrap
        for word in range(np.uint64(ENTRY_WORDS)):
            entries[place, word] = old[i, word]


@njit(**_options)
def lay_out(spans, ids, offsets):  # type: ignore[no-untyped-def]
    """Write where the strings of ids begin, (n + 1,), when they lie in a row; returns the end."""
    where, n, total = np.int64(spans.ctypes.data), np.uint64(ids.size), np.int64(0)
    offsets[0] = 0
    for i in range(n):
        if i + _AHEAD < n:
            prefetch(where + _SPAN * ids[i + _AHEAD])
        total += spans[np.uint64(ids[i]), _ONE]
        offsets[i + _ONE] = total
    return total


@njit(**_options)
def copy_bytes(spans, ids, blob, offsets, out):  # type: ignore[no-untyped-def]
    """Lay the strings of ids side by side; `blob` and `out` end with SLACK bytes of no meaning."""
    where, text = np.int64(spans.ctypes.data), np.int64(blob.ctypes.data)
    target, n = np.int64(out.ctypes.data), np.uint64(ids.size)
    for i in range(n):
        if i + _TWO * _AHEAD < n:
            prefetch(where + _SPAN * ids[i + _TWO * _AHEAD])
        if i + _AHEAD < n:
            prefetch(text + spans[np.uint64(ids[i + _AHEAD]), _ZERO])
        number = np.uint64(ids[i])
        source, to = text + spans[number, _ZERO], target + np.int64(offsets[i])
        for at in range(0, spans[number, _ONE], 16):
            # What is copied past the end is overwritten by the next string.
            _store8(to + at, _load8(source + at))
            _store8(to + at + 8, _load8(source + at + 8))
