"""Where settings come from, and how files of ours are read."""
