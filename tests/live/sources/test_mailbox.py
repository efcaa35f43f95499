"""What waits between the threads of a feed and the loop: order, bounds, silence told once."""

from __future__ import annotations

import threading

import pytest

from eventtime.clock import ManualClock
from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import Arrived, Ended, Found, Left, News, Silent, Stands, Unpolled
from eventtime.sources.mailbox import Mailbox
from live.script import rows


def mailbox(*names: str) -> Mailbox:
    mail = Mailbox()
    for name in names:
        mail.add(name, is_found=False)
    return mail


def kinds(news: list[News]) -> list[str]:
    return [type(item).__name__ for item in news]


def test_neighbours_are_joined_and_the_position_is_the_last_one() -> None:
    """S4: how they came in does not show."""
    mail = mailbox("a")
    for n in range(3):
        mail.put("a", rows(n), {"rows": n + 1})
    (arrived,) = mail.take(100, ())
    assert isinstance(arrived, Arrived)
    assert not isinstance(arrived.rows, MalformedRows)
    assert arrived.rows.num_rows == 3
    assert arrived.position == {"rows": 3}
    assert mail.take(100, ()) == []


def test_what_is_told_at_once_wakes_once_and_is_taken_at_once() -> None:
    """Else a turn would take the rows of the first partition, and the watermark would wait."""
    mail, rung = mailbox("a", "b"), [0]

    def wake() -> None:
        rung[0] += 1
        taken.append(mail.take(100, ()))

    taken: list[list[News]] = []
    mail.wake = wake
    with mail.at_once():
        mail.put("a", rows(1), {})
        mail.put("b", rows(2), {})
        mail.quiet("b")
        other = threading.Thread(target=lambda: taken.append(mail.take(100, ())))
        other.start()
        assert not taken
    other.join(60)
    assert rung == [1]
    assert sorted(map(len, taken)) == [0, 3]
    with mail.at_once():
        pass
    assert rung == [1]


def test_silence_wakes_nobody_and_is_told_at_the_next_turn() -> None:
    """S6: else each few rows would be followed by a turn of their own for the end behind them."""
    mail, rung = mailbox("a"), []
    mail.wake = lambda: rung.append(True)
    mail.quiet("a")
    assert not rung
    assert mail.take(9, ()) == [Silent(["a"])]
    mail.put("a", rows(1), {})
    mail.quiet("a")
    assert len(rung) == 1
    assert [type(news) for news in mail.take(9, ())] == [Arrived, Silent]


def test_joined_rows_have_come_when_the_first_of_them_did() -> None:
    """So the latency of results counts the time that rows wait here."""
    clock = ManualClock(5)
    mail = Mailbox(clock)
    mail.add("a", is_found=False)
    mail.put("a", rows(1), {})
    clock.advance(3)
    mail.put("a", rows(2), {})
    mail.put("a", rows(3), {}, arrived_us=2)
    (arrived,) = mail.take(100, ())
    assert isinstance(arrived, Arrived)
    assert arrived.arrived_us == 5
    mail.put("a", rows(4), {}, arrived_us=2)
    assert [item.arrived_us for item in mail.take(9, ()) if isinstance(item, Arrived)] == [2]


def test_rows_beyond_the_most_wait_for_the_next_turn() -> None:
    mail = mailbox("a")
    for n in range(4):
        mail.put("a", rows(n, n), {"rows": 2 * n + 2})
    taken = [mail.take(3, ()) for _ in range(3)]
    positions = [[item.position for item in news if isinstance(item, Arrived)] for news in taken]
    assert positions == [[{"rows": 4}], [{"rows": 8}], []]


def test_silence_is_told_once_and_behind_the_rows() -> None:
    """S6."""
    mail = mailbox("a", "b")
    mail.put("a", rows(1), {})
    mail.quiet("a")
    mail.quiet("b")
    assert kinds(mail.take(9, ())) == ["Arrived", "Silent"]
    mail.quiet("a")
    assert mail.take(9, ()) == []
    mail.put("a", rows(2), {})
    assert kinds(mail.take(9, ())) == ["Arrived"]
    mail.quiet("a")
    assert mail.take(9, ()) == [Silent(["a"])]


def test_time_without_polls_ends_a_silence() -> None:
    """S6: and the next empty poll begins another."""
    mail = mailbox("a")
    mail.unpolled("a")
    assert mail.take(9, ()) == []
    mail.quiet("a")
    mail.take(9, ())
    mail.unpolled("a")
    assert mail.take(9, ()) == [Unpolled(["a"])]
    mail.quiet("a")
    assert mail.take(9, ()) == [Silent(["a"])]


def test_rows_of_held_partitions_stay() -> None:
    mail = mailbox("a", "b")
    mail.put("a", rows(1), {})
    mail.put("b", rows(2), {})
    assert [item.partition for item in mail.take(9, {"a"}) if isinstance(item, Arrived)] == ["b"]
    assert kinds(mail.take(9, ())) == ["Arrived"]


