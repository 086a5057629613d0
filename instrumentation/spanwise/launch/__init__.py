"""Recording that begins without a line of the program's: `spanwise run`, and `OTEL_TRACES_EXPORTER=spanwise`."""
