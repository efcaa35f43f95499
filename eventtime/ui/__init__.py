"""The status page of a live run, and what else is served beside it."""