def test_partings_come_behind_the_rows_and_the_end_is_counted() -> None:
    """S8, S9: one that left may come back."""
    mail = mailbox("a", "b")
    mail.put("a", rows(1, 2), {})
    mail.put("a", rows(3), {})
    mail.leave("a")
    assert kinds(mail.take(1, ())) == ["Arrived"]
    assert [*mail.take(1, ())][1:] == [Left("a")]
    mail.add("a", is_found=True)
    assert mail.take(1, ()) == [Found("a")]
    for name in "ab":
        mail.end(name)
    assert not mail.all_ended
    assert mail.take(1, ()) == [Ended("a"), Ended("b")]
    assert mail.all_ended


def test_one_that_comes_back_before_anybody_heard_has_not_left() -> None:
    mail = mailbox("a")
    mail.put("a", rows(1), {})
    mail.leave("a")
    mail.add("a", is_found=True)
    mail.put("a", rows(2), {})
    assert kinds(mail.take(9, ())) == ["Arrived"]


def test_rows_that_are_withdrawn_are_not_taken() -> None:
    """Whoever has the partition next reads them: it stands behind what was taken before."""
    mail = mailbox("a")
    assert mail.withdraw("a") is None
    mail.stand("a", {"rows": 3})
    mail.put("a", rows(1, 2), {"rows": 5})
    assert mail.withdraw("a") == {"rows": 3}
    assert mail.take(9, ()) == [Stands("a", {"rows": 3})]
    for taken in (5, 7):
        mail.put("a", rows(1, 2), {"rows": taken})
    mail.take(1, ())
    assert mail.withdraw("a") == {"rows": 5}
    mail.leave("a", wants_cut=True)
    assert mail.take(9, ()) == [Stands("a", {"rows": 5}), Left("a", wants_cut=True)]
    mail.add("a", is_found=True)
    mail.stand("a", {"rows": 9})
    assert mail.withdraw("a") == {"rows": 9}


def test_one_that_is_held_goes_when_it_has_no_rows() -> None:
    mail = mailbox("a")
    mail.put("a", rows(1), {"rows": 1})
    mail.leave("a")
    assert mail.take(9, {"a"}) == []
    mail.withdraw("a")
    assert Left("a") in mail.take(9, {"a"})


def test_room_is_made_by_what_is_withdrawn() -> None:
    mail = mailbox("a")
    mail.put("a", rows(*[0.0] * 262_144), {})
    assert not mail.has_room("a")
    mail.withdraw("a")
    assert mail.has_room("a")


def test_where_it_began_is_told_in_front_of_the_first_rows() -> None:
    """Else a journal would not know where to read them again."""
    mail = mailbox("a")
    mail.stand("a", {"rows": 3})
    mail.put("a", rows(1), {"rows": 4})
    mail.stand("a", {"rows": 5})
    mail.put("a", rows(1), {"rows": 6})
    begins, row = mail.take(9, ())
    assert begins == Stands("a", {"rows": 3})
    assert isinstance(row, Arrived)
    assert row.position == {"rows": 6}


def test_an_error_comes_behind_what_was_read() -> None:
    mail = mailbox("a")
    mail.put("a", rows(1), {})
    mail.fail(SourceError("broken"))
    assert kinds(mail.take(9, ())) == ["Arrived"]
    for _ in range(2):
        with pytest.raises(SourceError, match="broken"):
            mail.take(9, ())
    assert not mail.all_ended


def test_a_full_lane_has_no_room_until_rows_are_taken() -> None:
    mail = mailbox("a", "b")
    many = rows(*[0.0] * 262_144)
    mail.put("a", many, {})
    assert not mail.has_room("a")
    assert mail.has_room("b")
    assert not mail.wait_for_room("a", 0.0)
    mail.take(1, ())
    assert mail.wait_for_room("a", 0.0)


def test_one_look_tells_whether_all_but_those_held_have_room() -> None:
    mail = mailbox("a", "b")
    mail.put("a", rows(*[0.0] * 262_144), {})
    assert not mail.wait_for_room_but((), 0.0)
    assert mail.wait_for_room_but({"a"}, 0.0)
    mail.take(1, {"a"})
    assert not mail.wait_for_room_but((), 0.0)
    mail.take(1, ())
    assert mail.wait_for_room_but((), 0.0)


def test_many_silent_partitions_are_one_piece_of_news() -> None:
    """Thousands cost nothing once it was told."""
    names = [f"p{n}" for n in range(1_000)]
    mail = mailbox(*names)
    for name in names:
        mail.quiet(name)
    assert mail.take(9, ()) == [Silent(names)]
    for name in names:
        mail.quiet(name)
    assert mail.take(9, ()) == []
