"""The client of Redis: connecting, and what it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eventtime.checks import check_text, shown
from eventtime.errors import PlanError
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.errors import EventTimeError

__all__ = ("check_url", "connected")


def check_url(url: object, *, place: str) -> str:
    """Refuse what is no address of Redis.

    Raises:
        PlanError: shows it.
    """
    remedy = "such as 'redis://localhost:6379/0' or 'unix:///run/redis.sock'"
    check_text(url, what="address of Redis", place=place, remedy=remedy)
    if not _is_address(str(url)):
        # A password may hold a slash: nothing in front of the last @ is shown.
        front, at, rest = str(url).rpartition("@")
        scheme = front.partition("://")[0] if at else ""
        where = without_secrets(f"{scheme}://{rest}" if at else rest)
        msg = f"{shown(where)} is no address of Redis"
        raise PlanError(msg, place=place, remedy=remedy)
    return str(url)


def _is_address(url: str) -> bool:
    """Tell whether an address can be used; of a database that is no number the client takes 0.

    >>> [_is_address(f"redis://{rest}") for rest in ("me:x@host:6379/3", "host:port", "host/three")]
    [True, False, False]
    """
    if url.startswith("unix://"):
        return True
    try:
        parts = urlsplit(url)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    database = parts.path.strip("/")
    return (
        parts.scheme in {"redis", "rediss"}
        and is_port
        and (not database or (database.isascii() and database.isdigit()))
    )


def connected(
    url: str, fails: Callable[..., EventTimeError], *, timeout_s: float = 30.0
) -> tuple[Any, type[Exception]]:
    """Connect; returns a client and what it raises.

    Args:
        url: of the server.
        fails: makes the error.
        timeout_s: for an answer.

    Raises:
        EventTimeError: as made: redis is not installed, or nobody answers.
    """
    place = without_secrets(url)
    try:
        import redis
    except ImportError as error:
        msg = f"the client is not installed: {error}"
        raise fails(msg, place=place, remedy="pip install 'eventtime[redis]'") from error
    client: Any = None
    try:
        client = redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
        client.ping()
    except (redis.RedisError, OSError, TypeError, ValueError) as error:
        msg = f"Redis cannot be reached: {' '.join(str(error).split())}"
        remedy = "check that it runs, and the address and password"
        if isinstance(error, TypeError | ValueError):
            # Of an option behind the question mark.
            msg = f"the client of Redis does not take this address: {error}"
            remedy = "check its options"
        if client is not None:
            client.close()
        raise fails(msg, place=place, remedy=remedy) from error
    return client, redis.RedisError
