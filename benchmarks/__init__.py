"""Benchmarks: eventtime beside batch engines, a streaming one and the floor, in turn."""
