"""Spans out of what other tools write: each module knows one format, `recognise` tells them apart by content."""
