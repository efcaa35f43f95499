"""The journal of a run: what its sources told it, and when, without the rows themselves."""
