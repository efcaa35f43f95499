"""The balance of a run (S26): what it shows, and that it notices a row that is missing."""

from __future__ import annotations

import pytest

from eventtime.errors import LedgerError
from eventtime.ledger import Ledger, OperatorLedger, PartitionLedger


def balanced() -> Ledger:
    return Ledger(
        {
            "a": PartitionLedger(
                rows_in=1_010, windowed=1_000, late=4, null_time=3, future=2, malformed=1
            ),
            "b": PartitionLedger(rows_in=5, windowed=2, filtered=3),
        },
        [OperatorLedger(assigned=2_012, emitted=2_000, open=8, missed=4)],
    )


def test_a_balanced_ledger_says_nothing() -> None:
    balanced().assert_balanced()
    Ledger().assert_balanced()


def test_a_row_that_is_not_accounted_for_is_noticed_by_partition() -> None:
    ledger = balanced()
    ledger.partitions["b"].windowed -= 1
    with pytest.raises(LedgerError) as error:
        ledger.assert_balanced()
    assert "5 rows came in, 4 are accounted for" in str(error.value)
    assert "partition 'b'" in str(error.value)
    assert "report it" in str(error.value)


def test_a_pair_that_is_not_accounted_for_is_noticed_by_operator() -> None:
    ledger = balanced()
    ledger.operators[0].open += 1
    with pytest.raises(
        LedgerError, match=r"assigned is not emitted \+ open \+ missed.*\n.*operator 0"
    ):
        ledger.assert_balanced()


def test_it_is_an_assertion_that_failed() -> None:
    assert issubclass(LedgerError, AssertionError)


def test_rows_that_wait_are_accounted_for() -> None:
    Ledger({"a": PartitionLedger(rows_in=3, windowed=1, waiting=2)}).assert_balanced()


def test_the_total_adds_up_partitions() -> None:
    total = balanced().total
    assert (total.rows_in, total.windowed, total.late, total.filtered) == (1_015, 1_002, 4, 3)
    assert total.accounted == total.rows_in


def test_printed_it_is_a_table_with_a_total_and_the_operators() -> None:
    lines = str(balanced()).splitlines()
    assert lines[0].split() == [
        "partition", "rows_in", "windowed", "late", "null_time", "future", "malformed", "filtered",
    ]  # fmt: skip
    assert lines[1].split() == ["a", "1,010", "1,000", "4", "3", "2", "1", "0"]
    assert lines[3].split() == ["total", "1,015", "1,002", "4", "3", "2", "1", "3"]
    assert lines[4] == "operator 1: 2,012 (row, window) pairs = 2,000 emitted + 8 open + 4 missed"
    assert len({len(line) for line in lines[:4]}) == 1


def test_waiting_rows_are_printed_only_while_there_are_any() -> None:
    assert "waiting" not in str(balanced())
    assert "waiting" in str(Ledger({"a": PartitionLedger(rows_in=1, waiting=1)}))


def test_for_json_it_is_plain_numbers() -> None:
    plain = balanced().to_dict()
    assert plain["partitions"]["b"]["filtered"] == 3
    assert plain["operators"] == [{"assigned": 2_012, "emitted": 2_000, "open": 8, "missed": 4}]
    assert plain["total"]["rows_in"] == 1_015
