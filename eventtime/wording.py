"""How messages count, and what they do not show."""

from __future__ import annotations

__all__ = ("counted", "without_secrets")


def counted(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural unless it is one.

    >>> counted(1, "row"), counted(1_743, "result")
    ('1 row', '1,743 results')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def without_secrets(place: str) -> str:
    """Take user, password and options off a URI; anything else stays as it is.

    >>> without_secrets("s3://id:secret@bucket/out?region=here"), without_secrets("a?.csv")
    ('s3://bucket/out', 'a?.csv')
    """
    scheme, is_uri, rest = place.partition("://")
    if not is_uri:
        return place
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
