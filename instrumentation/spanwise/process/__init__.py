"""The life of the host's process: its end, its threads, forks during imports, modules in C."""
