"""Where recorded spans are sent besides the journal."""
