"""What files that do not grow cost a live run: processor time while nothing happens.

`python -m benchmarks.idle_files [FILES] [SECONDS]`; a minute goes by first, as files that have long
been quiet are looked at more rarely.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import pyarrow as pa

import eventtime as et

WARM_S: Final = 60.0
TYPES: Final = pa.schema([("t", pa.int64()), ("x", pa.string())])


def share(files: int, seconds: float) -> float:
    """Return the share of one processor that following quiet files takes."""
    folder = Path(tempfile.mkdtemp())
    for n in range(files):
        (folder / f"{n:05d}.jsonl").write_text('{"t": 1, "x": "a"}\n')
    marks: list[tuple[float, float]] = []
    begun_s = perf_counter()

    def stop() -> bool:
        past_s = perf_counter() - begun_s
        if past_s > WARM_S + len(marks) * seconds and len(marks) < 2:
            marks.append((perf_counter(), process_time()))
        return len(marks) == 2

    read = et.read_json_lines(folder, time="t", time_unit="s", schema=TYPES, follow=True)
    marked = read.watermark(et.ascending(), idle_after="1s").key_by("x")
    marked.window(et.tumbling("10s")).aggregate(n=et.count()).run(stop=stop, drain=True)
    (wall_s, cpu_s), (wall_end_s, cpu_end_s) = marks
    return (cpu_end_s - cpu_s) / (wall_end_s - wall_s)


if __name__ == "__main__":
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    print(f"{files:,} quiet files: {share(files, seconds):.2%} of one processor")
