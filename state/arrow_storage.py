"""Checkpoints on any file system that pyarrow opens: S3, GCS, HDFS, all of fsspec.

Two traps. A stream of pyarrow that is left by an exception publishes what it has so far, even none,
so what counts when it is there is written under a hidden name and moved. And fsspec remembers
listings, in which the claim of another process would not show.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from eventtime.state.storage import TEMPORARY, UnclearError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from pyarrow.fs import FileSystem

__all__ = ("ArrowStorage", "forget_listings")

_FORGET: Final = "invalidate_cache"


class ArrowStorage:
    """A folder on a file system of pyarrow; what is written is as durable as that makes it.

    Args:
        filesystem: of pyarrow, or fsspec's behind pyarrow's wrapper.
        path: of the folder, with '/'.
    """

    def __init__(self, filesystem: FileSystem, path: str) -> None:
        self.place = f"{filesystem.type_name}:{path}"
        self._fs = filesystem
        self._path = path
        self._made: set[str] = set()

    def list(self, folder: str) -> dict[str, int]:
        from pyarrow import fs

        with _os_errors():
            forget_listings(self._fs)
            place = fs.FileSelector(f"{self._path}/{folder}", allow_not_found=True)
            return {it.base_name: it.size for it in self._fs.get_file_info(place) if it.is_file}

    def settle(self, folder: str) -> None:
        """What an object store shows is durable."""

    def read(self, name: str, offset: int, length: int) -> pa.Buffer:
        with _os_errors(), self._fs.open_input_file(f"{self._path}/{name}") as file:
            file.seek(offset)
            return file.read_buffer(length)

    def put(self, name: str, data: bytes) -> None:
        path = f"{self._path}/{name}"
        try:
            output = self.write(name + TEMPORARY)
            output.write(data)
            output.finish()
            with _os_errors():
                self._fs.move(path + TEMPORARY, path)
        except OSError as error:
            # A request that timed out here may still be carried out there.
            raise UnclearError(str(error)) from error

    def write(self, name: str) -> _ArrowOutput:
        folder = name.partition("/")[0]
        with _os_errors():
            if folder not in self._made:
                self._fs.create_dir(f"{self._path}/{folder}", recursive=True)
                self._made.add(folder)
            return _ArrowOutput(self._fs, f"{self._path}/{name}")

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with _os_errors(), contextlib.suppress(FileNotFoundError):
                self._fs.delete_file(f"{self._path}/{name}")


class _ArrowOutput:
    """A file that is being written; on most file systems it is seen before it is finished."""

    def __init__(self, filesystem: FileSystem, path: str) -> None:
        self._fs = filesystem
        self._path = path
        self._stream: pa.NativeFile = filesystem.open_output_stream(path, compression=None)

    def write(self, data: Any, /) -> None:
        with _os_errors():
            self._stream.write(data)

    def finish(self) -> None:
        with _os_errors():
            self._stream.close()

    def discard(self) -> None:
        with contextlib.suppress(OSError), _os_errors():
            self._stream.close()
        with contextlib.suppress(OSError), _os_errors():
            self._fs.delete_file(self._path)


def forget_listings(filesystem: FileSystem) -> None:
    """Make fsspec look again."""
    forget = getattr(getattr(getattr(filesystem, "handler", None), "fs", None), _FORGET, None)
    if forget is not None:
        forget()


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Turn what Arrow and file systems written in Python raise into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error)) from error
