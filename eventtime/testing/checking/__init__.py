"""Checks that a pipeline computes what the rules say, whatever happens to it and in whatever cuts.

`case` runs a pipeline in all the ways that the checks compare, each once; `broken` is what they
raise, readable. `equal` compares with the oracle, `invariance` runs with one another, `standing`
looks at a run while it works, and `versions` at what was emitted for each window. `whole` has all.
"""
