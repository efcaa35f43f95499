"""Checks that parts users write keep their contracts; each draws examples, the same every time."""
