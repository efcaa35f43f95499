"""Process functions: the user's own code over rows of a key, with state and timers."""
