"""How long PostgreSQL is waited for: what the address says, and otherwise our bounds."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from eventtime.postgres_client import bounded

OURS = {
    "connect_timeout": "10",
    "keepalives_count": "3",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "tcp_user_timeout": "60000",
}


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:p%3Fw@db.example:5433/weather",
        "postgresql://me:odd?=word@db.example/weather",
        "postgres://one,two/weather?",
        "postgresql://",
        "postgresql:///weather?host=/run/postgresql&user=me@there",
        "host=db.example user=me password='two words' dbname=weather",
        "",
    ],
)
def test_libpq_reads_the_same_address_with_bounds(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    assert conninfo_to_dict(bounded(dsn)) == conninfo_to_dict(dsn) | OURS


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://db.example?connect_timeout=0&keepalives_idle=7&application_name=x",
        "host=db.example connect_timeout=0 keepalives_idle=7 application_name=x",
    ],
)
def test_what_the_address_says_holds(dsn: str) -> None:
    known = conninfo_to_dict(bounded(dsn))
    assert known == {**OURS, **conninfo_to_dict(dsn)}
    assert known["connect_timeout"] == "0"


def test_the_usual_variable_holds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    assert "connect_timeout" not in bounded("postgresql://db.example")
