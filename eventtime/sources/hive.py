"""Columns that stand in the path: ``year=2024/month=03/part.parquet``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.datafile import DataFile

__all__ = ("Constants", "HiveTypes", "hive_schema", "hive_types")

HiveTypes = tuple[tuple[str, pa.DataType], ...]


def hive_types(hive: bool | Mapping[str, pa.DataType]) -> tuple[bool, HiveTypes]:  # noqa: FBT001 - the public argument
    """Split the public argument ``hive``: whether to read paths, and the types the user sets."""
    if isinstance(hive, bool):
        return hive, ()
    _check_types(hive)
    return True, tuple(
        (name, pa.field(name, data_type).type) for name, data_type in sorted(hive.items())
    )


def _check_types(hive: object) -> None:
    if not isinstance(hive, Mapping) or not all(
        isinstance(name, str) and isinstance(kind, pa.DataType) for name, kind in hive.items()
    ):
        msg = f"hive={shown(hive)} gives no types"
        remedy = "True, False, or types by name, such as {'day': pa.string()}"
        raise PlanError(msg, place="hive=…", remedy=remedy)


def hive_schema(files: Sequence[DataFile], overrides: HiveTypes) -> pa.Schema:
    """Return the path columns: int64 where every value is an integer, string otherwise.

    Raises:
        SchemaError: one file has a key in its path that another has not.
    """
    first = files[0]
    keys = [key for key, _ in first.hive]
    values: dict[str, list[str | None]] = {key: [] for key in keys}
    for file in files:
        if {key for key, _ in file.hive} != set(keys):
            odd = sorted({key for key, _ in file.hive} ^ set(keys))[0]
            owner, other = (first, file) if odd in keys else (file, first)
            message = f"the path of {owner.path} has {odd}=…, but that of {other.path} has not"
            raise SchemaError(
                message, place="hive partitions", remedy="pass hive=False to leave paths unread"
            )
        for key, value in file.hive:
            values[key].append(value)
    chosen = dict(overrides)
    return pa.schema([(key, chosen.get(key) or _infer(values[key])) for key in values])


def _infer(values: Sequence[str | None]) -> pa.DataType:
    given = [value for value in values if value is not None]
    # int64 only if it writes back the same: '007' and '+7' are names, not numbers.
    is_integer = bool(given) and all(
        value.lstrip("-").isascii()
        and value.lstrip("-").isdigit()
        and str(int(value)) == value
        and len(value) < 19
        for value in given
    )
    return pa.int64() if is_integer else pa.string()


@dataclass(frozen=True, eq=False)
class Constants:
    """The path columns of one file as arrays of any length, made once and sliced after that."""

    scalars: Mapping[str, pa.Scalar]
    _arrays: dict[str, pa.Array] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, file: DataFile, schema: pa.Schema) -> Constants:
        """Convert the values in a file's path.

        Raises:
            SchemaError: a value does not fit the type the user gave.
        """
        scalars = {}
        for key, value in file.hive:
            if key not in schema.names:
                continue
            data_type = schema.field(key).type
            try:
                scalars[key] = pa.scalar(value, pa.string()).cast(data_type)
            except (pa.ArrowException, ValueError) as error:
                message = f"{key}={value} in the path is not a {data_type}"
                remedy = f"pass hive={{{key!r}: pyarrow.string()}}"
                raise SchemaError(message, place=file.path, remedy=remedy) from error
        return cls(scalars)

    def column(self, name: str, length: int) -> pa.Array:
        """Return the value ``length`` times."""
        known = self._arrays.get(name)
        if known is None or len(known) < length:
            known = self._arrays[name] = pa.repeat(self.scalars[name], length)
        return known.slice(0, length)
