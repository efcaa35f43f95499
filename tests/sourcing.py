"""Sources as the readers describe them, without the stream around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec

import eventtime as et
from eventtime.plan import Read

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("arrow_source", "csv_source", "ipc_source", "json_lines_source", "parquet_source")

P = ParamSpec("P")


def _source_of(read: Callable[P, et.Stream]) -> Callable[P, Any]:
    def source(*args: P.args, **how: P.kwargs) -> Any:
        node = read(*args, **how).node
        assert isinstance(node, Read)
        return node.source

    return source


arrow_source = _source_of(et.from_arrow)
csv_source = _source_of(et.read_csv)
ipc_source = _source_of(et.read_ipc)
json_lines_source = _source_of(et.read_json_lines)
parquet_source = _source_of(et.read_parquet)
