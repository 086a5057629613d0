"""The folder of recorded runs: one OTLP/JSON ExportTraceServiceRequest a line, and a ledger beside it."""
