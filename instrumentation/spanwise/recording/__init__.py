"""From an ended span to the journal: tracer, processor, buffer, stages, metrics."""
