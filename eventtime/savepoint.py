"""Savepoints as files: written whole under a hidden name, verified when they are read (S27)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.errors import CheckpointError, SinkError
from eventtime.sinks.files import path_of
from eventtime.sinks.remote import RemoteFile, resolve
from eventtime.sinks.staging import LocalFile, place_error
from eventtime.state.pack import Pack, PackWriter, read_pack

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any

    from pyarrow.fs import FileSystem

__all__ = ("read_savepoint", "write_savepoint")


def write_savepoint(
    path: str | os.PathLike[str],
    filesystem: FileSystem | None,
    fill: Callable[[PackWriter], dict[str, Any]],
    *,
    overwrite: bool,
) -> None:
    """Write a savepoint: under its name it is whole or not there.

    Args:
        path: of the file, or a URI.
        filesystem: of pyarrow or fsspec.
        fill: adds the blocks, and returns what goes into the footer.
        overwrite: replace a file that is there.

    Raises:
        OutputExistsError: the file is there, and not to be replaced.
        SinkError: the place cannot be written.
    """
    found, plain = resolve(path_of(path), filesystem)
    staging = (
        LocalFile(plain, overwrite=overwrite)
        if found is None
        else RemoteFile(found, plain, overwrite=overwrite)
    )
    try:
        stream = staging.stream("")
        try:
            pack = PackWriter(stream)
            pack.finish(fill(pack))
        finally:
            stream.close()
        staging.settle("")
        staging.publish()
    except OSError as error:
        staging.discard()
        if found is None:
            raise place_error(plain, error) from error
        msg = f"cannot write {plain!r} on {found.type_name}: {error}"
        raise SinkError(msg, place=plain, remedy="check the connection, and try again") from error
    except BaseException:
        staging.discard()
        raise


def read_savepoint(path: str | os.PathLike[str], filesystem: FileSystem | None) -> Pack:
    """Read a savepoint and verify each of its bytes.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is not as it was written.
    """
    found, plain = resolve(path_of(path), filesystem)
    try:
        with pa.OSFile(plain, "rb") if found is None else found.open_input_file(plain) as file:
            data = file.read_buffer()
    except (OSError, pa.ArrowException) as error:
        msg = f"cannot read the savepoint {plain!r}: {error}"
        remedy = "check the path and the permissions"
        raise CheckpointError(msg, place=plain, remedy=remedy) from error
    return read_pack(data, plain)
