"""What messages do not show: logins in addresses, whatever letters a password has."""

from __future__ import annotations

import pytest

from eventtime.wording import without_secrets


@pytest.mark.parametrize(
    "password", ["secret", "se/cret", "se@cret", "s/e@cret", "se?cret", "se#cret", "s?e/cret", "/?"]
)
@pytest.mark.parametrize(
    "address",
    [
        "redis://me:{}@host:6379/0",
        "rediss://:{}@host",
        "REDIS://me:{}@host/0",
        "postgresql://me:{}@host/data?sslmode=require",
        "postgres://me:{}@one,two/data",
        "http://me:{}@host:8081",
        "https://me:{}@host/hook",
        "kafka://me:{}@host:9092/topic",
        "s3://id:{}@bucket/out",
    ],
)
def test_no_part_of_a_password_is_shown(address: str, password: str) -> None:
    """Where it holds what ends a login, more is hidden than need be."""
    shown = without_secrets(address.format(password))
    assert not [part for part in ("se", "cret", "/?", "?", "#") if part in shown], shown
    assert shown.startswith(address.partition("://")[0] + "://")


def test_a_token_in_place_of_a_login_is_hidden() -> None:
    assert without_secrets("https://to/ken@host/hook") == "https://…@host/hook"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://me:secret@host:6379/0", "redis://host:6379/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("postgresql://host/data?password=secret", "postgresql://host/data"),
        ("https://example.org/hook?mail=me@example.org", "https://example.org/hook"),
        ("https://me:secret@example.org/hook?key=1", "https://example.org/hook"),
        ("s3://id:secret@bucket/of/me@example.org/x?region=a", "s3://bucket/of/me@example.org/x"),
        ("s3://bucket/of/me@example.org/x", "s3://bucket/of/me@example.org/x"),
        ("hdfs://node:8020/of/me@example.org", "hdfs://node:8020/of/me@example.org"),
        ("file:///home/me@example.org/x.csv", "file:///home/me@example.org/x.csv"),
        ("of/me@example.org/x.csv", "of/me@example.org/x.csv"),
    ],
)
def test_what_is_no_login_stays(address: str, shown: str) -> None:
    """Paths of stores may hold an @."""
    assert without_secrets(address) == shown
