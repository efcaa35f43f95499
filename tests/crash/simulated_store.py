"""An object store in memory: files appear whole, are copied to be renamed, and are not locked."""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from eventtime.testing.simulation.disk import nothing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("SimulatedStore",)


class SimulatedStore(fs.FileSystemHandler):  # type: ignore[misc]
    """Files by path.

    Args:
        before: called before each request with its name and path; may raise, or let others run.
        changed: called with the path, what was there and what is, when an object changes.
    """

    def __init__(self) -> None:
        self.before: Callable[..., None] = nothing
        self.changed: Callable[[str, bytes | None, bytes | None], None] = nothing
        self.files: dict[str, bytes] = {}

    def copy(self) -> SimulatedStore:
        """The same store once more, without those who use it."""
        other = SimulatedStore()
        other.files, other.changed = dict(self.files), self.changed
        return other

    def get_type_name(self) -> str:
        return "simulated"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        self.before("info", paths)
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        self.before("list", selector.base_dir)
        inside = [path for path in self.files if path.startswith(f"{selector.base_dir}/")]
        at = len(selector.base_dir) + 1
        return [self._info(path) for path in inside if selector.recursive or "/" not in path[at:]]

    def create_dir(self, path: str, recursive: bool) -> None:  # noqa: FBT001
        """There are no folders."""

    def delete_file(self, path: str) -> None:
        self.before("delete", path)
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        self._set(path, None)

    def move(self, src: str, dest: str) -> None:
        self.before("copy", src)
        if src not in self.files:
            msg = f"the specified key {src!r} does not exist"
            raise OSError(msg)
        self._set(dest, self.files[src])
        self.before("delete", src)
        self._set(src, None)

    def open_input_file(self, path: str) -> pa.NativeFile:
        self.before("read", path)
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return pa.BufferReader(self.files[path])

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        return pa.PythonFile(_Object(self, path), mode="w")

    def put(self, path: str, data: bytes) -> None:
        """Write an object."""
        self.before("put", path)
        self._set(path, data)

    def _set(self, path: str, data: bytes | None) -> None:
        self.changed(path, self.files.get(path), data)
        if data is None:
            self.files.pop(path, None)
        else:
            self.files[path] = data

    def _info(self, path: str) -> fs.FileInfo:
        if path in self.files:
            return fs.FileInfo(path, fs.FileType.File, size=len(self.files[path]))
        return fs.FileInfo(path, fs.FileType.NotFound)

    delete_dir = delete_dir_contents = delete_root_dir_contents = nothing
    copy_file = open_input_stream = open_append_stream = nothing


class _Object(io.BytesIO):
    """What is written, until it is closed."""

    def __init__(self, store: SimulatedStore, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path

    def close(self) -> None:
        if not self.closed:
            data = self.getvalue()
            super().close()
            self._store.put(self._path, data)
