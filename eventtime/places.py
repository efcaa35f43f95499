"""Where checkpoints are kept: a path or a URI, as a storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import CheckpointError, SinkError
from eventtime.sinks.files import path_of
from eventtime.sinks.remote import resolve
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    import os

    from pyarrow.fs import FileSystem

    from eventtime.state.storage import Storage

__all__ = ("storage_at",)


def storage_at(path: str | os.PathLike[str], filesystem: FileSystem | None = None) -> Storage:
    """Name a place for checkpoints; nothing is opened or made there yet.

    Args:
        path: of a folder, or a URI if no file system is given.
        filesystem: of pyarrow or fsspec; None for local paths and URIs.

    Raises:
        CheckpointError: the URI or the file system cannot be opened.

    >>> storage_at("file:///var/checkpoints").place
    '/var/checkpoints'
    """
    try:
        found, plain = resolve(path_of(path), filesystem)
    except SinkError as error:
        raise CheckpointError(error.what, place=error.place, remedy=error.remedy) from error
    if found is None:
        return LocalStorage(plain)
    from eventtime.state.arrow_storage import ArrowStorage

    return ArrowStorage(found, plain)
