"""The time column of a source: whether it can carry event time, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import TimeColumnError
from eventtime.sources.filesource import FileSource
from eventtime.timestamp import check_time_type

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.sources.feed import AnySource

__all__ = ("check_time_column",)


def check_time_column(source: AnySource, schema: pa.Schema) -> None:
    """Refuse a time column that cannot carry event time.

    Args:
        source: where it comes from.
        schema: that its rows have at the watermark; it has the column.

    Raises:
        TimeColumnError: its type holds no time, or is that of text only because no row seen has a
            value.
    """
    try:
        check_time_type(source.time, schema.field(source.time).type, source.time_unit)
    except TimeColumnError:
        untimed = source.untimed() if isinstance(source, FileSource) else None
        if untimed is not None:
            raise untimed from None
        raise
