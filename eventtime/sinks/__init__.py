"""Where results and side outputs go."""
