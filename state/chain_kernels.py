"""Compiled kernels of chains: each slot owns a list of words, linked from newest to oldest."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ("compact", "gather", "push", "push_new", "rehash")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def push(slots, words, head, length, node_word, node_next, used):  # type: ignore[no-untyped-def]
    """Put each word at the end of the chain of its slot; the caller has made room for all."""
    for i in range(slots.size):
        slot = slots[i]
        node_word[used] = words[i]
        node_next[used] = head[slot]
        head[slot] = used
        length[slot] += 1
        used += 1
    return used


@njit(**_options)
def gather(slots, head, length, node_word, node_next, in_order, out):  # type: ignore[no-untyped-def]
    """Write the chains one after another; with `in_order`, each ascending by word."""
    end = 0
    for i in range(slots.size):
        start, end = end, end + length[slots[i]]
        node, place, ascending = head[slots[i]], end, True
        while node >= 0:
            place -= 1
            out[place] = node_word[node]
            if place + 1 < end and out[place] > out[place + 1]:
                ascending = False
            node = node_next[node]
        if in_order and not ascending:
            out[start:end].sort()


@njit(**_options)
def compact(slots, head, node_word, node_next, new_word, new_next):  # type: ignore[no-untyped-def]
    """Move the chains of the given slots into fresh nodes; returns how many there are."""
    used = 0
    for i in range(slots.size):
        node = head[slots[i]]
        if node >= 0:
            head[slots[i]] = used
        while node >= 0:
            new_word[used] = node_word[node]
            node = node_next[node]
            new_next[used] = used + 1 if node >= 0 else -1
            used += 1
    return used


@njit(inline="always", **_options)
def _mix(owner, word):  # type: ignore[no-untyped-def]
    mixed = np.uint64(word) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= (mixed >> np.uint64(32)) ^ (np.uint64(owner) * np.uint64(0xD6E8FEB86659FD93))
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    return mixed ^ (mixed >> np.uint64(29))


@njit(**_options)
def push_new(  # type: ignore[no-untyped-def]
    start, slots, words, head, length, node_word, node_next, node_owner, owner, entries, used
):
    """Push words that the chain of their slot does not hold yet.

    An entry is ``tag << 32 | node + 1``, 0 when empty. Stops where the nodes are full or the
    entries half full; returns the row to go on with and the nodes used.
    """
    mask = entries.size - 1
    room = min(node_word.size, entries.size // 2)
    for i in range(start, slots.size):
        if used == room:
            return i, used
        slot = slots[i]
        mixed = _mix(owner[slot], words[i])
        tag = np.int64(mixed & np.uint64(0xFFFFFFFF00000000))
        place = np.int64(mixed & np.uint64(mask))
        known = False
        while entries[place] != 0 and not known:
            if (entries[place] ^ tag) >> 32 == 0:
                node = (entries[place] & 0xFFFFFFFF) - 1
                known = node_word[node] == words[i] and node_owner[node] == owner[slot]
            place = (place + 1) & mask
        if not known:
            entries[place] = tag | (used + 1)
            node_word[used] = words[i]
            node_owner[used] = owner[slot]
            node_next[used] = head[slot]
            head[slot] = used
            length[slot] += 1
            used += 1
    return slots.size, used


@njit(**_options)
def rehash(used, node_word, node_owner, entries):  # type: ignore[no-untyped-def]
    """Enter all nodes into zeroed entries."""
    mask = entries.size - 1
    for node in range(used):
        mixed = _mix(node_owner[node], node_word[node])
        place = np.int64(mixed & np.uint64(mask))
        while entries[place] != 0:
            place = (place + 1) & mask
        entries[place] = np.int64(mixed & np.uint64(0xFFFFFFFF00000000)) | (node + 1)
