"""The folder of recorded runs: segments of OTLP, their readers, and the ledger beside them."""
