"""Waiting for what threads do: a condition, and a bound."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.sources.feed import Feed, News

_ROUNDS = 2_000
_REST_S = 0.01


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait until something is so, 20 s at most."""
    for _ in range(_ROUNDS):
        if is_so():
            return
        threading.Event().wait(_REST_S)
    raise AssertionError(what)


def taken_until(feed: Feed, is_enough: Callable[[list[News]], bool]) -> list[News]:
    """Take news until there are enough, 20 s at most."""
    news: list[News] = []

    def looked() -> bool:
        news.extend(feed.take(1_000_000, ()))
        return is_enough(news)

    until(looked, f"these came: {news}")
    return news
