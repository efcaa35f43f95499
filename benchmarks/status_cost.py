"""What looking at a live run costs it: the share of the loop's time that goes into statuses.

A million rows a second for eight seconds, with nobody looking and with a page open that asks every
second, in turns: processor time of both, and the time that goes into making statuses.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Final
from unittest import mock

import eventtime as et
from eventtime.board import Board

RATE: Final = 1_000_000
ROWS: Final = 8_000_000


@dataclass
class Viewer:
    """A page that is open: asks for the status once a second, as a browser does."""

    url: str = ""
    asked: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self, status: et.Status) -> None:
        if not self.url:
            self.url = status.life.url
            threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        while not self.over.is_set():
            with urllib.request.urlopen(f"{self.url}status.json", timeout=10) as answer:
                answer.read()
            self.asked += 1
            self.over.wait(1)


def once(partitions: int, *, looked_at: bool) -> tuple[float, float, int]:
    """Return seconds, seconds of processor time, and how often somebody asked."""
    made = et.generate(RATE, partitions=partitions, rows=ROWS)
    marked = made.watermark(et.bounded_disorder("1s")).key_by("key")
    stream = marked.window(et.tumbling("1s")).aggregate(n=et.count(), value=et.mean("value"))
    viewer = Viewer()
    live = et.live(ui=":0", observe=viewer) if looked_at else et.live()
    begun, used = perf_counter(), process_time()
    stream.run(live=live)
    viewer.over.set()
    return perf_counter() - begun, process_time() - used, viewer.asked


def main() -> None:
    """Print the figures as JSON."""
    partitions = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    made_us: list[int] = []
    show = Board.show

    def timed(board: Board, status: et.Status) -> None:
        show(board, status)
        made_us.append(board.took_us)

    with mock.patch.object(Board, "show", timed):
        once(partitions, looked_at=True)
        made_us.clear()
        alone, looked = [], []
        for _ in range(2):
            alone.append(once(partitions, looked_at=False))
            looked.append(once(partitions, looked_at=True))
    figures = {
        "partitions": partitions,
        "rows": ROWS,
        "seconds_alone": [round(s, 3) for s, _, _ in alone],
        "seconds_looked_at": [round(s, 3) for s, _, _ in looked],
        "cpu_alone": [round(s, 3) for _, s, _ in alone],
        "cpu_looked_at": [round(s, 3) for _, s, _ in looked],
        "asked": [n for _, _, n in looked],
        "status_ms_median": round(statistics.median(made_us) / 1e3, 3),
        "share_of_loop": round(sum(made_us) / 1e6 / sum(s for s, _, _ in looked), 5),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
