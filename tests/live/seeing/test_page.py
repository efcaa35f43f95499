"""The status page in a real browser: what it shows, that it is live, and that it trusts nothing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
from selenium.webdriver.support.wait import WebDriverWait

from eventtime.board import Board
from eventtime.clock import ManualClock
from eventtime.latency import Latency
from eventtime.ledger import OperatorLedger, PartitionLedger
from eventtime.report import ProgressReport
from eventtime.status import PartitionStatus, Status
from eventtime.ui.server import StatusServer
from eventtime.windows.look import OpenSlice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selenium.webdriver import Chrome

NOON: Final = 1_763_726_400_000_000
MINUTE: Final = 60_000_000
NASTY: Final = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
BOUND_S: Final = 60


def partition(name: str, behind: int | None, rows: int = 1_000) -> PartitionStatus:
    """One that is so many minutes behind the clock; None: nothing has come from it."""
    watermark_us = None if behind is None else NOON - behind * MINUTE
    heard_us = None if behind is None else NOON - 40_000_000
    return PartitionStatus(name, "active", watermark_us, rows, 12.5, 3, 0, heard_us)


def status_of(partitions: Sequence[PartitionStatus], *, late: int = 3) -> Status:
    """A run at noon whose windows of ten minutes fill up."""
    known = [(p.watermark_us, i) for i, p in enumerate(partitions) if p.watermark_us is not None]
    is_heard = bool(known) and len(known) == len(partitions)
    combined = min(known)[0] if is_heard else -(2**63)
    rows = sum(p.rows for p in partitions)
    report = ProgressReport(rows, 0, None, combined, NOON, None, 2, late, 0, 77)
    slices = [
        OpenSlice(NOON - k * 10 * MINUTE, NOON - (k - 1) * 10 * MINUTE, NOON, 5, 100 * k)
        for k in (2, 1)
    ]
    balance = PartitionLedger(rows_in=rows, windowed=rows - late, late=late)
    return Status(
        NOON, report, tuple(partitions), min(known)[1] if known else 0, balance,
        (OperatorLedger(rows, rows - 10, 7, 3),), tuple(slices), 2,
        late_since_start=late, state_bytes=2_048, latency=Latency((0,) * 6 + (77,) + (0,) * 18, 1),
        rows_per_s=25.0,
    )  # fmt: skip


@contextmanager
def page(
    chrome: Chrome, status: Status | None, token: str | None = None
) -> Iterator[tuple[Board, StatusServer]]:
    """Open the page of a board that shows a status; it must not complain to its console."""
    clock = ManualClock(NOON)
    board = Board(clock)
    if status is not None:
        board.show(status)
    server = StatusServer(board, clock, ("127.0.0.1", 0), token, ["topic flights"])
    try:
        complaints(chrome)
        chrome.get(server.url + (f"?token={quote(token)}" if token else ""))
        yield board, server
    finally:
        server.close()


def until(chrome: Chrome, script: str) -> Any:
    """Wait until a script in the page returns something true, and return it."""
    return WebDriverWait(chrome, BOUND_S, 0.05).until(
        lambda c: c.execute_script(f"return {script}")
    )


def text(chrome: Chrome, css: str) -> str:
    found: str = chrome.execute_script(
        "return document.querySelector(arguments[0]).textContent", css
    )
    return found


def says(chrome: Chrome, words: str) -> None:
    """Wait until the sentence at the top begins with some words."""
    until(chrome, f"document.querySelector('#holding').textContent.startsWith('{words}')")


def watermark_at(chrome: Chrome) -> str:
    """Return where the line of the combined watermark is."""
    script = "return document.querySelector('#stage .mark').parentNode.style.transform"
    place: str = chrome.execute_script(script)
    return place


def count(chrome: Chrome, css: str) -> int:
    n: int = chrome.execute_script("return document.querySelectorAll(arguments[0]).length", css)
    return n


def complaints(chrome: Chrome) -> list[str]:
    """Take what the browser has complained of since the last time."""
    untyped: Any = chrome
    entries = untyped.get_log("browser")
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def test_it_says_who_holds_the_watermark_back_and_draws_all_lanes(browser: Chrome) -> None:
    shown = status_of([partition("JFK", 14), partition("EWR", 2), partition("LGA", 1)])
    with page(browser, shown):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 3")
        words = "JFK holds the watermark back: 12 min behind the next, last row 40 s ago"
        assert text(browser, "#holding") == words
        assert text(browser, "#holding b") == "JFK"
        assert text(browser, "#state") == "running"
        assert "14 min behind the clock · 3 of 3 partitions count" in text(browser, "#about")
        assert count(browser, "#stage .fill") == 2
        assert text(browser, "#stage .holder .name") == "JFK"
        assert count(browser, "#stage line.mark") == 1
        assert count(browser, "#table tbody tr") == 3
        assert text(browser, "tr.holder td") == "JFK"
        assert "3,000 rows =2,997windowed3late" in text(browser, "#sum")
        assert "2,990 emitted + 7 open + 3 missed" in text(browser, "#pairs")
        assert text(browser, "#sources") == "topic flights"
        tiles = text(browser, "#tiles")
        assert "25/s" in tiles
        assert "10 msmedian" in tiles
        assert complaints(browser) == []


def test_it_follows_what_happens(browser: Chrome) -> None:
    """Rows that come, a watermark that moves, late rows that trickle down."""
    with page(browser, status_of([partition("JFK", 14), partition("EWR", 2)])) as (board, _):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 2")
        before = watermark_at(browser)
        later = status_of([partition("JFK", 5, rows=2_500), partition("EWR", 2)], late=9)
        board.show(replace(later, at_us=NOON + 1_000_000))
        until(browser, "document.querySelector('#sum').textContent.includes('3,500 rows')")
        assert text(browser, "#holding").startswith("JFK holds the watermark back: 3 min behind")
        after = watermark_at(browser)
        assert before != after
        assert count(browser, "#stage .drop") == 6
        assert count(browser, "#speed path.area") == 1
        board.end("finished")
        until(browser, "document.querySelector('#state').textContent === 'finished'")
        assert complaints(browser) == []


def test_names_are_shown_and_never_run(browser: Chrome) -> None:
    """A partition may be called anything: it stays text everywhere on the page."""
    with page(browser, status_of([partition(NASTY, 14), partition("EWR", 2)])):
        until(browser, "document.querySelectorAll('#table tbody tr').length === 2")
        assert text(browser, "tr.holder td") == NASTY
        assert browser.title == "eventtime"
        assert count(browser, "img") == 0
        assert count(browser, "body script") == 1
        assert complaints(browser) == []


def test_a_thousand_partitions_can_be_read(browser: Chrome) -> None:
    many = [partition(f"topic-{i:04}", 2 + i % 7) for i in range(1_000)]
    with page(browser, status_of([partition("behind", 30), *many])):
        until(browser, "document.querySelectorAll('#table tbody tr').length === 101")
        assert count(browser, "#stage .name") == 12
        assert "989 more" in text(browser, "#stage svg")
        assert "901 more" in text(browser, "#table tbody tr:last-child")
        browser.execute_script(
            "const f = document.getElementById('filter'); f.value = 'C-0777'; f.oninput()"
        )
        assert count(browser, "#table tbody tr") == 1
        assert text(browser, "#table tbody td") == "topic-0777"
        took_ms = browser.execute_script(
            "const t = performance.now(); for (let i = 0; i < 5; i++) show(last);"
            "return (performance.now() - t) / 5"
        )
        assert took_ms < 500  # it has a second; 20 ms where nothing else works
        assert complaints(browser) == []


def test_before_anything_has_come_it_says_what_it_waits_for(browser: Chrome) -> None:
    with page(browser, None) as (board, _):
        says(browser, "Waiting for the first turn")
        assert text(browser, "#state") == "starting"
        board.show(replace(status_of([]), held_by=None, slices=(), n_slices=0))
        says(browser, "Nothing to read yet")
        assert text(browser, "#stage") == "The picture begins with the first partition."
        board.show(status_of([partition("a", None), partition("b", None)]))
        says(browser, "Waiting for the first row")
        assert "2 partitions known" in text(browser, "#stage")
        assert text(browser, "#lags") == "No watermark yet."
        assert complaints(browser) == []


def test_one_partition_is_drawn_too(browser: Chrome) -> None:
    with page(browser, status_of([partition("only", 2)])):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 1")
        assert text(browser, "#holding").startswith("only alone moves the watermark")
        assert count(browser, ".holder") == 0
        assert complaints(browser) == []


def test_it_says_so_when_nobody_answers_any_more(browser: Chrome) -> None:
    with page(browser, status_of([partition("JFK", 14)])) as (_, server):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 1")
        server.close()
        until(browser, "!document.querySelector('#alarm').hidden")
        assert text(browser, "#alarm").startswith("No answer since")
        assert text(browser, "#state") == "not answering"


def test_a_failure_that_may_pass_is_shown(browser: Chrome) -> None:
    with page(browser, status_of([partition("JFK", 14)])) as (board, _):
        board.failed(OSError("the broker is gone"), is_tried_again=True)
        until(browser, "!document.querySelector('#alarm').hidden")
        assert text(browser, "#alarm") == "Trying again after: the broker is gone"


def test_with_a_token_it_asks_with_it(browser: Chrome) -> None:
    with page(browser, status_of([partition("JFK", 14)]), token="a secret+1"):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 1")
        assert browser.execute_script("return document.getElementById('m').href").endswith(
            "metrics?token=a%20secret%2B1"
        )


def test_nothing_is_fetched_from_elsewhere(browser: Chrome) -> None:
    with page(browser, status_of([partition("JFK", 14)])) as (_, server):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 1")
        asked = browser.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        assert asked
        assert all(url.startswith((server.url, "data:")) for url in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark(browser: Chrome, scheme: str) -> None:
    """Text stands out from its ground by 4.5 to 1 (WCAG 2, AA)."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    with page(browser, status_of([partition("JFK", 14), partition("EWR", 2)])):
        until(browser, "document.querySelectorAll('#stage circle.head').length === 2")
        for css in ("#holding", "#holding b", "#about", "td", "th", ".tile h3", "#state", "#sum"):
            assert browser.execute_script(_CONTRAST, css) >= 4.5, css
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


_CONTRAST: Final = """
const parts = color => color.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 :
  ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const el = document.querySelector(arguments[0]);
let under = el, ground = [0, 0, 0, 0];
while (under && (ground.length === 4 && ground[3] === 0)) {
  ground = parts(getComputedStyle(under).backgroundColor); under = under.parentElement;
}
const [a, b] = [light(parts(getComputedStyle(el).color)), light(ground)].sort((p, q) => q - p);
return (a + .05) / (b + .05);
"""
