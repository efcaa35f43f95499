"""What all sinks into database tables can be told: table, mode, key, delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from eventtime.checks import check_names, check_text, is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sinks.epochs import check_delivery

if TYPE_CHECKING:
    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("MARKERS", "Mode", "TableOptions", "table_options")

Mode = Literal["append", "upsert"]

MARKERS: Final = "eventtime_epochs"
"""The table with the last epoch of each job and table, beside the table of the rows."""


@dataclass(frozen=True)
class TableOptions:
    """Where rows go and how; made by `table_options`."""

    table: str
    mode: Mode
    key: tuple[str, ...]
    delivery: Delivery

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        rewritten = self.delivery == "at_least_once" and self.mode == "upsert"
        return "idempotent" if rewritten else self.delivery


def table_options(
    table: object, mode: object, key: object, delivery: Delivery, *, place: str
) -> TableOptions:
    """Check the options that all table sinks have.

    Raises:
        PlanError: shows the one that is wrong.
    """
    check_text(table, what="table name", place=f"{place}: table=…", remedy="table='hourly'")
    if not is_one_of(mode, ("append", "upsert")):
        msg = f"mode={shown(mode)} is unknown"
        raise PlanError(msg, place=place, remedy="say 'append' or 'upsert'")
    check_delivery(delivery)
    if mode == "append" and key is not None:
        msg = f"key={shown(key)} means nothing when rows are appended"
        raise PlanError(msg, place=place, remedy="leave it out, or say mode='upsert'")
    names: Any = [] if key is None else [key] if isinstance(key, str) else key
    remedy = "name them: key=['origin', 'window_start', 'window_end']"
    check_names(names, place=f"{place}: key=…", remedy=remedy, least=int(mode == "upsert"))
    if str(table).lower() == MARKERS:
        msg = f"the table {MARKERS!r} holds the epochs committed"
        raise PlanError(msg, place=f"{place}: table=…", remedy="choose another name")
    known: Mode = "upsert" if mode == "upsert" else "append"
    return TableOptions(str(table), known, tuple(names), delivery)
