"""Caches for what is slow to make: in memory, in Redis below, and by meaning above."""
