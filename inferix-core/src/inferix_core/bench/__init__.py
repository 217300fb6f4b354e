"""Benchmarks: paired measurements in one run, printed as ratios."""
