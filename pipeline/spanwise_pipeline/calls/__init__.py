"""Calls of models: what is sent, what comes back, and what happens when it does not."""
