"""What a sink of your own must pass before a pipeline trusts it."""

from eventtime.testing.sinks import SINK_CHECKS, SinkCase, check_sink

__all__ = ("SINK_CHECKS", "SinkCase", "check_sink")
