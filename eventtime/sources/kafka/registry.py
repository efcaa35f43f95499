"""A schema registry: the header that messages have with one, and schemas asked for by their id."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from eventtime.checks import check_text, shown
from eventtime.errors import PlanError, SourceError
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("HEADER_BYTES", "Registered", "Registry", "check_registry", "schema_id")

HEADER_BYTES: Final = 5
_WAIT_S: Final = 5.0
_PAUSES_S: Final = (0.2, 1.0)
_TRY_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_MOST_BYTES: Final = 16 << 20
_MOST_UNKNOWN: Final = 10_000


class Registered(NamedTuple):
    """A schema as the registry keeps it.

    Args:
        kind: 'AVRO', 'PROTOBUF' or 'JSON'.
        texts: it is the last; in front of it are those that it refers to.
    """

    kind: str
    texts: tuple[str, ...]


def schema_id(value: bytes) -> int:
    r"""Return the id in the header of a message: a zero byte, then four, the greatest first.

    Raises:
        ArrowInvalid: there is none.

    >>> schema_id(b"\x00\x00\x00\x01\x02...")
    258
    """
    if len(value) < HEADER_BYTES or value[0]:
        message = "it has no header of a schema registry (a zero byte and an id)"
        raise pa.ArrowInvalid(message)
    return int.from_bytes(value[1:HEADER_BYTES])


def check_registry(url: object, *, place: str) -> str:
    """Refuse what is no address of a registry.

    Raises:
        PlanError: shows it, without password.
    """
    place, remedy = f"{place}: registry=…", "such as 'http://localhost:8081'"
    check_text(url, what="address of a schema registry", place=place, remedy=remedy)
    if not str(url).startswith(("http://", "https://")):
        msg = f"{shown(without_secrets(str(url)))} is no address of a schema registry"
        raise PlanError(msg, place=place, remedy=remedy)
    return str(url).rstrip("/")


@dataclass(eq=False)
class Registry:
    """Asks for each schema once; what it said is kept.

    Args:
        url: where it is; a user and password in it are sent as such.
        pause: waits so many seconds before it is asked again.
    """

    url: str = field(repr=False)
    pause: Callable[[float], None] = time.sleep
    _known: dict[int, Registered] = field(default_factory=dict, repr=False)
    _unknown: set[int] = field(default_factory=set, repr=False)

    def schema(self, number: int) -> Registered:
        """Return the schema of an id; one that is unknown stays so, as ids come before messages.

        Raises:
            ArrowInvalid: it is unknown.
            SourceError: the registry cannot be reached, though asked three times, or refuses.
        """
        if number in self._known:
            return self._known[number]
        told = None if number in self._unknown else self._asked(f"schemas/ids/{number}")
        if told is None:
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(number)
            message = f"the schema registry does not know its schema id {number}"
            raise pa.ArrowInvalid(message)
        texts: dict[str, None] = {}
        self._gather(told, texts)
        found = Registered(told.get("schemaType") or "AVRO", tuple(texts))
        self._known[number] = found
        return found

    def _gather(self, told: dict[str, Any], texts: dict[str, None]) -> None:
        """Add a schema behind those that it refers to."""
        from urllib.parse import quote

        for other in told.get("references") or ():
            subject, version = (
                quote(str(other.get(part)), safe="") for part in ("subject", "version")
            )
            found = self._asked(f"subjects/{subject}/versions/{version}")
            if found is None:
                message = f"the schema registry does not know what it refers to: {other}"
                raise pa.ArrowInvalid(message)
            self._gather(found, texts)
        texts[told["schema"]] = None

    def _asked(self, path: str) -> dict[str, Any] | None:
        """Ask; None: there is no such thing."""
        from http.client import HTTPException
        from urllib.error import HTTPError

        why = ""
        for pause in (*_PAUSES_S, None):
            try:
                return self._answer(path)
            except HTTPError as error:
                error.close()
                if error.code == 404:
                    return None
                why = f"it answered {error.code} {error.reason}"
                if error.code not in _TRY_AGAIN:
                    why = f"refuses: {why}"
                    raise self._failed(why) from error
            except (OSError, HTTPException) as error:
                why = " ".join(str(error).split()) or type(error).__name__
            except (ValueError, KeyError) as error:
                why = f"does not answer as one: {error}"
                raise self._failed(why) from error
            if pause is not None:
                self.pause(pause)
        why = f"cannot be reached: {why}"
        raise self._failed(why)

    def _answer(self, path: str) -> dict[str, Any]:
        from base64 import b64encode
        from urllib.parse import unquote, urlsplit, urlunsplit
        from urllib.request import Request, urlopen

        parts = urlsplit(self.url)
        headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        login, _, host = parts.netloc.rpartition("@")
        if login:
            headers["Authorization"] = f"Basic {b64encode(unquote(login).encode()).decode()}"
        url = urlunsplit((parts.scheme, host, f"{parts.path}/{path}", "", ""))
        with urlopen(Request(url, headers=headers), timeout=_WAIT_S) as answer:
            told = json.loads(answer.read(_MOST_BYTES))
        if not (isinstance(told, dict) and isinstance(told.get("schema"), str)):
            msg = f"there is no schema in {shown(told)}"
            raise ValueError(msg)
        return told

    def _failed(self, what: str) -> SourceError:
        msg = f"the schema registry {what}"
        remedy = "check that it runs, and the address, user and password in registry="
        return SourceError(msg, place=without_secrets(self.url), remedy=remedy)
