"""The client of Redis: connecting, and what it raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    if not str(url).startswith(("redis://", "rediss://", "unix://")):
        msg = f"{shown(without_secrets(str(url)))} is no address of Redis"
        raise PlanError(msg, place=place, remedy=remedy)
    return str(url)


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
    client: Any = redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        msg = f"Redis cannot be reached: {' '.join(str(error).split())}"
        remedy = "check that it runs, and the address and password"
        client.close()
        raise fails(msg, place=place, remedy=remedy) from error
    return client, redis.RedisError
