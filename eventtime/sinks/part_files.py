"""Part files of epochs: their names, the record that says which are committed, how one is written.

    out/window_day=2013-01-01/.part-00000007-0.parquet.partial     written, hidden
    out/window_day=2013-01-01/part-00000007-0.parquet              committed

Readers of folders leave out names that begin with an underscore or a dot.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import SinkError
from eventtime.sinks.writers import FolderWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from eventtime.sinks.encoder import FileFormat
    from eventtime.sinks.staging import Staging
    from eventtime.sinks.writers import Splitter

__all__ = ("NOTHING", "OURS", "PartsWriter", "hidden_name", "is_hidden", "read_record", "record")

OURS: Final = "_eventtime"
"""The folder of what readers are to leave out."""
NOTHING: Final[dict[str, Any]] = {"job": None, "token": 0, "epoch": 0, "parts": []}
"""The record of a folder that is nobody's yet."""
_HIDDEN: Final = re.compile(r"\.part-.*\.partial")


def hidden_name(name: str, by: str = "") -> str:
    """Name a part before it is published: in the same folder.

    >>> hidden_name("day=1/part-00000007-0.csv"), hidden_name("part-00000007-0.csv", ".2")
    ('day=1/.part-00000007-0.csv.partial', '.part-00000007-0.csv.2.partial')
    """
    folder, part = posixpath.split(name)
    return posixpath.join(folder, f".{part}{by}.partial")


def is_hidden(name: str) -> bool:
    """Tell whether it is a part that was not published."""
    return _HIDDEN.fullmatch(posixpath.basename(name)) is not None


def record(job: str, token: int, epoch: int, names: list[str], **more: object) -> bytes:
    """Write down the last epoch committed, and its parts."""
    said = {"version": 1, "job": job, "token": token, "epoch": epoch, "parts": names, **more}
    return json.dumps(said, indent=1).encode()


def read_record(data: bytes, path: str, target: str) -> dict[str, Any]:
    """Read what `record` wrote.

    Args:
        data: the record.
        path: of the record, for messages.
        target: the folder, for messages.

    Raises:
        SinkError: it is none.
    """
    found: Any = None
    with contextlib.suppress(ValueError):
        found = json.loads(data)
    if not isinstance(found, dict) or not found.keys() >= NOTHING.keys():
        msg = f"{path!r} does not say which epochs are committed"
        remedy = "restore the file, or remove the folder and run from the beginning"
        raise SinkError(msg, place=target, remedy=remedy)
    return found


class PartsWriter:
    """Writes the rows of one epoch as part files.

    Args:
        file_format: of the parts.
        schema: of the rows.
        splitter: says which folder rows belong to.
    """

    def __init__(self, file_format: FileFormat, schema: pa.Schema, splitter: Splitter) -> None:
        self._format = file_format
        self._schema = schema
        self._splitter = splitter

    def write(self, staging: Staging, epoch: int, batches: Iterable[pa.RecordBatch]) -> None:
        """Write the parts and publish them; what `batches` raises is passed on."""
        part = f"part-{epoch:08d}-"
        writer = FolderWriter(
            staging, self._format, self._schema, self._splitter, part=part, at_least_one=False
        )
        try:
            for batch in batches:
                writer.write(batch)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
