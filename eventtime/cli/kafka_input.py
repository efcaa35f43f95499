"""Topics of Kafka named on the command line as a stream: `kafka://HOST:PORT/TOPIC`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.column_types import parse_types
from eventtime.cli.needless import refuse
from eventtime.errors import PlanError
from eventtime.live_readers import read_kafka
from eventtime.sources.kafka.values import Coding, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventtime.stream import Stream

__all__ = ("KAFKA_FORMATS", "KAFKA_OPTIONS", "kafka_reader")

KAFKA_FORMATS: Final = ("avro", "protobuf", "raw")
_VALUES: Final = {"jsonl": "json", "ipc": "arrow", **{name: name for name in KAFKA_FORMATS}}
_TIME: Final = "timestamp"
_TAKEN: Final = {"avro": ("schema", "registry", "framed"), "protobuf": ("schema", "framed")}

KAFKA_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "--schema", metavar="FILE",
        help="Of values from Kafka: a schema of Avro (.avsc); or FILE:MESSAGE of Protobuf, such as "
        "shop.desc:shop.Click, where protoc --include_imports --descriptor_set_out wrote FILE.",
    ),
    click.option(
        "--registry", metavar="URL",
        help="Schema registry that knows what values of Avro were written with.",
    ),
    click.option(
        "--framed", is_flag=True, help="Values have the header of a registry; pass it over."
    ),
)  # fmt: skip


def kafka_reader(address: str, given: Mapping[str, Any]) -> Callable[[], Stream]:
    """Return what makes the stream of topics.

    Args:
        address: with the names of the topics.
        given: the options by name.

    Raises:
        PlanError: an option is missing, or does not go with another.
    """
    servers, _, topics = address.removeprefix("kafka://").partition("/")
    if not topics:
        msg = f"{address!r} names no topic"
        raise PlanError(msg, place="SOURCE", remedy="such as kafka://localhost:9092/clicks")
    chosen: Any = given["file_format"] or "jsonl"
    if chosen not in _VALUES:
        msg = f"rows of this source do not come as {chosen}"
        raise PlanError(msg, place="--format", remedy=f"one of {', '.join(_VALUES)}")
    value: Any = _VALUES[chosen]
    said = _said(chosen, given)
    types = parse_types(given["types"]) or None
    columns = payload(value, types, Coding(**said), place=address).schema.names
    time = given["time"]
    if given["on_malformed"]:
        said["on_malformed"] = given["on_malformed"]
    return partial(
        read_kafka,
        topics.split(","),
        servers=servers.split(","),
        value=value,
        schema=types,
        time=None if time == _TIME and _TIME not in columns else time,
        time_unit=given["time_unit"],
        **said,
    )


def _said(chosen: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of values that do not name their own fields, as `read_kafka` takes it."""
    taken = _TAKEN.get(chosen, ())
    for name in ("schema", "registry", "framed"):
        if given[name] and name not in taken:
            remedy = "leave it out, or name the format"
            refuse(f"--{name}", f"with --format {chosen}", remedy=remedy)
    schema, types = given["schema"], given["types"]
    if chosen == "avro":
        if not (schema or (given["registry"] and types)):
            msg = "a topic does not say what is in its messages"
            remedy = (
                "add --schema FILE.avsc; or --registry URL and --type NAME=TYPE for each column"
            )
            raise PlanError(msg, place="--format avro", remedy=remedy)
        return {
            "avro_schema": schema,
            "registry": given["registry"],
            "framed": given["framed"],
        }
    if chosen == "protobuf":
        file, _, message = (schema or "").rpartition(":")
        if not file:
            msg = "a topic does not say what is in its messages"
            remedy = "add --schema FILE:MESSAGE, such as shop.desc:shop.Click"
            raise PlanError(msg, place="--format protobuf", remedy=remedy)
        return {"message": (file, message), "framed": given["framed"]}
    if chosen != "raw" and not types:
        msg = "a topic does not say which columns its rows have"
        remedy = "add --type NAME=TYPE for each, such as --type ts=timestamp[us]"
        raise PlanError(msg, place="--type", remedy=remedy)
    return {}
