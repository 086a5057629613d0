"""What may be recorded: policy of kinds, redaction, truncation, filters, and the hook. Loaded by `configure`."""
