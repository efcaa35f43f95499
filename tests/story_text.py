"""A transcript as text, from which tests make others, and the schema of its format."""

from __future__ import annotations

import json
from typing import Any, Final

from tree import ROOT

SCHEMA: Final[dict[str, Any]] = json.loads(
    (ROOT / "eventtime" / "testing" / "transcripts" / "transcript.schema.json").read_text("utf-8")
)
HEAD: Final = """\
transcript: 1
title: A story
pipeline:
  columns: {at: time, value: integer}
  watermark: ascending
  window: {tumbling: 1m}
  aggregate: {n: count}
"""
STEP: Final = f"{HEAD}steps:\n  - input: [{{at: 00:00:10, value: 1}}]\n"
SEEN: Final = f"{STEP}  - expect: {{watermark: 00:00:10}}\n"
