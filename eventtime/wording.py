"""How messages count, and what they do not show."""

from __future__ import annotations

from typing import Final

__all__ = ("counted", "span", "without_secrets")

_STORES: Final = frozenset({"abfs", "abfss", "az", "file", "gcs", "gs", "hdfs", "memory", "s3"})
"""Schemes of files, whose paths may well hold an @."""


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is one.

    >>> counted(1, "row"), counted(1_743, "result")
    ('1 row', '1,743 results')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def without_secrets(place: str) -> str:
    """Take user, password and options off a URI; anything else stays as it is.

    A password may hold what ends one, a slash or a question mark: where that is possible, rather
    too much is hidden.

    >>> without_secrets("s3://id:secret@bucket/out?region=here"), without_secrets("a?.csv")
    ('s3://bucket/out', 'a?.csv')
    >>> without_secrets("redis://me:sec/ret@host/0")
    'redis://…@host/0'
    """
    scheme, is_uri, rest = place.partition("://")
    if not is_uri:
        return place
    front, _, options = rest.partition("?")
    host, slash, path = front.partition("/")
    if scheme.lower() not in _STORES or _is_begun_login(host):
        if "@" in options and ":" in front:
            return f"{scheme}://…"
        if "@" in path:
            return f"{scheme}://…@{path.rpartition('@')[2]}"
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _is_begun_login(host: str) -> bool:
    """Tell whether what stands before a slash is no host: a user, and how a password begins."""
    _, colon, port = host.rpartition(":")
    return bool(colon) and "@" not in host and not port.isdigit()


def span(duration_us: int) -> str:
    """Say how long something is, as people say it: two units at most.

    >>> [span(us) for us in (40_000, 1_500_000, 40_000_000, 725_000_000, 3_900_000_000)]
    ['40 ms', '1.5 s', '40 s', '12 min', '1 h 5 min']
    """
    us = abs(duration_us)
    if us < 1_000_000:
        return f"{us // 1_000} ms"
    seconds = us // 1_000_000
    if seconds < 10:
        return f"{us // 100_000 / 10:g} s"
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{seconds // 60} min"
    large, small, names = seconds // 3_600, seconds % 3_600 // 60, ("h", "min")
    if seconds >= 2 * 86_400:
        large, small, names = seconds // 86_400, seconds % 86_400 // 3_600, ("d", "h")
    return f"{large:,} {names[0]}" + (f" {small} {names[1]}" if small else "")
