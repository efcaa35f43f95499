"""A sink that is right, and the ways to get it wrong; in a folder of its own to be killed in."""
