"""Stories in YAML of what comes, and what is expected of it; see docs/transcripts.md."""

from eventtime.testing.transcripts.comparing import TranscriptFailedError
from eventtime.testing.transcripts.reading import TranscriptError
from eventtime.testing.transcripts.running import run_transcript
from eventtime.testing.transcripts.script import Transcript, load

__all__ = ("Transcript", "TranscriptError", "TranscriptFailedError", "load", "run_transcript")
