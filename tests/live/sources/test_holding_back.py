"""What a mailbox tells of partitions that are held back, and of where they stand (S6, S27)."""

from __future__ import annotations

import pyarrow as pa
import pytest

from eventtime.errors import SourceError
from eventtime.sources.feed import Arrived, Silent, Stands
from eventtime.sources.mailbox import Mailbox

ROWS = pa.record_batch({"x": [1, 2]})


def mailbox(*names: str) -> Mailbox:
    mail = Mailbox()
    for name in names:
        mail.add(name, is_found=False)
    return mail


def test_a_partition_that_is_let_go_says_again_that_it_is_silent() -> None:
    """S6: while it was held nobody asked it, so its silence had stood still."""
    mail = mailbox("a")
    mail.quiet("a")
    assert mail.take(10, ()) == [Silent(["a"])]
    assert mail.take(10, ["a"]) == []
    assert mail.take(10, ()) == [Silent(["a"])]
    assert mail.take(10, ()) == []


def test_where_a_partition_stands_is_told_behind_its_rows() -> None:
    mail = mailbox("a")
    mail.put("a", ROWS, {"offset": 2})
    mail.put("a", ROWS, {"offset": 4})
    mail.stand("a", {"offset": 7})
    [first] = mail.take(2, ())
    second, stands = mail.take(2, ())
    assert isinstance(first, Arrived)
    assert isinstance(second, Arrived)
    assert (first.position, second.position) == ({"offset": 2}, {"offset": 4})
    assert stands == Stands("a", {"offset": 7})
    assert mail.take(2, ()) == []


def test_an_error_does_not_wait_for_rows_that_are_held() -> None:
    """They may be held for the partition that failed."""
    mail = mailbox("a", "b")
    mail.put("a", ROWS, {"offset": 2})
    mail.put("b", ROWS, {"offset": 2})
    mail.fail(SourceError("gone"))
    [of_a] = mail.take(10, ["b"])
    assert isinstance(of_a, Arrived)
    with pytest.raises(SourceError, match="gone"):
        mail.take(10, ["b"])
