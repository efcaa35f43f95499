"""Formats of values by their names, and what is said about each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from eventtime.checks import check_flag, is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sources.inference import as_schema
from eventtime.sources.kafka.avro import avro_payload
from eventtime.sources.kafka.payloads import RAW_SCHEMA, ArrowPayload, JsonPayload, RawPayload
from eventtime.sources.kafka.protobuf import protobuf_payload
from eventtime.sources.kafka.registry import Registry, check_registry
from eventtime.sources.schemas import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from eventtime.sources.kafka.payloads import Payload

__all__ = ("FORMATS", "Coding", "Format", "payload")

Format = Literal["json", "arrow", "raw", "avro", "protobuf"]
FORMATS: Final = ("json", "arrow", "raw", "avro", "protobuf")


class Coding(NamedTuple):
    """What is said of values that do not name their own fields; as in `read_kafka`."""

    avro_schema: object = None
    message: object = None
    registry: str | None = None
    framed: bool = False


_TAKEN: Final = {
    "avro": {"avro_schema", "registry", "framed"},
    "protobuf": {"message", "framed"},
}


def payload(
    value: Format,
    schema: pa.Schema | Mapping[str, pa.DataType] | None,
    coding: Coding,
    *,
    place: str,
) -> Payload:
    """Return a format, for the columns that come from the value.

    Raises:
        PlanError: shows the argument.
    """
    if not is_one_of(value, FORMATS):
        msg = f"value={shown(value)} is unknown"
        raise PlanError(msg, place=place, remedy=f"one of {', '.join(FORMATS)}")
    _check_coding(value, coding, place)
    if value == "raw":
        if schema is not None:
            msg = "schema= means nothing with value='raw', which is one column of bytes"
            raise PlanError(msg, place=place, remedy="leave it out, or name the format")
        return RawPayload(RAW_SCHEMA)
    given = as_schema(schema)
    wanted = None if given is None or not given.names else plain(given)
    if value == "avro":
        known = coding.registry
        registry = None if known is None else Registry(check_registry(known, place=place))
        return avro_payload(coding.avro_schema, registry, wanted, framed=coding.framed, place=place)
    if value == "protobuf":
        return protobuf_payload(coding.message, wanted, framed=coding.framed, place=place)
    if wanted is None:
        msg = f"value={value!r} needs a schema: a topic does not say what is in its messages"
        remedy = "schema={'t': pa.timestamp('us', 'UTC'), 'user': pa.string(), …}"
        raise PlanError(msg, place=f"{place}: schema=…", remedy=remedy)
    return JsonPayload(wanted) if value == "json" else ArrowPayload(wanted)


def _check_coding(value: Format, coding: Coding, place: str) -> None:
    """Refuse what means nothing with a format."""
    check_flag(coding.framed, place=f"{place}: framed=…")
    given: dict[str, Any] = coding._asdict()
    for name, said in given.items():
        if said is not None and said is not False and name not in _TAKEN.get(value, ()):
            msg = f"{name}= means nothing with value={value!r}"
            remedy = "leave it out, or name the format with value="
            if name == "registry" and value == "protobuf":
                remedy = "message=… says what is in them; framed=True, that they have its header"
            raise PlanError(msg, place=place, remedy=remedy)
