"""OpenTelemetry's own objects as spanwise makes them: spans, the current context, attribute values."""
