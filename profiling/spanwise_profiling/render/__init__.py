"""Renderers: pure functions from a run to something that rich can print, or to a JSON document."""
