"""Understand recorded runs: traces in, analyses and renderings out."""
