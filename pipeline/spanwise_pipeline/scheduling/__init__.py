"""Steps that need each other's results: which runs when, how many at once, and what becomes of each."""
